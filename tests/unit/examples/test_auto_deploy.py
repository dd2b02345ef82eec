"""The workflow that apps copy: what it promises, and its steps in a shell, as far as a machine without GitHub goes."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "auto-deploy"
WORKFLOW = yaml.safe_load((EXAMPLE / ".github/workflows/deploy.yml").read_text(encoding="utf-8"))
JOBS = WORKFLOW["jobs"]
STEPS = {step["name"]: step for step in JOBS["change"]["steps"]}
STAND_IN = """#!/bin/sh
printf '%s\\n' "$@" > "$RUNNER_TEMP/arguments"
env > "$RUNNER_TEMP/environment"
"""


def runs() -> list[dict[str, Any]]:
    return [step for job in JOBS.values() for step in job["steps"] if "run" in step]


def test_actions_are_pinned_to_commits() -> None:
    used = [step["uses"] for job in JOBS.values() for step in job["steps"] if "uses" in step]
    assert used
    assert [name for name in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", name)] == []


def test_what_is_installed_is_pinned_by_hashes() -> None:
    assert "--require-hashes" in STEPS["Install Ansible"]["run"]
    text = (EXAMPLE / "deploy/requirements.txt").read_text(encoding="utf-8")
    names = re.findall(r"^[a-z].*$", text, re.MULTILINE | re.IGNORECASE)
    assert all("==" in name for name in names)
    collections = yaml.safe_load((EXAMPLE / "deploy/requirements.yml").read_text(encoding="utf-8"))["collections"]
    galaxy = yaml.safe_load((EXAMPLE.parents[1] / "galaxy.yml").read_text(encoding="utf-8"))
    assert collections == [{"name": "ringstand.flask", "version": galaxy["version"]}]


def test_it_may_little_and_changes_production_one_at_a_time() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert JOBS["change"]["concurrency"] == {"group": "production", "cancel-in-progress": False}
    assert JOBS["change"]["environment"] == "production"
    assert "secrets." not in str(JOBS["test"])
    assert "StrictHostKeyChecking=yes" in JOBS["change"]["env"]["ANSIBLE_SSH_ARGS"]


def test_nothing_that_people_type_becomes_part_of_a_script() -> None:
    assert [step["name"] for step in runs() if "${{" in step["run"]] == []


@pytest.mark.parametrize("step", runs(), ids=[step["name"] for step in runs()])
def test_each_script_is_a_script(step: dict[str, Any]) -> None:
    subprocess.run(["bash", "-n"], input=step["run"], text=True, check=True)


def run(name: str, tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a step as the runner does, with a stand-in for ansible-playbook."""
    stand_in = tmp_path / "bin" / "ansible-playbook"
    stand_in.parent.mkdir(exist_ok=True)
    stand_in.write_text(STAND_IN)
    stand_in.chmod(0o755)
    given = {"RUNNER_TEMP": str(tmp_path), "PATH": f"{stand_in.parent}:{os.environ['PATH']}", "APP": "shop",
             "GITHUB_SHA": "0123456789abcdef0123456789abcdef01234567", **environment}
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", STEPS[name]["run"]]
    return subprocess.run(command, cwd=tmp_path, env=given, text=True, capture_output=True, check=False)


def arguments(tmp_path: Path) -> list[str]:
    return (tmp_path / "arguments").read_text().splitlines()


def test_secrets_come_from_files_that_nobody_else_reads_and_go(tmp_path: Path) -> None:
    name = "Take the key and the vault's password"
    assert run(name, tmp_path, SSH_KEY="-----BEGIN\nKEY-----", VAULT_PASSWORD="").returncode != 0
    taken = run(name, tmp_path, SSH_KEY="-----BEGIN\nKEY-----", VAULT_PASSWORD="it's $ecret")
    assert (taken.returncode, taken.stdout) == (0, "")
    files = [tmp_path / "key", tmp_path / "vault-password"]
    assert [path.read_text() for path in files] == ["-----BEGIN\nKEY-----\n", "it's $ecret\n"]
    assert [stat.S_IMODE(path.stat().st_mode) for path in files] == [0o600, 0o600]
    assert run("Forget the key and the vault's password", tmp_path).returncode == 0
    assert not any(path.exists() for path in files)


def test_a_deploy_names_the_app_and_the_commit(tmp_path: Path) -> None:
    assert run("Deploy", tmp_path).returncode == 0
    secrets = ["--private-key", f"{tmp_path}/key", "--vault-password-file", f"{tmp_path}/vault-password"]
    assert arguments(tmp_path) == [
        "ringstand.flask.deploy", *secrets, "-e", "app=shop", "-e", "version=0123456789ab"
    ]


@pytest.mark.parametrize(("release", "expected"), [("", "previous"), ("v1.4.2", "v1.4.2")])
def test_a_rollback_names_the_release(tmp_path: Path, release: str, expected: str) -> None:
    assert run("Roll back", tmp_path, RELEASE=release).returncode == 0
    assert arguments(tmp_path)[0] == "ringstand.flask.rollback"
    assert arguments(tmp_path)[-1] == f"release={expected}"


@pytest.mark.parametrize("release", ["a b", "$(id)", "x force=true", "'", "../x"])
def test_a_release_that_is_none_reaches_no_playbook(tmp_path: Path, release: str) -> None:
    refused = run("Roll back", tmp_path, RELEASE=release)
    assert refused.returncode == 1
    assert "::error::" in refused.stdout
    assert not (tmp_path / "arguments").exists()

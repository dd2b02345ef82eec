"""The workflow of examples/auto-deploy, copied into an app's repository and run as GitHub would: its steps in their
order, with the real Ansible against a host.

What comes from GitHub (the checkout, Python) is there already; what comes from package registries is the collection of
this checkout, and the Ansible that runs these tests.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import host as test_hosts
import pytest
import yaml
from conftest import CHECKOUT, NAME

EXAMPLE = CHECKOUT / "examples" / "auto-deploy"
# Instead of those that would ask a registry; what they are asked for is looked at by tests/unit/examples.
STAND_INS = {
    "python": '#!/bin/sh\ntest "$1 $2 $3" = "-m pip install"\n',
    "ansible-galaxy": '#!/bin/sh\nset -e\ntest -e deploy/requirements.yml\n'
                      'exec {real} collection install {artifact} --no-deps --offline >/dev/null\n',
}
VAULT_PASSWORD, SECRET_KEY = "it's $ecret", "canary-of-the-vault-5b1f0c9e7a"
EXPRESSION = re.compile(r"\$\{\{\s*([\w.]+)\s*\}\}")
HOLD = "systemd-run --quiet --collect --unit=ringstand-activation-shop sleep 60"


@dataclass
class Outcome:
    """What a run of the job came to: the steps that were run, and what they printed."""

    code: int = 0
    steps: list[str] = field(default_factory=list)
    output: str = ""
    left: list[str] = field(default_factory=list)


class Runner:
    """A checkout of the app, and a machine that runs the job ``change`` in it."""

    def __init__(self, address: str, artifact: Path, work: Path) -> None:
        self.work, self.workspace = work, work / "shop"
        (work / "bin").mkdir()
        real = Path(sys.executable).with_name("ansible-galaxy")
        for name, text in STAND_INS.items():
            (work / "bin" / name).write_text(text.format(real=real, artifact=artifact))
            (work / "bin" / name).chmod(0o755)
        self.path = f"{work / 'bin'}:{real.parent}:/usr/bin:/bin"
        shutil.copytree(CHECKOUT / "examples" / "shop", self.workspace)
        shutil.copytree(EXAMPLE, self.workspace, dirs_exist_ok=True)
        self.deploy = self.workspace / "deploy"
        self.edit("inventory/hosts.yml", {"vm1.example.com": address, "ansible_user: deploy": "ansible_user: admin"})
        self.edit("inventory/group_vars/all/apps.yml", {"shop.example.com": NAME})
        (self.deploy / "known_hosts").write_bytes(test_hosts.KNOWN_HOSTS.read_bytes())
        (work / "vault-password").write_text(VAULT_PASSWORD)
        encrypted = subprocess.run(
            [real.with_name("ansible-vault"), "encrypt_string", "--vault-password-file", work / "vault-password",
             "--name", "vault_shop_secret_key", SECRET_KEY], check=True, capture_output=True, text=True).stdout
        (self.deploy / "inventory/group_vars/all/vault.yml").write_text(encrypted)
        self.job = yaml.safe_load((self.workspace / ".github/workflows/deploy.yml").read_text())["jobs"]["change"]
        self.git("init", "--quiet")

    def edit(self, name: str, replaced: dict[str, str]) -> None:
        text = (self.deploy / name).read_text()
        for old, new in replaced.items():
            assert old in text
            text = text.replace(old, new)
        (self.deploy / name).write_text(text)

    def git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.com")
        return subprocess.run(["git", *identity, *arguments], cwd=self.workspace, check=True, capture_output=True,
                              text=True).stdout.strip()

    def commit(self, text: str) -> str:
        (self.workspace / "shop" / "static" / "release.txt").write_text(text)
        (self.workspace / "shop" / "static" / "shop.css").write_text(f"/* {text} */")
        self.git("add", ".")
        self.git("commit", "--quiet", "-m", text)
        return self.git("rev-parse", "HEAD")

    def run(self, event: str, action: str = "deploy", password: str = VAULT_PASSWORD) -> Outcome:
        """Run the job on a machine of its own: a step that fails ends it, but for those that always run."""
        machine = Path(tempfile.mkdtemp(dir=self.work))  # with a home where no connection is open yet
        temporary = machine / "temporary"
        temporary.mkdir()
        about = {"github.event_name": event, "github.workspace": str(self.workspace), "inputs.action": action,
                 "inputs.release": "", "secrets.DEPLOY_SSH_KEY": test_hosts.KEY.read_text().rstrip("\n"),
                 "secrets.DEPLOY_VAULT_PASSWORD": password}
        runner = {"PATH": self.path, "HOME": str(machine), "RUNNER_TEMP": str(temporary), "CI": "true",
                  "LANG": "C.UTF-8", "GITHUB_WORKSPACE": str(self.workspace),
                  "GITHUB_SHA": self.git("rev-parse", "HEAD"), "USER": "runner"}
        outcome = Outcome()
        for step in (one for one in self.job["steps"] if "run" in one):
            if not applies(step.get("if", "success()"), about, outcome.code == 0):
                continue
            outcome.steps.append(step["name"])
            given = {**self.job["env"], **step.get("env", {})}
            environment = {**runner, **{key: filled(value, about) for key, value in given.items()}}
            done = subprocess.run(
                ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]], cwd=self.workspace,
                env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                check=False)
            outcome.output += done.stdout
            outcome.code = outcome.code or done.returncode
        outcome.left = os.listdir(temporary)
        return outcome


def filled(text: str, about: dict[str, str]) -> str:
    """A value of ``env`` with its expressions evaluated; one that names what is not there fails."""
    return EXPRESSION.sub(lambda found: about[found[1]], text)


def applies(condition: str, about: dict[str, str], is_well: bool) -> bool:
    """Whether a step is run: its condition is one of GitHub's, and without always() it is not run after a failure."""
    text = re.sub(r"\b(?:github|inputs)\.\w+", lambda found: repr(about[found[0]]), condition)
    text = text.replace("&&", " and ").replace("||", " or ").replace("always()", "True").replace("success()", "True")
    return (is_well or "always()" in condition) and bool(eval(text, {}))  # noqa: S307 - the example's own text


@pytest.fixture(scope="module")
def runner(site, artifact, tmp_path_factory):
    return Runner(site.address, artifact, tmp_path_factory.mktemp("runner"))


def live(site) -> dict[str, Any]:
    return json.loads(site.root("ringstand --json status shop"))["apps"][0]


def test_a_push_deploys_its_commit_and_a_button_rolls_back(site, runner):
    before, style = live(site)["release"], site.ask("/static/shop.css").body
    commit = runner.commit("pushed")
    pushed = runner.run("push")
    assert pushed.code == 0, pushed.output[-3000:]
    scripts = [step["name"] for step in runner.job["steps"] if "run" in step]
    assert pushed.steps == [name for name in scripts if name != "Roll back"]
    assert live(site)["version"] == commit[:12]
    assert site.ask("/static/release.txt").body == b"pushed"
    assert site.ask("/static/shop.css").body == b"/* pushed */" != style
    assert SECRET_KEY not in pushed.output
    assert pushed.left == []  # neither key nor password
    back = runner.run("workflow_dispatch", "rollback")
    assert back.code == 0, back.output[-3000:]
    assert "Deploy" not in back.steps
    assert live(site)["release"] == before
    assert site.ask("/static/shop.css").body == style


@contextlib.contextmanager
def at_work(site):
    """Somebody else's deploy, for the time of the block."""
    site.root(HOLD)
    yield
    site.root("systemctl stop ringstand-activation-shop")


def test_one_that_finds_another_at_work_fails_and_changes_nothing(site, runner):
    before = live(site)["release"]
    runner.commit("too early")
    with at_work(site):
        refused = runner.run("push")
    assert refused.code != 0
    assert "another activation is under way" in refused.output
    assert (live(site)["release"], refused.left) == (before, [])


def test_what_is_wrong_with_its_secrets_or_hosts_is_named(site, runner):
    before = live(site)["release"]
    locked = runner.run("push", password="not it")
    known = runner.deploy / "known_hosts"
    try:
        known.write_text("# nobody\n")
        unknown = runner.run("push")
    finally:
        known.write_bytes(test_hosts.KNOWN_HOSTS.read_bytes())
    missing = runner.run("push", password="")
    assert (locked.code != 0, locked.left) == (True, [])
    assert "Decryption failed" in locked.output
    assert (unknown.code != 0, unknown.left) == (True, [])
    assert "Host key verification failed" in unknown.output
    assert (missing.code != 0, missing.left) == (True, [])
    assert "Deploy" not in missing.steps
    assert live(site)["release"] == before

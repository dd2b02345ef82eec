"""The Molecule project that role users copy runs as it is, on an image of this machine in place of a registry's."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess

import host as test_hosts
import image
import pytest
from conftest import CHECKOUT, DISTRIBUTION
from machine import STATE, podman, run

CONTAINER = f"e2e-molecule-{test_hosts.CHECKOUT_ID}"


@pytest.fixture
def project(artifact, tmp_path):
    """A copy of the example with the built collection, and the environment to run it in."""
    shutil.copytree(CHECKOUT / "examples" / "molecule", tmp_path / "project")
    # Galaxy is not asked here: our collection is the one just built, the others come with the test environment.
    (tmp_path / "project" / "requirements.yml").write_text("collections: []\n")
    subprocess.run(["ansible-galaxy", "collection", "install", str(artifact), "--no-deps", "--offline",
                    "--collections-path", str(tmp_path / ".ansible/collections")], check=True, capture_output=True,
                   cwd=tmp_path)
    STATE.mkdir(parents=True, exist_ok=True)
    executable = tmp_path / "podman"
    executable.write_text(f'#!/bin/sh\nexec {shlex.join(podman())} "$@"\n')
    executable.chmod(0o755)
    yield {**{name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "MOLECULE_"))},
           "HOME": str(tmp_path), "NO_COLOR": "1",  # Molecule looks for collections at home
           "MOLECULE_IMAGE": image.ensure(DISTRIBUTION), "MOLECULE_HOST": CONTAINER,
           "MOLECULE_PODMAN_EXECUTABLE": str(executable)}
    run(podman("rm", "--force", "--ignore", "--time", "1", CONTAINER), "remove the container")


def test_it_passes_and_sees_what_is_wrong(project, tmp_path):
    def molecule(*arguments):
        return subprocess.run(["molecule", *arguments], cwd=tmp_path / "project", env=project, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)

    tested = molecule("test", "--destroy=never")
    assert tested.returncode == 0, tested.stdout[-5000:]
    assert "default > idempotence: Executed: Successful" in tested.stdout
    run(podman("exec", CONTAINER, "systemctl", "stop", "redis-server@shop-queue"), "stop Redis")
    assert molecule("verify").returncode != 0
    assert molecule("destroy").returncode == 0
    assert subprocess.run(podman("container", "exists", CONTAINER), check=False).returncode == 1

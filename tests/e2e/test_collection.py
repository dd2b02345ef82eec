"""The built collection, installed somewhere else, does what the checkout does."""

from __future__ import annotations

import os
import subprocess
import tarfile

import pytest


@pytest.fixture(scope="module")
def no_configuration(tmp_path_factory):
    """Not the checkout's: an installed collection has to work with Ansible's defaults."""
    path = tmp_path_factory.mktemp("configuration") / "empty.cfg"
    path.touch()
    return str(path)


@pytest.fixture(scope="module")
def installed(artifact, no_configuration, tmp_path_factory):
    path = tmp_path_factory.mktemp("installed")
    subprocess.run(["ansible-galaxy", "collection", "install", str(artifact), "--collections-path", str(path),
                    "--no-deps", "--offline"], check=True, capture_output=True, text=True, cwd=path,
                   env={**os.environ, "ANSIBLE_CONFIG": no_configuration})
    assert (path / "ansible_collections" / "ringstand" / "flask" / "MANIFEST.json").exists()
    return path


def test_it_carries_no_development_files(artifact):
    with tarfile.open(artifact) as archive:
        top = {name.split("/")[0] for name in archive.getnames()}
    assert {"playbooks", "plugins", "roles", "meta", "README.md", "LICENSE"} <= top
    assert not {name for name in top if name.startswith(".")} | top & {"tests", "molecule", "bin", "ansible.cfg"}


def test_its_playbook_runs_by_name(site, installed, no_configuration, tmp_path):
    run = site.play(playbook="ringstand.flask.site", cwd=tmp_path, config=no_configuration,
                    environment={"ANSIBLE_COLLECTIONS_PATH": str(installed), "ANSIBLE_HOST_KEY_CHECKING": "true"})
    assert run.code == 0, run.output[-4000:]
    assert run.changed() == []


def test_its_documentation_is_readable(installed, no_configuration):
    folder = installed / "ansible_collections" / "ringstand" / "flask" / "plugins" / "modules"
    modules = [f"ringstand.flask.{path.stem}" for path in folder.glob("*.py")]
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(installed), "ANSIBLE_CONFIG": no_configuration}
    command = ["ansible-doc", "--type", "module", *modules]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

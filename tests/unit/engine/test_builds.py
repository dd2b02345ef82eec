"""What decides a virtual environment's name, and how it is installed into."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import builds
from ansible_collections.ringstand.flask.plugins.module_utils.app_unit import Completed
from ansible_collections.ringstand.flask.plugins.module_utils.dependencies import Dependencies, read_dependencies
from ansible_collections.ringstand.flask.plugins.module_utils.layout import AppSettings

SETTINGS = AppSettings("shop", "shop:app", {})
PLAIN = Dependencies("requirements.txt", (("requirements.txt", b"flask==3.1.2"),))
LOCKED = Dependencies("uv.lock", (("uv.lock", b""), ("pyproject.toml", b"")))
MIRROR = replace(SETTINGS, package_index_url="https://packages.example.com/simple")


def key(settings: AppSettings = SETTINGS, needed: Dependencies = PLAIN, python: str = sys.executable) -> str:
    return builds.venv_key(settings, needed, python)


@pytest.mark.parametrize(
    "changed",
    [
        {"settings": replace(SETTINGS, extra_packages=["gunicorn"])},
        {"settings": MIRROR},
        {"needed": replace(PLAIN, name="requirements/production.txt")},
        {"needed": replace(PLAIN, parts=(*PLAIN.parts, ("constraints.txt", b"werkzeug<4")))},
        {"python": "/usr/bin/python3"},
    ],
)
def test_whatever_decides_the_content_decides_the_key(changed: dict) -> None:
    assert key() == key()
    assert key(**changed) != key()


def test_code_does_not_decide_the_key_but_the_lock_does(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("flask==3.1.2\n")
    first = key(needed=read_dependencies(str(tmp_path)))
    (tmp_path / "app.py").write_text("changed")
    assert key(needed=read_dependencies(str(tmp_path))) == first
    (tmp_path / "requirements.txt").write_text("flask==3.1.3\n")
    assert key(needed=read_dependencies(str(tmp_path))) != first


def commands(settings: AppSettings, needed: Dependencies) -> list[str]:
    return [" ".join(command[1:]) for command in builds.uv_commands(settings, needed, "/usr/bin/python3", "/venv")][1:]


def test_each_kind_of_file_is_installed_in_its_way() -> None:
    assert commands(SETTINGS, PLAIN) == ["pip install --requirements requirements.txt"]
    assert commands(replace(SETTINGS, extra_packages=["gunicorn"]), PLAIN)[-1] == "pip install gunicorn"
    assert commands(SETTINGS, LOCKED)[0].startswith("sync --frozen --no-dev --no-install-project --no-editable")


def test_an_index_of_ones_own_counts_for_a_lock_too() -> None:
    exported, installed = commands(MIRROR, LOCKED)
    assert exported.startswith("export")
    assert "--frozen" in exported
    assert installed == "pip install --requirements /venv/exported-requirements.txt"


def test_a_failed_installation_names_the_cause_and_the_remedy_without_secrets() -> None:
    said = "error: Failed to fetch: https://me:hunter2secret@x.y/simple/\n  cause: error sending request"
    error = builds._uv_failure(SETTINGS, Completed(2, "", said))
    assert "Failed to install the packages of shop: Failed to fetch" in error.message
    assert "does not answer" in error.message
    assert error.message.endswith("Nothing was switched.")
    assert "hunter2secret" not in error.message + error.details["output"]

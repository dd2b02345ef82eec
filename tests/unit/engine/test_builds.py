"""What decides a virtual environment's name, and which file says what to install."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import builds
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.layout import AppSettings

SETTINGS = AppSettings("shop", "shop:app", {}, python=sys.executable)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "src"
    path.mkdir()
    (path / "requirements.txt").write_text("flask==3.1.2\n")
    return path


@pytest.mark.parametrize(
    "changed",
    [
        {"extra_packages": ["gunicorn"]},
        {"package_index_url": "https://packages.example.com/simple"},
        {"python": "/usr/bin/python3"},
    ],
)
def test_whatever_decides_the_content_decides_the_key(source: Path, changed: dict) -> None:
    key = builds.venv_key(SETTINGS, str(source))
    assert builds.venv_key(SETTINGS, str(source)) == key
    assert builds.venv_key(replace(SETTINGS, **changed), str(source)) != key


def test_code_does_not_decide_the_key_but_the_lock_does(source: Path) -> None:
    key = builds.venv_key(SETTINGS, str(source))
    (source / "app.py").write_text("changed")
    assert builds.venv_key(SETTINGS, str(source)) == key
    (source / "requirements.txt").write_text("flask==3.1.3\n")
    assert builds.venv_key(SETTINGS, str(source)) != key


def test_uv_lock_goes_before_requirements(source: Path) -> None:
    assert builds.dependency_file(str(source)) == "requirements.txt"
    (source / "uv.lock").write_text("")
    (source / "pyproject.toml").write_text("")
    assert builds.dependency_file(str(source)) == "uv.lock"


def test_without_a_dependency_file_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(RingstandError, match="neither uv.lock .* nor requirements.txt. Make one"):
        builds.dependency_file(str(tmp_path))

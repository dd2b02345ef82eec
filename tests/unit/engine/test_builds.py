"""What decides a virtual environment's name, and how static files are published."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import builds
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.layout import AppSettings, Layout

SETTINGS = AppSettings("shop", "shop:app", {}, python=sys.executable, static={"url": "/static/", "dir": "static"})


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "src"
    (path / "static").mkdir(parents=True)
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


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    target = tmp_path / "root" / "srv" / "shop" / "static"
    target.mkdir(parents=True)
    monkeypatch.setattr(AppSettings, "layout", property(lambda self: Layout(self.name, str(tmp_path / "root"))))
    return target


def test_static_files_are_added_replaced_and_never_removed(source: Path, published: Path) -> None:
    (published / "old.css").write_text("old")
    (source / "static" / "css").mkdir()
    (source / "static" / "css" / "app.css").write_text("new")
    assert builds.publish_static(SETTINGS, str(source)) == 1
    assert builds.publish_static(SETTINGS, str(source)) == 0
    (source / "static" / "css" / "app.css").write_text("newer")
    assert builds.publish_static(SETTINGS, str(source)) == 1
    assert (published / "css" / "app.css").read_text() == "newer"
    assert (published / "old.css").read_text() == "old"


def test_a_link_is_not_published(source: Path, published: Path) -> None:
    os.symlink("/etc/shadow", source / "static" / "shadow")
    assert builds.publish_static(SETTINGS, str(source)) == 0
    assert list(published.iterdir()) == []


def test_files_that_no_release_has_go_after_some_days(source: Path, published: Path) -> None:
    (published / "old.css").write_text("old")
    ctime = (published / "old.css").stat().st_ctime
    assert builds.prune_static(SETTINGS, ctime + builds.STATIC_GRACE_SECONDS - 1) == 0
    assert builds.prune_static(SETTINGS, ctime + builds.STATIC_GRACE_SECONDS + 1) == 1


def test_a_missing_static_folder_is_named(tmp_path: Path, published: Path) -> None:
    with pytest.raises(RingstandError, match="'static' is not a folder of the source"):
        builds.publish_static(SETTINGS, str(tmp_path))

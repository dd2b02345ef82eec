"""Static files outlive the release that published them, for a while."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import static_files
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.layout import AppSettings, Layout

SETTINGS = AppSettings("shop", "shop:app", {}, static={"url": "/static/", "dir": "static"})


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "src"
    (path / "static").mkdir(parents=True)
    return path


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
    assert static_files.publish(SETTINGS, str(source)) == 1
    assert static_files.publish(SETTINGS, str(source)) == 0
    (source / "static" / "css" / "app.css").write_text("newer")
    assert static_files.publish(SETTINGS, str(source)) == 1
    assert (published / "css" / "app.css").read_text() == "newer"
    assert (published / "old.css").read_text() == "old"


def test_a_link_is_not_published(source: Path, published: Path) -> None:
    os.symlink("/etc/shadow", source / "static" / "shadow")
    assert static_files.publish(SETTINGS, str(source)) == 0
    assert list(published.iterdir()) == []


def test_files_that_no_release_has_go_after_some_days(source: Path, published: Path) -> None:
    (published / "old.css").write_text("old")
    ctime = (published / "old.css").stat().st_ctime
    assert static_files.prune(SETTINGS, ctime + static_files.GRACE_SECONDS - 1) == 0
    assert static_files.prune(SETTINGS, ctime + static_files.GRACE_SECONDS + 1) == 1


def test_a_missing_static_folder_is_named(tmp_path: Path, published: Path) -> None:
    with pytest.raises(RingstandError, match="'static' is not a folder of the source"):
        static_files.publish(SETTINGS, str(tmp_path))


def test_nothing_is_renamed_before_it_is_on_disk(
    source: Path, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (published / "app.css").write_text("old")
    (source / "static" / "app.css").write_text("newer")
    seen: list[str] = []

    def sync(path: str) -> None:
        seen.extend(sorted(f"{entry.name} {entry.read_text()}" for entry in Path(path).iterdir()))

    monkeypatch.setattr(static_files, "sync_file_system", sync)
    static_files.publish(SETTINGS, str(source))
    assert seen == ["app.css old", "app.css.ringstand-new newer"]
    assert (published / "app.css").read_text() == "newer"


def test_what_a_killed_deploy_had_copied_goes_at_once(source: Path, published: Path) -> None:
    (published / "app.css.ringstand-new").write_text("half")
    static_files.prune(SETTINGS, 0)
    assert list(published.iterdir()) == []

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which snapshot of files is restored, and how they take the place of the live ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import restic, restore_files
from ansible_collections.ringstand.flask.plugins.module_utils.backup_settings import BackupSettings
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.restic import Snapshot
from ansible_collections.ringstand.flask.plugins.module_utils.restore_files import choose
from ansible_collections.ringstand.flask.plugins.module_utils.restore_target import parse_target

SNAPSHOTS = [
    Snapshot("a", "shop", "2026-11-20T02:00:00.123456789Z", ["/srv/shop/shared"]),
    Snapshot("b", "shop", "2026-11-21T03:30:00.5+01:00", ["/srv/shop/shared"]),
    Snapshot("c", "host", "2026-11-21T02:40:00Z", ["/etc"]),
]
NOW = 1795262559.0


@pytest.mark.parametrize(("name", "to", "expected"), [
    ("shop", "latest", "b"),
    ("shop", "2026-11-21T02:30:00Z", "a"),
    ("shop", "2026-11-21T02:31:00Z", "b"),
    ("host", "latest", "c"),
])
def test_a_snapshot_is_chosen(name: str, to: str, expected: str) -> None:
    assert choose(SNAPSHOTS, name, parse_target(to, NOW)).id == expected


@pytest.mark.parametrize(("name", "to", "words"), [
    ("blog", "latest", "there are only host, shop"),
    ("shop", "2026-11-20T01:00:00Z", "the oldest snapshot is of 2026-11-20T02:00:00Z"),
])
def test_what_is_not_there_is_refused(name: str, to: str, words: str) -> None:
    with pytest.raises(RingstandError, match=words):
        choose(SNAPSHOTS, name, parse_target(to, NOW))


@pytest.mark.parametrize(("wanted", "expected"), [("a", "a"), ("b", "b")])
def test_a_snapshot_is_chosen_by_its_id(wanted: str, expected: str) -> None:
    assert choose(SNAPSHOTS, "shop", None, wanted).id == expected
    with pytest.raises(RingstandError, match=r"'c' of shop: there are a \(2026-11-20T02:00:00Z\), b "):
        choose(SNAPSHOTS, "shop", None, "c")


@pytest.mark.parametrize(("name", "options", "words"), [
    ("shop", {"paths": ["/etc/passwd"]}, "'/etc/passwd': the files of shop are below /srv/shop/shared"),
    ("shop", {"paths": ["/srv/shop/shared/../../x"]}, "'/srv/x'"),
    ("shop", {"paths": ["/srv/shop/shared2"]}, "are below"),
    ("host", {"in_place": True, "paths": ["/etc"]}, "hold what no backup has"),
    ("shop", {"into": "relative"}, "from / on"),
    ("shop", {"into": "/etc"}, "it exists"),
    ("shop", {"into": "/no/such/place"}, "the directory above"),
])
def test_what_cannot_be_restored_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, options: dict[str, object], words: str
) -> None:
    monkeypatch.setattr(restic, "snapshots", lambda _repository: SNAPSHOTS)
    with pytest.raises(RingstandError, match=words):
        restore_files.make(BackupSettings(), name, None, **options)  # type: ignore[arg-type]


def tree(path: Path) -> dict[str, str]:
    return {str(file.relative_to(path)): file.read_text(encoding="utf-8") for file in path.rglob("*") if file.is_file()}


def put(path: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text, encoding="utf-8")
    return path


OLD, NEW = {"a": "old", "sub/b": "old", "only-old": "x"}, {"a": "new", "sub/b": "new", "only-new": "x"}


@pytest.mark.parametrize("mine", [True, False])
def test_files_are_exchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mine: bool) -> None:
    monkeypatch.setattr(restore_files, "_roots_own", lambda _directory: mine)
    live, fresh, kept = put(tmp_path / "live", OLD), put(tmp_path / "fresh", NEW), tmp_path / "kept"
    live.chmod(0o700)
    inode = live.stat().st_ino
    restore_files.exchange(str(live), str(fresh), str(kept))
    assert (tree(live), tree(kept)) == (NEW, OLD)
    assert (live.stat().st_ino == inode) is mine  # the app's sandbox has it mounted
    assert kept.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mine", [True, False])
def test_an_exchange_that_fails_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mine: bool) -> None:
    monkeypatch.setattr(restore_files, "_roots_own", lambda _directory: mine)
    live, fresh, kept = put(tmp_path / "live", OLD), put(tmp_path / "fresh", NEW), tmp_path / "kept"
    rename, calls = os.rename, []

    def failing(source: str, target: str) -> None:
        calls.append(source)
        if len(calls) == (5 if mine else 2):
            raise OSError("no space")
        rename(source, target)

    monkeypatch.setattr(restore_files.os, "rename", failing)
    with pytest.raises(OSError, match="no space"):
        restore_files.exchange(str(live), str(fresh), str(kept))
    assert (tree(live), tree(fresh), kept.exists()) == (OLD, NEW, False)


def test_a_place_that_an_app_can_change_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = tmp_path / "shop" / "shared"
    shared.mkdir(parents=True)
    monkeypatch.setattr(restore_files, "_roots_own", lambda directory: directory in ("/", str(tmp_path / "shop")))
    assert restore_files.safe_place(str(shared / "media" / "a.png")) == str(tmp_path / "shop")
    assert restore_files.safe_place(str(shared)) == str(tmp_path / "shop")

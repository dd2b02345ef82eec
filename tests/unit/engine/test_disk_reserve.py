"""A build leaves room on the disks of the data, or is ended; molecule/gunicorn ends a real one."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import disk_reserve, release_build
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from settings_below import Settings  # type: ignore[import-not-found]


class Disk:
    """One that has so many MB and inodes free."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free_mb, self.inodes, self.has_inodes = 1000, 100_000, True
        monkeypatch.setattr(os, "statvfs", self.statvfs)

    def statvfs(self, _path: str) -> Any:
        files = 1 if self.has_inodes else 0
        return SimpleNamespace(f_bavail=self.free_mb, f_frsize=2**20, f_favail=self.inodes, f_files=files)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    asked: list[str] = []
    monkeypatch.setattr(disk_reserve, "systemctl", lambda *arguments, **_options: asked.append(arguments[-1]))
    return asked


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({}, "", id="enough"),
        pytest.param({"free_mb": 150}, "", id="just enough"),
        pytest.param({"free_mb": 149}, "has 149 MB free, and the last 150 MB are for what is there", id="no room"),
        pytest.param({"inodes": 1999}, "has 1999 inodes free", id="no inodes"),
        pytest.param({"inodes": 0, "has_inodes": False}, "", id="a file system that does not count them"),
    ],
)
def test_shortage(disk: Disk, tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    vars(disk).update(changes)
    found = disk_reserve.shortage([str(tmp_path / "missing"), str(tmp_path)])
    assert (words in found) if words else found == ""
    assert disk_reserve.shortage([str(tmp_path / "missing")]) == ""


def build(settings: Settings, disk: Disk, killed: list[str], tmp_path: Path, fails: bool) -> None:
    with disk_reserve.kept(settings, [str(tmp_path)]):
        disk.free_mb = 100
        deadline = time.monotonic() + 5
        while not killed and time.monotonic() < deadline:
            time.sleep(0.01)
        if fails:
            raise RingstandError("Failed to install: exit status 137", rc=137)


@pytest.mark.parametrize("fails", [True, False], ids=["a command is killed", "between two commands"])
def test_a_build_that_comes_to_the_reserve_is_ended(
    settings: Settings, disk: Disk, killed: list[str], tmp_path: Path, fails: bool
) -> None:
    with pytest.raises(RingstandError, match=r"Failed to build a release of shop: .* 100 MB free.* keep_releases"):
        build(settings, disk, killed, tmp_path, fails)
    assert set(killed) == {"ringstand-activation-*.shop.*.service"}


def test_another_failure_is_told_as_it_is(settings: Settings, disk: Disk, killed: list[str], tmp_path: Path) -> None:
    with pytest.raises(RingstandError, match="Failed to import"), disk_reserve.kept(settings, [str(tmp_path)]):
        raise RingstandError("Failed to import")
    assert killed == []


def test_a_deploy_does_not_begin_with_less(settings: Settings, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    reasons = iter(["", "the file system of /var/lib/redis has 9 MB free"])
    monkeypatch.setattr(disk_reserve, "shortage", lambda: next(reasons))
    release_build.check_space(settings, __file__)
    with pytest.raises(RingstandError, match="Failed to deploy shop: the file system of /var/lib/redis has 9 MB free"):
        release_build.check_space(settings, __file__)

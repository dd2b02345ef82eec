# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files out of the backup, into a new directory beside the live ones, or into their place with the old ones kept."""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from . import restic
from .backup_settings import BackupSettings
from .errors import RingstandError
from .layout import Layout
from .restic import Snapshot
from .restore_target import END_OF_TIME, iso, parse_target

HOST = "host"  # the set of files that is of no app
_STAMP = "%Y%m%dT%H%M%SZ"
_ID_LENGTH = 8


@dataclass(frozen=True)
class FilesPlan:
    """``paths`` of a snapshot, into the new directory ``into``; empty means in place of the live ones."""

    settings: BackupSettings
    name: str
    snapshot: Snapshot
    paths: Sequence[str]
    into: str

    @property
    def taken(self) -> str:
        return iso(int(_taken(self.snapshot)))

    def describe(self) -> str:
        """For people, one sentence."""
        what = f"{' and '.join(self.paths)} as of {self.taken} (snapshot {self.snapshot.id[:_ID_LENGTH]})"
        return f"restore {what} " + (f"into {self.into}" if self.into else "in place, and keep what is there beside it")


def choose(snapshots: Sequence[Snapshot], name: str, target: float | None, wanted: str = "") -> Snapshot:
    """The last snapshot of the files called ``name`` that is not younger than ``target`` (None: the newest).

    ``wanted`` is the beginning of a snapshot's id instead. Raises :class:`RingstandError`.
    """
    names = sorted({snapshot.name for snapshot in snapshots})
    ours = [snapshot for snapshot in snapshots if snapshot.name == name]
    if not ours:
        raise RingstandError(f"Failed to restore the files of {name!r}: there are only {', '.join(names) or 'none'}")
    if wanted:
        found = [snapshot for snapshot in ours if snapshot.id.startswith(wanted)]
        if len(found) != 1:
            there = ", ".join(f"{snapshot.id[:_ID_LENGTH]} ({iso(int(_taken(snapshot)))})" for snapshot in ours)
            raise RingstandError(f"Failed to find the snapshot {wanted!r} of {name}: there are {there}")
        return found[0]
    early = [snapshot for snapshot in ours if target is None or _taken(snapshot) <= target]
    if not early:
        first = min(_taken(snapshot) for snapshot in ours)
        raise RingstandError(f"Failed to restore the files of {name!r}: the oldest snapshot is of {iso(int(first))}")
    return max(early, key=_taken)


def make(
    settings: BackupSettings, name: str, target: float | None, into: str = "", in_place: bool = False,
    paths: Sequence[str] = (), wanted: str = "",
) -> FilesPlan:
    """Check all that can be checked; raises :class:`RingstandError`. Without a directory one beside is chosen."""
    snapshot = choose(restic.snapshots(settings.repository), name, target, wanted)
    chosen = [os.path.normpath(path) for path in paths] or list(snapshot.paths)
    for path in chosen:
        if not any(path == top or path.startswith(f"{top.rstrip('/')}/") for top in snapshot.paths):
            raise RingstandError(
                f"Failed to restore {path!r}: the files of {name} are below {' and '.join(snapshot.paths)}"
            )
        if in_place and (os.path.ismount(path) or os.path.islink(path)):
            raise RingstandError(
                f"Failed to restore {path} in place: it is a mount point or a link, which cannot be kept aside. "
                "Restore it beside (without --in-place) and copy what you need"
            )
    if in_place and name == HOST and any(os.path.isdir(path) for path in chosen):
        raise RingstandError(
            "Failed to restore the files of the host in place: its directories hold what no backup has, such as the "
            "key of the backups. Name single files with --path, or restore them beside (without --in-place)"
        )
    if not in_place:
        into = into or _beside(name)
        _check_new(into)
    return FilesPlan(settings, name, snapshot, chosen, "" if in_place else into)


def perform(plan: FilesPlan) -> dict[str, Any]:
    """Restore; returns what is where. Raises :class:`RingstandError`; what is live is then as it was."""
    kept: list[str] = []
    if plan.into:
        os.mkdir(plan.into, 0o700)
        try:
            restic.restore(plan.settings.repository, plan.snapshot.id, plan.into, plan.paths)
            for path in plan.paths:
                _check_there(plan, plan.into, path)
        except BaseException:
            shutil.rmtree(plan.into, ignore_errors=True)
            raise
    else:
        kept = [old for path in plan.paths for old in _in_place(plan, path)]
    return {
        "files": plan.name, "snapshot": plan.snapshot.id, "taken": plan.taken, "into": plan.into,
        "paths": list(plan.paths), "kept": " ".join(kept), "problems": [], "changed": True,
    }


def _beside(name: str) -> str:
    above = Layout(name).app_dir
    return os.path.join(above if name != HOST and os.path.isdir(above) else "/root", f"restored-{_stamp()}")


def _check_new(into: str) -> None:
    if not os.path.isabs(into):
        raise RingstandError(f"Failed to restore files into {into!r}: name the directory from / on")
    if os.path.lexists(into):
        raise RingstandError(f"Failed to restore files into {into}: it exists. Name a directory that does not")
    if not os.path.isdir(os.path.dirname(into.rstrip("/"))):
        raise RingstandError(f"Failed to restore files into {into}: the directory above it does not exist")


def _check_there(plan: FilesPlan, below: str, path: str) -> None:
    if not os.path.lexists(below + path):
        raise RingstandError(f"Failed to restore {path}: the snapshot of {plan.taken} does not have it")


def _in_place(plan: FilesPlan, path: str) -> list[str]:
    """Restore one path beside itself, then exchange both; returns where the old one is, if there was one."""
    fresh = tempfile.mkdtemp(prefix=".ringstand-restore-", dir=safe_place(path))
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        restic.restore(plan.settings.repository, plan.snapshot.id, fresh, [path])
        _check_there(plan, fresh, path)
        if not os.path.lexists(path):
            os.rename(fresh + path, path)
            return []
        old = f"{path}.before-restore-{_stamp()}"
        exchange(path, fresh + path, old)
        return [old]
    except OSError as error:
        raise RingstandError(f"Failed to restore {path} in place: {error}. Look for the old one beside it") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def safe_place(path: str) -> str:
    """The nearest directory above ``path``, on the same disk, in which nobody but root can exchange names.

    Raises :class:`RingstandError` when there is none: an app could lead astray what root writes.
    """
    place = os.path.dirname(path)
    while not os.path.isdir(place):
        place = os.path.dirname(place)
    device = os.stat(place).st_dev
    while not _roots_own(place):
        place = os.path.dirname(place)
        if os.stat(place).st_dev != device:
            raise RingstandError(
                f"Failed to restore {path} in place: its disk has no directory that is root's alone. "
                "Restore it beside (without --in-place) and copy what you need"
            )
    return place


def _roots_own(directory: str) -> bool:
    info = os.lstat(directory)
    return stat.S_ISDIR(info.st_mode) and info.st_uid == 0 and not info.st_mode & 0o022


def exchange(path: str, fresh: str, old: str) -> None:
    """Move what is at ``path`` to ``old``, and what is at ``fresh`` to ``path``; undone when a step of it fails.

    Of a directory that only root could exchange the entries are moved and it stays itself: the running app may write to
    it because its sandbox has this very directory mounted, and would be shut out of another one by the same name.
    """
    if not (os.path.isdir(path) and os.path.isdir(fresh) and _roots_own(os.path.dirname(path))):
        os.rename(path, old)
        try:
            os.rename(fresh, path)
        except OSError:
            os.rename(old, path)
            raise
        return
    os.mkdir(old)
    _take_after(path, old)
    moved: list[tuple[str, str]] = []
    try:
        for source, target in ((path, old), (fresh, path)):
            for name in sorted(os.listdir(source)):
                os.rename(os.path.join(source, name), os.path.join(target, name))
                moved.append((os.path.join(source, name), os.path.join(target, name)))
    except OSError:
        for source, target in reversed(moved):
            os.rename(target, source)
        os.rmdir(old)
        raise
    _take_after(fresh, path)


def _take_after(model: str, path: str) -> None:
    info = os.stat(model)
    os.chown(path, info.st_uid, info.st_gid)
    shutil.copymode(model, path)


def _stamp() -> str:
    return time.strftime(_STAMP, time.gmtime())


def _taken(snapshot: Snapshot) -> float:
    # restic writes nanoseconds. A clock that was set back may have left snapshots that are younger than now.
    taken = parse_target(re.sub(r"(\.\d{6})\d+", r"\1", snapshot.time), END_OF_TIME)
    return taken or 0.0

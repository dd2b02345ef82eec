# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files out of the backup, into a new directory: what is live is never written over."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from typing import Any

from . import restic
from .backup_settings import BackupSettings
from .errors import RingstandError
from .restic import Snapshot
from .restore_target import iso, parse_target

_END_OF_TIME = 253_402_300_799.0  # 9999-12-31


def choose(snapshots: Sequence[Snapshot], name: str, target: float | None) -> Snapshot:
    """The last snapshot of the files called ``name`` that is not younger than ``target`` (None: the newest)."""
    names = sorted({snapshot.name for snapshot in snapshots})
    ours = [snapshot for snapshot in snapshots if snapshot.name == name]
    if not ours:
        raise RingstandError(f"Failed to restore the files of {name!r}: there are only {', '.join(names) or 'none'}")
    early = [snapshot for snapshot in ours if target is None or _taken(snapshot) <= target]
    if not early:
        first = min(_taken(snapshot) for snapshot in ours)
        raise RingstandError(f"Failed to restore the files of {name!r}: the oldest snapshot is of {iso(int(first))}")
    return max(early, key=_taken)


def restore(settings: BackupSettings, name: str, into: str, to: str, now: float) -> dict[str, Any]:
    """Restore them below ``into``, a directory that does not exist yet; an incomplete one is removed again."""
    target = parse_target(to, now)
    if not os.path.isabs(into):
        raise RingstandError(f"Failed to restore files into {into!r}: name the directory from / on")
    if os.path.lexists(into):
        raise RingstandError(f"Failed to restore files into {into}: it exists. Name a directory that does not")
    if not os.path.isdir(os.path.dirname(into.rstrip("/"))):
        raise RingstandError(f"Failed to restore files into {into}: the directory above it does not exist")
    snapshot = choose(restic.snapshots(settings.repository), name, target)
    os.mkdir(into, 0o700)
    try:
        restic.restore(settings.repository, snapshot.id, into)
    except BaseException:
        shutil.rmtree(into, ignore_errors=True)
        raise
    return {"files": name, "snapshot": snapshot.id, "taken": iso(int(_taken(snapshot))), "into": into}


def _taken(snapshot: Snapshot) -> float:
    # restic writes nanoseconds. A clock that was set back may have left snapshots that are younger than now.
    taken = parse_target(re.sub(r"(\.\d{6})\d+", r"\1", snapshot.time), _END_OF_TIME)
    return taken or 0.0

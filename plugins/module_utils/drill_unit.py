# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Start a restore drill as a unit of its own, see that there is one at a time, and let a real restore go first."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

from . import backup_settings, backup_status, transient_unit
from .errors import RingstandError
from .systemd import systemctl

UNIT = "ringstand-drill.service"
LOCK_PATH = "/run/lock/ringstand-drill.lock"
_STOP_SECONDS = 300


@contextlib.contextmanager
def only_drill(now: float) -> Iterator[None]:
    """Hold the lock of drills. A drill may not begin during a backup or restore, but a backup may begin during it.

    Raises :class:`RingstandError`, with the holder's name, when another one is under way.
    """
    with contextlib.ExitStack() as stack:
        with backup_settings.only_one("drill", now):
            stack.enter_context(backup_settings.only_one("drill", now, LOCK_PATH))
        yield


@contextlib.contextmanager
def only_restore(now: float) -> Iterator[None]:
    """Hold the lock of backups and restores for a restore, which needs the room and the speed that a drill takes."""
    with backup_settings.only_one("restore", now):
        stop()
        yield


def holder() -> str:
    """Which drill is under way, for people; empty when none is."""
    return backup_settings.holder(LOCK_PATH)


def stop() -> bool:
    """End a drill; returns whether there was one. Nothing of it is left, and the next night has another one."""
    if not transient_unit.is_active(UNIT):
        return False
    systemctl("stop", UNIT, timeout_seconds=_STOP_SECONDS)
    return True


def run_drill(options: Sequence[str] = ()) -> dict[str, Any]:
    """Run a drill, with these options, and wait for it; returns the status of backups, of which it is a part.

    Raises :class:`RingstandError` when it could not start or was ended from outside.
    """
    began = time.time()
    properties = ["KillMode=mixed", "TimeoutStopSec=240", "Nice=19", "IOSchedulingClass=idle", "CPUWeight=20",
                  "OOMScoreAdjust=500"]  # fmt: skip
    waiter = transient_unit.start(UNIT, "restore drill of this host", ["drill", "--here", *options], properties)
    _out, stderr = waiter.communicate()
    status = backup_status.load()
    finished = backup_status.finished_at(status, "drill")
    if finished is not None and finished >= int(began):
        return status
    if "already" in stderr:
        last = f"another one is under way ({holder() or 'it has only just begun'})"
    else:
        last = transient_unit.last_words(UNIT, began, stderr, waiter.returncode)
    raise RingstandError(f"Failed to drill a restore: {last}", rc=waiter.returncode, stderr=stderr)

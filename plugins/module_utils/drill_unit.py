# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Start a restore drill as a unit of its own, see that there is one at a time, and let a real restore go first."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from typing import Any

from . import backup_settings, backup_status
from .errors import RingstandError
from .host_program import PROGRAM
from .systemd import journal_tail, systemctl, unit_properties

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
    if unit_properties(UNIT, "ActiveState").get("ActiveState") not in ("active", "activating", "deactivating"):
        return False
    systemctl("stop", UNIT, timeout_seconds=_STOP_SECONDS)
    return True


def run_drill() -> dict[str, Any]:
    """Run a drill and wait for it; returns the status of backups, of which it is a part.

    Raises :class:`RingstandError` when it could not start or was ended from outside.
    """
    began = time.time()
    done = subprocess.run(
        ["systemd-run", "--quiet", "--collect", "--wait", "--service-type=exec", f"--unit={UNIT}",
         "--description=restore drill of this host", "--property=KillMode=mixed", "--property=TimeoutStopSec=240",
         "--property=Nice=19", "--property=IOSchedulingClass=idle", "--property=CPUWeight=20",
         "--property=OOMScoreAdjust=500", PROGRAM, "drill", "--here"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False,
    )
    status = backup_status.load()
    finished = backup_status.finished_at(status, "drill")
    if finished is not None and finished >= int(began):
        return status
    said = done.stderr.strip()
    if "already" in said:
        said = f"another one is under way ({holder() or 'it has only just begun'})"
    else:
        said = journal_tail(UNIT, began).strip() or said
    last = (said.splitlines() or [f"it ended with {done.returncode}"])[-1]
    raise RingstandError(f"Failed to drill a restore: {last}", rc=done.returncode, stderr=done.stderr)

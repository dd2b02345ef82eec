# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Start a backup as a unit of its own and wait for it: an SSH session that is cut ends only the waiting."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from . import backup_status, transient_unit
from .errors import RingstandError

UNIT = "ringstand-backup.service"


def run_backup(options: Sequence[str]) -> dict[str, Any]:
    """Run ``ringstand backup`` with these options; returns the status that it has written.

    Raises :class:`RingstandError` when it could not start, such as when another one is under way, or was ended.
    """
    began = time.time()
    properties = ["Nice=19", "IOSchedulingClass=best-effort", "IOSchedulingPriority=7"]
    waiter = transient_unit.start(UNIT, "backup of this host", ["backup", *options], properties)
    _out, stderr = waiter.communicate()
    status = backup_status.load()
    finished = backup_status.seconds(status.get("finished"))
    if finished is not None and finished >= int(began):
        return status
    last = transient_unit.last_words(UNIT, began, stderr, waiter.returncode)
    raise RingstandError(f"Failed to back up this host: {last}", rc=waiter.returncode, stderr=stderr)

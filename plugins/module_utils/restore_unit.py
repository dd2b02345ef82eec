# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Start a restore as a unit of its own, follow it, and return what came of it.

The unit outlives the SSH session that asked for it, and its fixed name lets there be only one.
"""

from __future__ import annotations

import json
import os
import uuid
from typing import Any, Callable

from . import transient_unit
from .errors import RingstandError
from .ledger import read_lines
from .releases import write_durably
from .restore_job import CLUSTER, UNDO
from .restore_plan import host_name
from .restore_state import PROGRESS_PATH

UNIT = "ringstand-restore.service"
REQUEST_PATH = "/run/ringstand-restore-{token}.json"
_PROPERTIES = ("KillMode=mixed", "OOMScoreAdjust=-500", "TimeoutStopSec=infinity")


def holder() -> str:
    """Which restore is under way, for people; empty when none is."""
    if not transient_unit.is_active(UNIT):
        return ""
    lines = read_lines(PROGRESS_PATH)
    begun = next((line for line in lines if line.get("event") == "start"), None)
    if begun is None:
        return "it has only just begun"
    step = next((line["text"] for line in reversed(lines) if line.get("event") == "step"), "its first checks")
    return f"{begun.get('what') or 'it'} since {begun.get('at')}, now {step}"


def run_restore(request: dict[str, Any], say: Callable[[str], None]) -> dict[str, Any]:
    """Run a restore (a request of :mod:`restore_job`) and return its result.

    Raises :class:`RingstandError` when it fails, when another one is under way, or when it was killed.
    """
    token = uuid.uuid4().hex
    path = REQUEST_PATH.format(token=token)
    write_durably(path, json.dumps({**request, "token": token}), 0o600)
    try:
        waiter = transient_unit.start(UNIT, "restore from the backup", ["restoration", path], _PROPERTIES)
        seen = transient_unit.follow(PROGRESS_PATH, token, ("step",), say, lambda: waiter.poll() is not None)
    finally:
        if os.path.exists(path):
            os.unlink(path)
    result = next((line for line in reversed(seen) if line.get("event") == "result"), None)
    if result is not None:
        return {key: value for key, value in result.items() if key not in ("event", "at")}
    stderr = waiter.stderr.read() if waiter.stderr else ""
    if not seen:
        reason = holder()
        if reason or "already" in stderr:
            raise RingstandError(
                f"Failed to restore: another restore is under way: {reason or 'it has only just begun'}. "
                f"Wait for it; follow it with `journalctl -fu {UNIT}`"
            )
    step = next((line["text"] for line in reversed(seen) if line.get("event") == "step"), "its first checks")
    way_back = f", or put the old data directory back with: ringstand restore --undo --confirm {host_name()}"
    raise RingstandError(
        f"Failed to restore: it was ended from outside while {step}. Nothing is lost: run it again"
        f"{way_back if request['kind'] in (CLUSTER, UNDO) else ''}",
        stderr=stderr,
    )

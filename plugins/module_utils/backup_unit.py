# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Start a backup as a unit of its own and wait for it: an SSH session that is cut ends only the waiting."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from typing import Any

from . import backup_status
from .errors import RingstandError
from .host_program import PROGRAM
from .systemd import journal_tail

UNIT = "ringstand-backup.service"


def run_backup(options: Sequence[str]) -> dict[str, Any]:
    """Run ``ringstand backup`` with these options; returns the status that it has written.

    Raises :class:`RingstandError` when it could not start, such as when another one is under way, or was ended.
    """
    began = time.time()
    done = subprocess.run(
        ["systemd-run", "--quiet", "--collect", "--wait", f"--unit={UNIT}", "--description=backup of this host",
         "--property=Nice=19", "--property=IOSchedulingClass=best-effort", "--property=IOSchedulingPriority=7",
         PROGRAM, "backup", *options],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False,
    )
    status = backup_status.load()
    finished = backup_status.seconds(status.get("finished"))
    if finished is not None and finished >= int(began):
        return status
    said = done.stderr.strip()
    if "already" not in said:
        said = journal_tail(UNIT, began).strip() or said
    last = (said.splitlines() or [f"it ended with {done.returncode}"])[-1]
    raise RingstandError(f"Failed to back up this host: {last}", rc=done.returncode, stderr=done.stderr)

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Wait for a lock that frees itself when the process that holds it ends."""

from __future__ import annotations

import fcntl
import time


def acquire(descriptor: int, wait_seconds: float, poll_seconds: float) -> bool:
    """Lock an open file for this process alone; False when another one holds it for longer than ``wait_seconds``."""
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(poll_seconds)

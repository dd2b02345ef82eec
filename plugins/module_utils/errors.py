# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The one exception that the collection's logic raises for a failure that a person can act on, and the system's own."""

from __future__ import annotations

import errno
from typing import Any


class RingstandError(Exception):
    """A failure with a message for people and details for programs.

    ``message`` reads "Failed to <verb> <object>: <reason>"; ``details`` holds what a module returns beside it,
    such as ``rc`` and ``stderr``. Neither may contain a secret.
    """

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


def reason_of(error: OSError) -> str:
    """What the system refused, for people; a full disk is the one that they can do something about."""
    paths = " to ".join(str(path) for path in (error.filename, error.filename2) if path)
    reason = str(error.strerror or error) + (f": {paths}" if paths else "")
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return reason
    return f"{reason}. Free some space and inodes there (df -h, df -i) and run it again."

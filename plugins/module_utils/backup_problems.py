# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What can be wrong with a backup, as data, and whose it is."""

from __future__ import annotations

import subprocess
from dataclasses import asdict, dataclass
from typing import Any

from .errors import RingstandError

# What is done every night, in this order. A part that fails never keeps the next from running.
NIGHTLY = ("postgresql", "dumps", "files", "verify", "offsite")
# Before it, in every run: what is watched. After it, every some days, as a process of its own: the restore drill.
WATCHED = ("archive", "space")
PARTS = (*WATCHED, *NIGHTLY, "drill")
# What a step may raise without ending the run.
FAILURES = (RingstandError, OSError, ValueError, subprocess.SubprocessError)


@dataclass(frozen=True)
class Problem:
    """One finding: the part of the backup, the file ("" when it is none of a file) and the reason.

    ``corruption`` tells what is damaged from what merely failed.
    """

    part: str
    file: str
    reason: str
    corruption: bool = False

    def as_dict(self) -> dict[str, Any]:
        """As it is in the status file."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.part}: {self.file}: {self.reason}" if self.file else f"{self.part}: {self.reason}"

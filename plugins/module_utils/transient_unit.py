# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Run the host program as a transient unit, which outlives whoever started it.

A unit's fixed name is its lock, which systemd frees when the process ends, however it ends.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Container, Sequence
from typing import Any

from .host_program import PROGRAM
from .ledger import read_lines
from .systemd import journal_tail, unit_properties

POLL_SECONDS = 0.1
ACTIVE = ("active", "activating", "deactivating")


def is_active(unit: str) -> bool:
    """Whether the unit runs, or is just about to begin or to end."""
    return unit_properties(unit, "ActiveState").get("ActiveState") in ACTIVE


def start(
    unit: str, description: str, arguments: Sequence[str], properties: Sequence[str] = (), wait: bool = True
) -> subprocess.Popen[str]:
    """Start ``ringstand`` with these arguments; the process that is returned ends with it, or without ``wait`` at once.

    Never with --pipe: a process that prints into a session that is gone dies at its next line. What systemd itself
    says, such as that the unit runs already, is in the returned process's ``stderr``.
    """
    return subprocess.Popen(
        [
            "systemd-run",
            "--quiet",
            "--collect",
            *(["--wait"] if wait else []),
            "--service-type=exec",
            f"--unit={unit}",
            f"--description={description}",
            *(f"--property={one}" for one in properties),
            PROGRAM,
            *arguments,
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def follow(
    progress: str, token: str, events: Container[str], say: Callable[[str], None], has_ended: Callable[[], bool]
) -> list[dict[str, Any]]:
    """Report what the run that carries ``token`` writes into ``progress`` until it ends; returns its lines.

    Of its ``events`` the ``phase`` or the ``text`` is said.
    """
    told = 0
    while True:
        ended = has_ended()
        lines = read_lines(progress)
        ours = lines if lines and lines[0].get("token") == token else []
        for line in ours[told:]:
            if line.get("event") in events:
                say(str(line.get("phase") or line.get("text")))
        told = len(ours)
        if ended:
            return ours
        time.sleep(POLL_SECONDS)


def last_words(unit: str, began: float, stderr: str, rc: int) -> str:
    """The last line of what a unit has said since it began, or else of what systemd did."""
    said = stderr.strip()
    if "already" not in said:
        said = journal_tail(unit, began).strip() or said
    lines = said.splitlines() or [f"it ended with {rc}"]
    # systemd speaks last, of the time that it took and the like; what the program itself says has its name before it.
    own = [line.partition(": ")[2] for line in lines if line.startswith("ringstand: ")]
    return (own or lines)[-1]

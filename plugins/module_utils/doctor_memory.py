# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Memory, and who was killed for want of it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from . import commands
from .doctor_findings import HOST, Finding
from .systemd import redact

AVAILABLE_SHARE_MIN = 0.05
_KILLED = r"Killed process|Out of memory: Kill"


def check() -> Iterator[Finding]:
    """What is available now, and the kernel's kills since boot."""
    with open("/proc/meminfo", encoding="utf-8") as stream:
        yield from judge(stream.read())
    kernel = ["journalctl", "--quiet", "--no-pager", "--dmesg", "--boot", "--output=short-iso", f"--grep={_KILLED}"]
    lines = [line for line in commands.run(kernel, timeout_seconds=5).stdout.splitlines() if line.strip()]
    if lines:
        what = f"the kernel killed {len(lines)} processes for want of memory since boot, last: {redact(lines[-1])}"
        yield Finding(HOST, what, "Fewer workers, a memory_mb for the app that grew, or more memory.")


def judge(text: str) -> Iterator[Finding]:
    """``text`` is that of /proc/meminfo."""
    sizes = {name: int(size) for name, size in re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE)}
    total, available = sizes.get("MemTotal", 0), sizes.get("MemAvailable", 0)
    if total and available < total * AVAILABLE_SHARE_MIN:
        what = f"only {available // 1024} of {total // 1024} MB of memory are available"
        yield Finding(HOST, what, "systemd-cgtop -m shows who has it; fewer workers, or more memory.")

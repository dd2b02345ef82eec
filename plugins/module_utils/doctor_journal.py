# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How often an app has complained in the last hour."""

from __future__ import annotations

from collections.abc import Iterator

from . import commands
from .doctor_findings import NOTICE, Finding
from .layout import AppSettings
from .systemd import redact

# What an app logs to standard error has no priority that means anything: its words tell.
PATTERN = r"\[?(ERROR|CRITICAL)\b|Traceback \(most recent call last\)"
_SHOWN_CHARACTERS = 160


def check(settings: AppSettings) -> Iterator[Finding]:
    """Lines of errors, and the last one of them."""
    unit = f"ringstand-{settings.name}@*.service"
    command = ["journalctl", "--quiet", "--no-pager", "--output=cat", "--since=-1h", f"--unit={unit}"]
    found = commands.run([*command, "--case-sensitive=yes", f"--grep={PATTERN}"], timeout_seconds=5)
    lines = [line for line in found.stdout.splitlines() if line.strip()]
    if lines:
        last = redact(lines[-1])[:_SHOWN_CHARACTERS]
        do = f"ringstand logs --since '1 hour ago' --process web {settings.name}"
        yield Finding(settings.name, f"{len(lines)} errors in its log within the last hour, last: {last}", do, NOTICE)

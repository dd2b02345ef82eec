# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The few things that the release engine asks of systemd, through its own commands."""

from __future__ import annotations

import re
import subprocess

from .errors import RingstandError

# What a message may not repeat from a journal: passwords in URLs, and values of variables with a telling name.
_SECRETS = (
    (re.compile(r"(://[^\s:/@]*:)[^\s@]+@"), r"\1***@"),
    (re.compile(r"(?i)\b([\w-]*(?:password|passwd|secret|token|api_?key)[\w-]*[\"']?\s*[=:]\s*)[^\s,;]+"), r"\1***"),
)


def redact(text: str) -> str:
    """Return ``text`` with passwords in URLs and the values of secret-looking names replaced by ``***``."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def systemctl(*arguments: str, check: bool = True, timeout_seconds: float = 120) -> subprocess.CompletedProcess[str]:
    """Run ``systemctl``; with ``check`` a failure is a :class:`RingstandError` that carries its words."""
    try:
        done = subprocess.run(
            ["systemctl", *arguments], capture_output=True, text=True, timeout=timeout_seconds, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise RingstandError(
            f"Failed to run systemctl {' '.join(arguments)}: no answer within {timeout_seconds:.0f} s"
        ) from error
    if check and done.returncode != 0:
        raise RingstandError(
            f"Failed to run systemctl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}",
            rc=done.returncode,
            stderr=done.stderr,
        )
    return done


def unit_properties(unit: str, *names: str) -> dict[str, str]:
    """Return the named properties of a unit, as ``systemctl show`` prints them (an unknown unit has defaults)."""
    done = systemctl("show", unit, *(f"--property={name}" for name in names))
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def journal_tail(unit: str, since: float, lines: int = 20) -> str:
    """Return the last lines that a unit wrote since ``since`` (seconds since the epoch), secrets removed."""
    done = subprocess.run(
        ["journalctl", "--no-pager", "--quiet", "--output=cat", f"-n{lines}", f"--since=@{since:.0f}", "-u", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    return redact(done.stdout.strip())

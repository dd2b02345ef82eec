# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How ``ringstand`` speaks: results on standard output, progress and failures on standard error."""

from __future__ import annotations

import sys


def say(text: str) -> None:
    """A result, or with --json the one object."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def complain(text: str) -> None:
    """Progress or a failure."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()

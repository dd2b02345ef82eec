# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How ``ringstand`` speaks: results on standard output, progress and failures on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterable


def say(text: str) -> None:
    """A result, or with --json the one object."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def complain(text: str) -> None:
    """Progress or a failure."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


class Teller:
    """Tells how an activation of an app goes, step by step; with --json nothing, because its outcome has it all."""

    def __init__(self, app: str, is_silent: bool) -> None:
        self._app, self._is_silent = app, is_silent
        self._told: set[str] = set()

    def __call__(self, text: str) -> None:
        self._told.add(text)
        if not self._is_silent:
            complain(f"{self._app}: {text}")

    def rest(self, notices: Iterable[str]) -> None:
        """Tell those of the outcome's notices that came with no step, as of one that was ended from outside."""
        for text in notices:
            if text not in self._told:
                self(text)

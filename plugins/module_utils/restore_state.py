# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is known of a restore that has begun, kept where a later run finds it, and the steps of the one under way."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from typing import Any, Callable, Protocol

from . import kept_state
from .backup_settings import STATE_DIR
from .ledger import append_line, utc
from .releases import write_durably

STATE_PATH = f"{STATE_DIR}/restore.json"
PROGRESS_PATH = f"{STATE_DIR}/restore-progress.jsonl"
SCHEMA = 1


@dataclass(frozen=True)
class State:
    """One restore. ``kept`` is where the old data directory goes, empty when there was none.

    ``phase``: begun (nothing moved yet, or just now), aside (the old one is out of the way), restored (the new one is
    being replayed), promoting (once its signal files are gone it may have been written to), done, undone.
    """

    phase: str
    data_dir: str
    kept: str
    was_running: bool
    target: str
    started: str

    @property
    def unfinished(self) -> bool:
        return self.phase not in ("done", "undone")


def read(path: str = STATE_PATH) -> State | None:
    """The last restore of this host; raises :class:`RingstandError` when the file is damaged."""
    return kept_state.read(
        path,
        State,
        "It tells what an earlier restore has left: look for directories named *.before-restore-* beside the data "
        "directory, then remove the file",
    )


def write(state: State, path: str = STATE_PATH) -> State:
    """Keep it durably."""
    os.makedirs(os.path.dirname(path), mode=0o750, exist_ok=True)
    write_durably(path, json.dumps({"schema": SCHEMA, **asdict(state)}, indent=1))
    return state


class Steps(Protocol):
    """Who is told what is being done."""

    def step(self, text: str) -> None:
        """What is being done now."""

    def notice(self, text: str) -> None:
        """Something that the operator should know and that fails nothing."""


class SpokenSteps:
    """Steps that are only said."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def step(self, text: str) -> None:
        """What is being done now."""
        self._say(text)

    def notice(self, text: str) -> None:
        """Something that the operator should know and that fails nothing."""
        self._say(text)


class Progress:
    """The steps of a restore, as lines that another process can follow."""

    def __init__(self, say: Callable[[str], None], request: dict[str, Any], path: str = PROGRESS_PATH) -> None:
        self._say, self._path = say, path
        self._began = time.monotonic()
        self.notices: list[str] = []
        with open(path, "w", encoding="utf-8"):
            pass
        self._write({"event": "start", **request})

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return round(time.monotonic() - self._began, 1)

    def step(self, text: str) -> None:
        """What is being done now."""
        self._write({"event": "step", "text": text})
        self._say(text)

    def notice(self, text: str) -> None:
        """Something that the operator should know and that fails nothing."""
        self.notices.append(text)
        self._write({"event": "step", "text": text})
        self._say(text)

    def result(self, result: dict[str, Any]) -> None:
        """The last line: what came of it."""
        self._write({"event": "result", **result})

    def _write(self, entry: dict[str, Any]) -> None:
        append_line(self._path, {"at": utc(time.time()), **entry})

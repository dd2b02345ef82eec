# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What happened to an app: the ledger of its activations, and the steps of the one under way."""

from __future__ import annotations

import calendar
import contextlib
import json
import os
import time
from collections.abc import Iterator
from typing import Any, Callable

from .layout import Layout

SCHEMA = 1
# What each step says of its release.
_ABOUT = ("release", "version", "sha")


def append_line(path: str, entry: dict[str, Any]) -> None:
    """Append one JSON object as a line, durably. A line cut short by a crash is closed first."""
    line = json.dumps(entry, sort_keys=True) + "\n"
    with open(path, "a+b") as stream:
        if stream.tell() > 0:
            stream.seek(-1, os.SEEK_END)
            if stream.read(1) != b"\n":
                line = "\n" + line
        stream.write(line.encode())
        stream.flush()
        os.fsync(stream.fileno())


def read_lines(path: str) -> list[dict[str, Any]]:
    """Return the objects of a file of JSON lines, oldest first; a missing file is empty, a damaged line is left out."""
    entries = []
    with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8", errors="replace") as stream:
        for line in stream:
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if isinstance(entry, dict):
                    entries.append(entry)
    return entries


def utc(seconds: float) -> str:
    """Seconds since the epoch as ISO 8601 in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def from_utc(text: str) -> float:
    """The seconds since the epoch of what :func:`utc` has written."""
    return float(calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ")))


def good_releases(layout: Layout) -> list[str]:
    """The releases that served well and are still on disk, in the order in which they last went live.

    A release that was rolled back from is not among them until it has been made live again.
    """
    good: list[str] = []
    for entry in read_lines(layout.ledger):
        if entry.get("result") != "ok" or "release" not in entry:
            continue
        gone = {entry["release"], entry.get("previous") if entry.get("kind") == "rollback" else None}
        good = [*(name for name in good if name not in gone), entry["release"]]
    return [name for name in good if os.path.isfile(os.path.join(layout.release_dir(name), "manifest.json"))]


def unfinished(layout: Layout) -> dict[str, Any] | None:
    """The activation whose steps are on disk, when it did not tell what came of it.

    Has kind, by, at and, of its last step, step, ended (when it began), release, version and sha; ``proven`` tells
    whether its release was.
    """
    lines = read_lines(layout.progress)
    begun = next((line for line in lines if line.get("event") == "start"), None)
    if begun is None or not {"kind", "by", "at"} <= begun.keys():
        return None
    if any(line.get("event") == "result" for line in lines):
        return None
    last: dict[str, Any] = next((line for line in reversed(lines) if line.get("event") == "phase"), {})
    return {
        **begun,
        "step": last.get("phase") or "its start",
        "ended": last.get("at") or begun["at"],
        **{key: last.get(key) for key in _ABOUT},
        "proven": any(line.get("event") == "proven" for line in lines),
    }


def ended_from_outside(kind: str, app: str, step: str) -> str:
    """The reason for people why an activation has no result."""
    return (
        f"Failed to {kind} {app}: the activation was ended from outside during {step!r}. "
        "Run it again: it continues from whatever is there."
    )


def last_live(layout: Layout) -> str | None:
    """The release that served after the last activation, whatever came of it; None when none ever did."""
    entries = [entry for entry in read_lines(layout.ledger) if "live" in entry]
    return entries[-1]["live"] if entries else None


class Progress:
    """Records the steps of one activation where another process can follow them, and times them.

    ``begins=False`` adds to the steps of one that has ended.
    """

    def __init__(
        self, layout: Layout, kind: str, by: str, say: Callable[[str], None], token: str = "", begins: bool = True
    ) -> None:
        self._path = layout.progress
        self._say = say
        self._started = time.time()
        self.kind, self.by = kind, by
        self.phases: dict[str, float] = {}
        self.notices: list[str] = []
        # What the ledger says of the release, also of one that fails: release, version, sha, venv_built, migration.
        self.about: dict[str, Any] = {}
        self.is_proven = False
        if begins:
            with open(self._path, "w", encoding="utf-8"):
                pass
            self._write({"event": "start", "kind": kind, "by": by, "pid": os.getpid(), "token": token})

    @property
    def started(self) -> float:
        """When the activation began, in seconds since the epoch."""
        return self._started

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a step; its seconds count even when it fails."""
        self._write({"event": "phase", "phase": name, **{key: self.about.get(key) for key in _ABOUT}})
        self._say(f"{name} …")
        began = time.monotonic()
        try:
            yield
        finally:
            self.phases[name] = round(time.monotonic() - began, 3)

    def proven(self) -> None:
        """The release keeps the traffic: whatever ends the activation from now on, it has served its purpose."""
        self.is_proven = True
        self._write({"event": "proven"})

    def notice(self, text: str) -> None:
        """Something that the operator should know and that fails nothing."""
        self.notices.append(text)
        self._write({"event": "notice", "text": text})
        self._say(text)

    def result(self, result: dict[str, Any]) -> None:
        """The last line: what came of it."""
        self._write({"event": "result", **result})

    def _write(self, entry: dict[str, Any]) -> None:
        append_line(self._path, {"at": utc(time.time()), **entry})

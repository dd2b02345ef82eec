# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The restore points that deploys have set before their migrations, as the apps' ledgers remember them."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from .errors import RingstandError
from .ledger import read_lines
from .restore_target import END_OF_TIME, parse_target

STATE_DIR = "/var/lib/ringstand"
_SHOWN = 20


@dataclass(frozen=True)
class Point:
    """The moment before the migrations of a release. ``at`` is ISO 8601 in UTC; ``name`` is its name in the WAL."""

    app: str
    release: str
    name: str
    at: str

    @property
    def seconds(self) -> float:
        """Since the epoch."""
        return parse_target(self.at, END_OF_TIME) or 0.0

    def __str__(self) -> str:
        return f"{self.app}/{self.release} ({self.at})"


def known(directory: str = STATE_DIR) -> list[Point]:
    """All that the ledgers on this host tell of, oldest first."""
    found = []
    for path in sorted(glob.glob(os.path.join(glob.escape(directory), "*", "ledger.jsonl"))):
        app = os.path.basename(os.path.dirname(path))
        for entry in read_lines(path):
            point = (entry.get("migration") or {}).get("restore_point")
            if point and entry.get("release"):
                found.append(Point(app, str(entry["release"]), str(point["name"]), str(point["at"])))
    return sorted(found, key=lambda point: point.at)


def find(wanted: str, points: Sequence[Point]) -> Point:
    """The point before a release, ``wanted`` being its id or ``app/id``.

    Raises :class:`RingstandError`, with those that there are, when there is none or more than one.
    """
    app, _slash, release = wanted.rpartition("/")
    found = [point for point in points if point.release == release and app in ("", point.app)]
    if not found:
        shown = ", ".join(str(point) for point in reversed(points[-_SHOWN:])) or "none: no deploy has set one here"
        raise RingstandError(
            f"Failed to find a restore point before the release {wanted!r}. Nothing was changed. There are: {shown}"
        )
    if len({point.app for point in found}) > 1:
        names = " or ".join(f"{point.app}/{point.release}" for point in found)
        raise RingstandError(f"Failed to choose a restore point: write {names}. Nothing was changed")
    return found[-1]


def name_in_wal(point: Point, points: Sequence[Point]) -> str:
    """The point's name, or nothing when another has the same: PostgreSQL stops at the first, so its time must do."""
    return "" if Counter(other.name for other in points)[point.name] > 1 else point.name

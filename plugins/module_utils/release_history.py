# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the ledger tells of each release, and of the last attempts to change what serves, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .ledger import from_utc, utc
from .systemd import redact

_ATTEMPTS = 10
_REASON_CHARACTERS = 120
# What gives the traffic to another release. A restart and processes leave it where it is.
_MOVING = ("deploy", "rollback")
_UNKNOWN = "-"

Entries = Sequence[Mapping[str, Any]]


def schema_revision(entries: Entries, release: str | None) -> str | None:
    """The revision at which the deploy of a release left the database; None when it brought it to none."""
    for entry in reversed(entries):
        migration = entry.get("migration")
        if release and entry.get("release") == release and isinstance(migration, Mapping) and migration.get("after"):
            return str(migration["after"])
    return None


def went_live(entries: Entries, release: str) -> str | None:
    """When a release last got the traffic and kept it, in UTC; None when it never did."""
    for entry in reversed(entries):
        if entry.get("release") == release and entry.get("result") == "ok" and entry.get("kind") in _MOVING:
            return _ended(entry)
    return None


def _ended(entry: Mapping[str, Any]) -> str | None:
    try:
        return utc(from_utc(entry["started"]) + entry["seconds"])
    except (KeyError, TypeError, ValueError, OverflowError):  # a line that somebody else has written
        return None


def release_lines(releases: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each of ``releases``, which have release, state, version, schema_revision and went_live."""
    return _aligned([
        (
            _text(row["release"]),
            _text(row["state"]),
            _text(row["version"]),
            f"schema {_text(row['schema_revision'])}",
            f"live {row['went_live']}" if row["went_live"] else "",
        )
        for row in releases
    ])


def attempt_lines(entries: Entries) -> list[str]:
    """A line for each of the last attempts, oldest first: when, what, by whom, of which release, and its outcome."""
    return _aligned([
        (
            _text(entry.get("started")),
            _text(entry.get("kind")),
            _text(entry.get("by")),
            _text(entry.get("release") or entry.get("version")),
            _text(entry.get("result")),
            f"{entry['seconds']:.1f} s" if isinstance(entry.get("seconds"), (int, float)) else _UNKNOWN,
            _shortened(entry.get("reason")),
        )
        for entry in entries[-_ATTEMPTS:]
    ])


def _text(value: Any) -> str:
    return " ".join(str(value or _UNKNOWN).split())


def _shortened(reason: Any) -> str:
    text = redact(" ".join(str(reason or "").split()))
    return text if len(text) <= _REASON_CHARACTERS else f"{text[:_REASON_CHARACTERS - 1].rstrip()}…"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]

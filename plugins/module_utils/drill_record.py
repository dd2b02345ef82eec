# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What restore drills have proven: the last backup, dump and set of files of each kind that was really restored.

Retention never removes these, however old, before a newer one has been proven.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from .backup_settings import STATE_DIR
from .pgbackrest import Backup
from .releases import write_durably

PATH = os.path.join(STATE_DIR, "drills.json")
LOCAL, OFFSITE = "local", "offsite"
_NAMED = 5
Proof = dict[str, Any]


@dataclass
class Record:
    """``clusters`` by place (label), ``dumps`` by database (path), ``files`` by place/set (id); each has ``at``."""

    clusters: dict[str, Proof] = field(default_factory=dict)
    dumps: dict[str, Proof] = field(default_factory=dict)
    files: dict[str, Proof] = field(default_factory=dict)


def load(path: str = PATH) -> Record:
    """The record; an empty one when there is none or it is damaged."""
    try:
        with open(path, encoding="utf-8") as stream:
            data = json.load(stream)
        return Record(**{key: dict(data[key]) for key in Record.__annotations__})
    except (OSError, ValueError, KeyError, TypeError):
        return Record()


def save(record: Record, path: str = PATH) -> None:
    """Write the record durably."""
    write_durably(path, json.dumps(asdict(record), indent=1) + "\n", 0o600)


def next_of(names: Iterable[str], proven: dict[str, Proof]) -> str:
    """Whose turn it is: the one that was proven least recently, first those that never were; empty without names."""
    return min(sorted(names), key=lambda name: float(proven.get(name, {}).get("at", 0)), default="")


def full_count(backups: Sequence[Backup], proven: str, wanted: int) -> int:
    """How many full backups to keep, so that the backup ``proven`` (a label) and what it builds on are among them."""
    fulls = [backup.label for backup in backups if backup.kind == "full"]
    base = proven.split("_")[0]
    return max(wanted, len(fulls) - fulls.index(base)) if base in fulls else wanted


def describe(part: Mapping[str, Any]) -> str:
    """What came of a drill, for people."""
    phases = ", ".join(f"{name} {seconds:g} s" for name, seconds in (part.get("phases") or {}).items())
    what = f"the backup {part['label']} ({part['from']}) " if part.get("label") else ""
    good = "could be restored and is sound" if part["result"] == "ok" else "FAILED"
    left = int(part.get("tables_not_counted") or 0)
    names = ", ".join((part.get("not_counted") or [])[:_NAMED])
    more = f" and {left - _NAMED} more" if left > _NAMED else ""
    limits = f". Read but not counted, being large or not read in time: {names}{more}" if left else ""
    return f"Drill of {part['finished']}: {what}{good}; {part['seconds']:g} s in all ({phases}){limits}"

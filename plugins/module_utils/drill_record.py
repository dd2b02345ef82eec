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
    """``clusters`` by place (label), ``dumps`` by database (path), ``files`` by place/set (id); each has ``at``.

    ``tried`` has when each of them was last tried, whatever came of it, by kind/name.
    """

    clusters: dict[str, Proof] = field(default_factory=dict)
    dumps: dict[str, Proof] = field(default_factory=dict)
    files: dict[str, Proof] = field(default_factory=dict)
    tried: dict[str, float] = field(default_factory=dict)

    def failed(self, kind: str, name: str) -> bool:
        """Whether the last try came to nothing."""
        proven: dict[str, Proof] = getattr(self, kind)
        return self.tried.get(f"{kind}/{name}", 0.0) > float(proven.get(name, {}).get("at", 0))

    def next_of(self, kind: str, names: Iterable[str]) -> str:
        """Whose turn it is: the one that was tried least recently, first those that never were; empty without names."""
        proven: dict[str, Proof] = getattr(self, kind)

        def last(name: str) -> float:
            return max(float(proven.get(name, {}).get("at", 0)), self.tried.get(f"{kind}/{name}", 0.0))

        return min(sorted(names), key=last, default="")

    def due(self, kind: str, names: Iterable[str]) -> list[str]:
        """The one whose turn it is, and those that failed: they are tried again, and keep no other from its turn."""
        names = sorted(names)
        failed = [name for name in names if self.failed(kind, name)]
        turn = self.next_of(kind, [name for name in names if name not in failed])
        return [*([turn] if turn else []), *failed]


def load(path: str = PATH) -> Record:
    """The record; an empty one when there is none or it is damaged."""
    try:
        with open(path, encoding="utf-8") as stream:
            data = json.load(stream)
        return Record(**{key: dict(data.get(key) or {}) for key in Record.__annotations__})
    except (OSError, ValueError, AttributeError, TypeError):
        return Record()


def save(record: Record, path: str = PATH) -> None:
    """Write the record durably."""
    write_durably(path, json.dumps(asdict(record), indent=1) + "\n", 0o600)


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
    limits += "".join(f". {text}" for text in part.get("only_read") or [])
    return f"Drill of {part['finished']}: {what}{good}; {part['seconds']:g} s in all ({phases}){limits}"

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The status file of backups: what the last run of each part came to, and everything that is wrong."""

from __future__ import annotations

import calendar
import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterable, Mapping
from typing import Any

from .backup_problems import PARTS, Problem
from .backup_settings import STATUS_PATH
from .errors import RingstandError
from .ledger import utc
from .releases import write_durably

SCHEMA = 1
# A night and the hours that a backup may take: without a good run for longer, something keeps it from running.
STALE_SECONDS = 30 * 3600
# Two nights more than the interval of drills: one of them may fall into a backup that takes long.
DRILL_LATE_SECONDS = 2 * 86_400


def load(path: str = STATUS_PATH) -> dict[str, Any]:
    """The status of the last run; without one an empty dictionary.

    Raises :class:`RingstandError` when the file cannot be read.
    """
    try:
        with open(path, encoding="utf-8") as stream:
            data = json.load(stream)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise RingstandError(f"Failed to read {path}: {error}. Remove it: the next backup writes it anew") from error
    return data if isinstance(data, dict) and data.get("schema") == SCHEMA else {}


def merge(
    before: Mapping[str, Any], parts: Mapping[str, Mapping[str, Any]], problems: Iterable[Problem], now: float
) -> dict[str, Any]:
    """The status after a run of some ``parts``: the others keep their last result and problems.

    Each part has ``result`` (ok or failed), ``seconds``, ``finished`` and ``good`` (when it last went well, or null).
    ``since`` is when there first was a status.
    """
    old = before.get("parts") or {}
    merged = {name: dict(old[name]) for name in PARTS if name in old}
    for name, part in parts.items():
        good = utc(now) if part["result"] == "ok" else (old.get(name) or {}).get("good")
        merged[name] = {**part, "finished": utc(now), "good": good}
    kept = [problem for problem in before.get("problems") or [] if problem.get("part") not in parts]
    return {
        "schema": SCHEMA,
        "result": "ok" if all(part["result"] == "ok" for part in merged.values()) else "failed",
        "finished": utc(now),
        "since": before.get("since") or utc(now),
        "parts": merged,
        "problems": kept + [problem.as_dict() for problem in problems],
    }


def save(status: Mapping[str, Any], path: str = STATUS_PATH) -> None:
    """Write the status durably."""
    write_durably(path, json.dumps(status, indent=1) + "\n")


def update(
    parts: Mapping[str, Mapping[str, Any]], problems: Iterable[Problem], now: float, path: str = STATUS_PATH
) -> dict[str, Any]:
    """Merge what some ``parts`` came to into the status as it is by now; a backup and a drill may both do so."""
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        status = merge(load(path), parts, problems, now)
        save(status, path)
        return status
    finally:
        os.close(descriptor)


def seconds(text: Any) -> float | None:
    """A time of the status file as seconds since the epoch; None for what is none."""
    with contextlib.suppress(TypeError, ValueError):
        return float(calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ")))
    return None


def faults(status: Mapping[str, Any], now: float, drill_days: int = 0) -> list[str]:
    """Why the runs so far are not as they should be: their problems, and parts that have not run for too long.

    ``drill_days`` is how often restores are drilled; with 0 nobody expects it.
    """
    keys = ("part", "file", "reason")
    found = [": ".join(str(entry[key]) for key in keys if entry.get(key)) for entry in status["problems"]]
    for part, entry in status["parts"].items():
        if part == "drill":
            continue
        good = seconds(entry.get("good"))
        if entry["result"] == "ok" and (good is None or now - good > STALE_SECONDS):
            found.append(f"{part}: last done at {entry.get('good')}: cron does not run it, or cannot")
    drilled = status["parts"].get("drill")
    last = seconds((drilled or {"good": status.get("since")}).get("good"))
    late = last is not None and now - last > drill_days * 86_400 + DRILL_LATE_SECONDS
    if drill_days and late and (drilled or {}).get("result") != "failed":
        when = f"last done at {drilled['good']}" if drilled else "never done"
        found.append(f"drill: {when}: whether the backups can be restored is not proven. Run ringstand drill")
    return found


def good_at(status: Mapping[str, Any], part: str) -> float | None:
    """When a part last went well."""
    return seconds(((status.get("parts") or {}).get(part) or {}).get("good"))


def finished_at(status: Mapping[str, Any], part: str) -> float | None:
    """When a part last ran, whatever came of it."""
    return seconds(((status.get("parts") or {}).get(part) or {}).get("finished"))


def of_another_place(status: Mapping[str, Any], where: str) -> bool:
    """Whether the last backup to a second place went to another one than ``where``."""
    return str(((status.get("parts") or {}).get("offsite") or {}).get("where") or where) != where


def failed(status: Mapping[str, Any], part: str) -> bool:
    """Whether the last run of a part went wrong."""
    return ((status.get("parts") or {}).get(part) or {}).get("result") == "failed"


def exit_code(problems: Iterable[Mapping[str, Any]]) -> int:
    """0 without a problem, 3 when something is damaged, else 1."""
    found = [bool(problem.get("corruption")) for problem in problems]
    return 3 if any(found) else 1 if found else 0

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What was asked of a restore, as one request, and doing or foreseeing it, whatever its kind."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Union

from . import (
    backup_settings,
    recover_run,
    restore_database,
    restore_files,
    restore_plan,
    restore_points,
    restore_run,
    restore_state,
)
from .backup_settings import BackupSettings
from .errors import RingstandError
from .pgbackrest import OWNER
from .restore_database import SidePlan
from .restore_files import FilesPlan
from .restore_plan import Plan
from .restore_state import Progress
from .restore_target import LATEST, parse_target

CLUSTER, UNDO, DATABASE, FILES = ("cluster", "undo", "database", "files")
# Of a lost host on a fresh one, which is asked for by another verb.
RECOVER = "recover"
# With what each kind goes together; all else is a mistake.
_GOES_WITH = {
    CLUSTER: ("to", "before_release", "confirm", "offsite"),
    UNDO: ("confirm",),
    DATABASE: ("to", "before_release", "tables", "side", "dump", "confirm", "offsite"),  # not needed, and no mistake
    FILES: ("to", "before_release", "into", "in_place", "paths", "snapshot", "confirm", "offsite"),
}
# At most one of each group.
_ONE_OF = (("to", "before_release", "dump"), ("to", "before_release", "snapshot"), ("into", "in_place"))
_FLAGS = {"side": "--as", "tables": "--table", "paths": "--path"}
AnyPlan = Union[Plan, SidePlan, FilesPlan]


def request(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """A request from what a command line has: keys are those of ``_GOES_WITH``, and ``undo``, ``database``, ``files``.

    Raises :class:`RingstandError` for what does not go together.
    """
    kinds = [kind for kind in (UNDO, DATABASE, FILES) if wanted.get(kind)]
    if len(kinds) > 1:
        raise RingstandError(f"Failed to restore: --{kinds[0]} and --{kinds[1]} exclude each other")
    kind = kinds[0] if kinds else CLUSTER
    every = sorted({key for keys in _GOES_WITH.values() for key in keys})
    given = [key for key in every if wanted.get(key)]
    for key in given:
        if key not in _GOES_WITH[kind]:
            needed = " or ".join(f"--{other}" for other in (DATABASE, FILES) if key in _GOES_WITH[other])
            raise RingstandError(f"Failed to restore: {_flag(key)} goes with {needed or 'a restore of the cluster'}")
    for group in _ONE_OF:
        both = [key for key in group if key in given]
        if len(both) > 1:
            raise RingstandError(f"Failed to restore: {_flag(both[0])} and {_flag(both[1])} exclude each other")
    return {**{key: wanted.get(key) or "" for key in every}, "kind": kind, "name": str(wanted.get(kind) or ""),
            "what": _words(kind, wanted)}


def _flag(key: str) -> str:
    return _FLAGS.get(key) or f"--{key.replace('_', '-')}"


def _words(kind: str, wanted: Mapping[str, Any]) -> str:
    point = wanted.get("before_release")
    when = f"to before {point}" if point else f"to {wanted.get('to') or LATEST}"
    return {CLUSTER: when, UNDO: "to what was before"}.get(kind) or f"of the {kind} {wanted.get(kind)}"


def prepare(asked: Mapping[str, Any], flush: bool) -> AnyPlan:
    """Everything that is checked before the first change; raises :class:`RingstandError`. Not for ``UNDO``."""
    settings = backup_settings.load()
    settings = settings.at_offsite() if asked.get("offsite") else settings
    target, point = _target(asked)
    if asked["kind"] == FILES:
        if asked["in_place"]:
            restore_plan.check_confirmed(asked["confirm"], f"the files of {asked['name']}")
        return restore_files.make(settings, asked["name"], target, asked["into"], bool(asked["in_place"]),
                                  asked["paths"] or (), asked["snapshot"])
    if asked["kind"] == DATABASE:
        return _database(settings, asked, target, point, flush)
    return restore_plan.make(settings, target, asked["confirm"], flush, point)


def recovery(to: str) -> dict[str, Any]:
    """The request for a recovery."""
    return {"kind": RECOVER, "to": to, "what": f"of this host as of {to}"}


def _target(asked: Mapping[str, Any]) -> tuple[float | None, str]:
    if not asked["before_release"]:
        return parse_target(asked["to"] or LATEST, time.time()), ""
    known = restore_points.known()
    found = restore_points.find(asked["before_release"], known)
    return found.seconds, restore_points.name_in_wal(found, known)


def _database(
    settings: BackupSettings, asked: Mapping[str, Any], target: float | None, point: str, flush: bool
) -> SidePlan:
    about = (settings, asked["name"], list(asked["tables"] or ()), asked["side"])
    if asked["to"] or asked["before_release"] or asked.get("offsite"):
        return restore_database.from_backup(*about, restore_plan.aside(settings, target, flush, point))
    return restore_database.from_dump(*about, asked["dump"])


def perform(asked: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Do it; returns what came of it. Raises :class:`RingstandError`."""
    if asked["kind"] == UNDO:
        cluster = replace(backup_settings.load().find_cluster(), owner=OWNER)
        return restore_run.undo(asked["confirm"], restore_state.read(), cluster, progress)
    if asked["kind"] == RECOVER:
        return recover_run.perform(backup_settings.load(), asked["to"], progress)
    progress.step("checking what there is to restore")
    plan = prepare(asked, flush=True)
    if isinstance(plan, Plan):
        return restore_run.perform(plan, progress)
    if isinstance(plan, SidePlan):
        return restore_database.perform(plan, progress)
    progress.step(f"restoring the files of {plan.name}")
    return restore_files.perform(plan)

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Watch a restored cluster replay its WAL, promote it once it has everything, and look at what came of it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Any

from . import restore_repository
from .errors import RingstandError
from .postgresql_cluster import Cluster
from .restore_plan import Plan
from .restore_state import Steps
from .restore_target import iso, lsn
from .systemd import unit_properties

_POLL_SECONDS = 0.3
_TELL_SECONDS = 15.0
# Without progress for so long, the WAL that should come next is asked for. Near the end the wait is short: the last
# segment may end within a record, so the position alone does not tell that everything has been replayed.
_STALL_SECONDS = 15.0
_END_STALL_SECONDS = 1.5
_GIVE_UP_SECONDS = 1800.0
_PROMOTE_SECONDS = 600.0
_READY_SECONDS = 300.0
_POSITION = """SELECT json_build_object('lsn', pg_last_wal_replay_lsn(), 'pause', pg_get_wal_replay_pause_state(),
'time', extract(epoch FROM pg_last_xact_replay_timestamp()))"""
# Reads the first row of each table: opening the files of all finds the ones that are missing.
_TABLES = """SELECT json_build_object('tables', coalesce(json_agg(format('%I.%I', nspname, relname)), '[]'),
'invalid', (SELECT count(*) FROM pg_index WHERE NOT indisvalid))
FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind IN ('r', 'm') AND relpersistence = 'p' AND nspname NOT IN ('pg_catalog', 'information_schema')
AND (relkind = 'r' OR relispopulated)"""


def follow(plan: Plan, progress: Steps) -> tuple[str, bool]:
    """Wait until everything up to the target has been replayed.

    Returns the time of the last change, for people, and whether PostgreSQL has seen a change after the target.

    Raises :class:`RingstandError` when the cluster does not start, or WAL that is needed cannot be read.
    """
    cluster, choice = plan.cluster, plan.choice
    position, moved, told, tried = -1, time.monotonic(), time.monotonic(), False
    while True:
        time.sleep(_POLL_SECONDS)
        _check_unit(cluster)
        try:
            answer = cluster.query(_POSITION)
        except RingstandError:
            answer = {"lsn": None, "pause": "", "time": None}
        now = lsn(answer["lsn"]) if answer["lsn"] else -1
        if now != position:
            position, moved, tried = now, time.monotonic(), False
        if answer["pause"] == "paused" or now >= choice.end_lsn:
            return _until(plan, answer)
        left = choice.segments_from(max(now, 0))
        still = time.monotonic() - moved
        if now >= 0 and len(left) <= 2 and still > _END_STALL_SECONDS:
            check_segments(plan, left)
            return _until(plan, answer)
        if now >= 0 and still > _STALL_SECONDS and not tried:
            check_segments(plan, left[:2])
            tried = True
        if now >= 0 and still > _GIVE_UP_SECONDS:
            raise RingstandError(
                f"Failed to replay WAL: nothing has moved for {still:.0f} s at segment {left[0]}, which can be read"
            )
        if time.monotonic() - told > _TELL_SECONDS:
            told = time.monotonic()
            when = f" up to {iso(int(answer['time']))}" if answer["time"] else ""
            progress.step(f"replayed{when}, {len(left)} WAL segments are left" if now >= 0 else "starting")


def _until(plan: Plan, answer: dict[str, Any]) -> tuple[str, bool]:
    last = iso(round(float(answer["time"]), 6)) if answer["time"] else iso(plan.choice.backup.finished)
    return last, plan.target is None or answer["pause"] == "paused"


def check_segments(plan: Plan, names: Sequence[str]) -> None:
    """Raise :class:`RingstandError` when one of these segments cannot be had from the archive."""
    stanza = plan.settings.stanza
    for name in names:
        problem = restore_repository.fetch_problem(stanza, name)
        if problem:
            raise RingstandError(
                f"Failed to restore to {plan.wanted}: the WAL segment {name} cannot be read from {stanza.repository}: "
                f"{problem}. What was before it can be restored with --to TIME",
                segment=name,
            )


def _check_unit(cluster: Cluster) -> None:
    found = unit_properties(cluster.unit, "ActiveState", "Result", "Job")
    if found.get("ActiveState") not in ("active", "activating") and not found.get("Job", "").strip("0"):
        raise RingstandError(
            f"Failed to start the restored cluster: {cluster.unit} is {found.get('ActiveState')} "
            f"({found.get('Result')}), see its log"
        )


def wait_until_ready(cluster: Cluster) -> None:
    """Wait until a cluster that is being started answers; raises :class:`RingstandError` when it does not."""
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        try:
            cluster.query("SELECT 'true'::json")
            return
        except RingstandError:
            if time.monotonic() > deadline:
                raise
        time.sleep(_POLL_SECONDS)


def promote(cluster: Cluster) -> None:
    """End the recovery and wait until the cluster takes writes."""
    cluster.query("SELECT to_json(pg_promote(false))")
    deadline = time.monotonic() + _PROMOTE_SECONDS
    while True:
        if not cluster.query("SELECT to_json(pg_is_in_recovery())"):
            cluster.query("CHECKPOINT; SELECT 'true'::json")  # a backup needs the new timeline in pg_control
            return
        if time.monotonic() > deadline:
            raise RingstandError(f"Failed to promote the cluster {cluster}: it did not end its recovery")
        time.sleep(_POLL_SECONDS)


def check(cluster: Cluster) -> dict[str, int]:
    """Read from every table of every database; returns the number of tables per database."""
    found = {}
    for name in cluster.databases():
        answer = cluster.query(_TABLES, name)
        reads = [f"PERFORM 1 FROM {table} LIMIT 1;" for table in answer["tables"]]
        for first in range(0, len(reads), 200):
            quote = f"$r{secrets.token_hex(8)}$"  # a table may be named like any fixed one
            block = " ".join(reads[first : first + 200])
            cluster.query(f"DO {quote} BEGIN {block} END {quote}; SELECT 'true'::json", name)
        found[name] = len(reads)
    return found

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether the WAL in the repository is fresh and whole, looked at in every run.

The server's own word is not enough: with ``archive-push-queue-max`` pgBackRest tells it that a segment was archived
which it has dropped. So each run leaves a row in the cluster, and the next one asks the repository for its segment.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from . import backup_archiving, backup_canary, backup_checksums, pgbackrest
from .backup_problems import Problem
from .ledger import utc
from .pgbackrest import Information, Stanza
from .postgresql_cluster import Cluster

# A row of the last run has to be in the repository once archive_timeout has passed, and the time to archive.
MARGIN_SECONDS = 300
# Several processes may archive at once: a segment that is being written is not missing.
SETTLE_SECONDS = 10.0


def look(
    cluster: Cluster, stanza: Stanza, before: Mapping[str, Any], now: float
) -> tuple[dict[str, Any], list[Problem]]:
    """The details of this run for the next one (``before`` has the last one's), and what is wrong."""
    problems = backup_archiving.problems(cluster, stanza)
    if not cluster.running:
        return {}, problems
    state = backup_archiving.archiver(cluster)
    details: dict[str, Any] = {
        key: state[key] for key in ("archived_at", "failed_count", "waiting", "segment_bytes", "timeout_seconds")
    }
    details["failures"] = failures(before.get("failed_count"), state["failed_count"])
    if not problems and details["failures"] and before.get("failures"):
        reason = f"archiving has failed {details['failures']} times since the last look, and before that as well"
        reason += f"; the last one was that of {state['last_failed']}. The server's log says why"
        problems.append(Problem("archive", "", reason))
    if state["mode"] == "off" or state["in_recovery"]:
        return details, problems
    information = pgbackrest.information(stanza)
    asked = before.get("canary")
    if asked and (not state["timeout_seconds"] or int(asked["segment"][:8], 16) != state["timeline"]):
        asked = None  # a segment may take for ever to fill, or a restore has gone back to before it
    waits = asked is not None and now - asked["written"] < state["timeout_seconds"] + MARGIN_SECONDS
    problems += stale(asked, information, state) if asked and not waits and not problems else []
    problems += lacking(stanza, information, 2**32 // state["segment_bytes"])
    # One that is not due yet stays, else frequent runs would never judge one.
    details["canary"] = asked if waits else asdict(backup_canary.write(cluster))
    return details, problems


def failures(before: Any, count: int) -> int:
    """How often archiving has failed since ``before``; statistics that were reset begin anew."""
    return max(0, count - int(before)) if isinstance(before, int) else 0


def _position(segment: str) -> str:
    return segment[8:24]  # without the timeline, which a restore changes


def stale(canary: Mapping[str, Any], information: Information, state: Mapping[str, Any]) -> list[Problem]:
    """A row that should be in the repository and is not."""
    last = max((_position(last) for _first, last in information.archives.values()), default="")
    if last >= _position(canary["segment"]):
        return []
    what = f"what was written at {utc(canary['written'])} (WAL segment {canary['segment']}) is not in the repository"
    if _position(state["last_archived"] or "") >= _position(canary["segment"]):
        what += (
            ", although the server was told that it is: pgBackRest drops WAL when archive-push-queue-max is exceeded. "
            "Nothing after it can be restored before the next backup: ringstand backup --full"
        )
    return [Problem("archive", "", what)]


def lacking(stanza: Stanza, information: Information, segments_per_log: int) -> list[Problem]:
    """Segments that the repository lacks after its newest backup, by the names of its files."""
    newest = information.good[-1:]
    if not newest:
        return []
    since = Information(True, "", newest, information.archives)
    found = backup_checksums.gaps(names(stanza.repository), since, segments_per_log)
    if found:
        time.sleep(SETTLE_SECONDS)
        found = backup_checksums.gaps(names(stanza.repository), since, segments_per_log)
    return [Problem("archive", problem.file, problem.reason, True) for problem in found]


def names(repository: str) -> dict[str, str]:
    """The files of the archive as :func:`backup_checksums.gaps` takes them, unread."""
    return {
        os.path.relpath(os.path.join(directory, name), repository): ""
        for directory, _names, files in os.walk(os.path.join(repository, "archive"))
        for name in files if not name.endswith(".pgbackrest.tmp")
    }

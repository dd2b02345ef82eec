# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The status of backups as metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import backup_status
from .prometheus import Exposition, Sample


def metrics(status: Mapping[str, Any]) -> Exposition:
    """What the status says, as numbers."""
    parts: Mapping[str, Mapping[str, Any]] = status.get("parts") or {}
    archive, space, drill = (parts.get(name) or {} for name in ("archive", "space", "drill"))
    problems = status.get("problems") or []
    exposition = Exposition("ringstand_backup")
    add = exposition.add

    def of_parts(key: str) -> list[Sample]:
        return [({"part": part}, entry.get(key)) for part, entry in parts.items()]

    def times(key: str) -> list[Sample]:
        return [(labels, backup_status.seconds(value)) for labels, value in of_parts(key)]

    counted = [({"part": part}, sum(item.get("part") == part for item in problems)) for part in parts]
    add("last_run_timestamp_seconds", "When backups were last looked at.",
        [({}, backup_status.seconds(status.get("finished")))])
    add("last_success_timestamp_seconds", "When a part last went well.", times("good"))
    add("last_finish_timestamp_seconds", "When a part last ended, whatever came of it.", times("finished"))
    add("success", "Whether the last run of a part went well.",
        [(labels, int(value == "ok")) for labels, value in of_parts("result")])
    add("problems", "Problems of a part in its last run.", counted)
    add("duration_seconds", "How long the last run of a part took.", of_parts("seconds"))
    add("wal_last_archived_timestamp_seconds", "When the server last archived a WAL segment.",
        [({}, archive.get("archived_at"))])
    add("wal_waiting_segments", "WAL segments that wait to be archived.", [({}, archive.get("waiting"))])
    add("wal_archive_failures_total", "Failed attempts to archive WAL, as the server counts them.",
        [({}, archive.get("failed_count"))], "counter")
    add("repository_free_bytes", "Free space where backups go.", [({}, space.get("free_bytes"))])
    add("offsite_free_bytes", "Free space in the second place.", [({}, space.get("offsite_free_bytes"))])
    add("repository_size_bytes", "Size of the file system where backups go.", [({}, space.get("size_bytes"))])
    add("repository_backups_bytes", "What the backups of the cluster take there.", [({}, space.get("backups_bytes"))])
    add("repository_needed_bytes", "What has to be free for the next full backup.", [({}, space.get("needed_bytes"))])
    add("drill_phase_seconds", "How long each phase of the last restore drill took.",
        [({"phase": phase}, value) for phase, value in (drill.get("phases") or {}).items()])
    add("drill_uncounted_tables", "Tables whose rows the last drill has not compared, being large or not read in time.",
        [({}, drill.get("tables_not_counted"))])
    add("drill_restored_bytes", "Size of the cluster that the last drill restored.", [({}, drill.get("bytes"))])
    return exposition

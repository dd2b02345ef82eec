# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The status of backups as Prometheus reads it, in a file for the textfile collector of its node exporter."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from . import backup_status
from .releases import write_durably

NAME = "ringstand_backup.prom"
Sample = tuple[Mapping[str, str], Any]


def render(status: Mapping[str, Any]) -> str:
    """The text of the file: https://prometheus.io/docs/instrumenting/exposition_formats/."""
    parts: Mapping[str, Mapping[str, Any]] = status.get("parts") or {}
    archive, space, drill = (parts.get(name) or {} for name in ("archive", "space", "drill"))
    problems = status.get("problems") or []
    lines: list[str] = []

    def add(name: str, text: str, samples: Iterable[Sample], kind: str = "gauge") -> None:
        known = [(labels, value) for labels, value in samples if value is not None]
        if known:
            full = f"ringstand_backup_{name}"
            lines.extend([f"# HELP {full} {text}", f"# TYPE {full} {kind}"])
            lines.extend(f"{full}{_labels(labels)} {_number(value)}" for labels, value in known)

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
    add("repository_size_bytes", "Size of the file system where backups go.", [({}, space.get("size_bytes"))])
    add("repository_backups_bytes", "What the backups of the cluster take there.", [({}, space.get("backups_bytes"))])
    add("repository_needed_bytes", "What has to be free for the next full backup.", [({}, space.get("needed_bytes"))])
    add("drill_phase_seconds", "How long each phase of the last restore drill took.",
        [({"phase": phase}, value) for phase, value in (drill.get("phases") or {}).items()])
    add("drill_restored_bytes", "Size of the cluster that the last drill restored.", [({}, drill.get("bytes"))])
    return "\n".join([*lines, ""])


def write(status: Mapping[str, Any], directory: str) -> bool:
    """Replace the file in one step, where the directory exists; returns whether it does."""
    if not directory or not os.path.isdir(directory):
        return False
    path = os.path.join(directory, NAME)
    write_durably(path, render(status))
    os.chmod(path, 0o644)
    return True


def _labels(labels: Mapping[str, str]) -> str:
    pairs = [f'{name}="{_escaped(value)}"' for name, value in labels.items()]
    return f"{{{','.join(pairs)}}}" if pairs else ""


def _escaped(value: str) -> str:
    return str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: Any) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))

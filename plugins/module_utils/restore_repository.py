# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a pgBackRest repository holds, as far as a restore has to know it."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace

from . import pgbackrest
from .errors import RingstandError
from .pgbackrest import OWNER, Backup, Information, Stanza
from .restore_target import Repository, Timeline, parse_history

_SEGMENT = re.compile(r"(?:.*/)?([0-9A-F]{24})-[0-9a-f]{40}(?:\.\w+)?")
_HISTORY = re.compile(r"([0-9A-F]{8})\.history")


def read(stanza: Stanza, version: str, local: Stanza | None = None) -> Repository:
    """Read it; ``version`` is PostgreSQL's. Raises :class:`RingstandError` when it cannot be read or has no backup.

    ``local`` is the first repository when this is the second: that one knows when each timeline began, and here it is
    only known when that was shipped.
    """
    found = pgbackrest.information(stanza)
    if not found.exists or not found.backups:
        raise RingstandError(f"Failed to find a backup of {stanza.name!r} in {stanza.repository}: {found.message}")
    archives = of_one_cluster(found, version)
    if not archives:
        raise RingstandError(
            f"Failed to find WAL of PostgreSQL {version} in {stanza.repository}: "
            f"it has that of {' and '.join(found.archives) or 'none'}"
        )
    ids = {_number(name) for name in archives}
    backups = [backup for backup in found.backups if backup.database_id in ids]
    if not backups:
        raise RingstandError(
            f"Failed to find a backup of PostgreSQL {version} in {stanza.repository}: those that are there are of what "
            "it was before an upgrade, or a way back from one. Make one: ringstand backup --full"
        )
    files: dict[str, tuple[str, float]] = {}
    for archive in archives:
        for name, item in pgbackrest.listing(stanza, _path(stanza, archive)).items():
            files[name] = f"{_path(stanza, archive)}/{name}", float(item["time"])
    matches = {name: _SEGMENT.fullmatch(name) for name in files}
    segments = {match[1]: files[name][1] for name, match in matches.items() if match}
    timelines = [Timeline(1)]
    known = _beginnings(local) if local else {}
    for name, (path, archived) in files.items():
        history = _HISTORY.fullmatch(name)
        if history:
            text = _call(stanza, "repo-get", path)
            one = Timeline(int(history[1], 16), known.get((name, text), archived), tuple(parse_history(text)))
            timelines.append(bounded(one, backups, segments) if local and (name, text) not in known else one)
    return Repository(backups, timelines, segments)


def of_one_cluster(found: Information, version: str) -> list[str]:
    """The archives with the WAL of the last cluster of this version, oldest first.

    There are several when it was upgraded and taken back: its WAL then goes on in a new archive. Another upgrade to the
    same version makes another cluster, whose backups and WAL have nothing to do with those of the first.
    """
    ids = sorted((name for name in found.archives if name.split("-")[0] == version), key=_number)
    system = found.systems.get(ids[-1], "") if ids else ""
    return [name for name in ids if name == ids[-1] or (system and found.systems.get(name) == system)]


def _number(archive: str) -> int:
    return int(archive.split("-")[1])


def _beginnings(stanza: Stanza) -> dict[tuple[str, str], float]:
    """When timelines began, by name and text of their history files; what cannot be read is left out."""
    found: dict[tuple[str, str], float] = {}
    try:
        for path, item in pgbackrest.listing(stanza, f"archive/{stanza.name}").items():
            name = os.path.basename(path)
            if _HISTORY.fullmatch(name):
                found[name, _call(stanza, "repo-get", f"{_path(stanza, path)}")] = float(item["time"])
    except RingstandError:  # it may be what is lost
        pass
    return found


def bounded(timeline: Timeline, backups: Sequence[Backup], segments: Mapping[str, float]) -> Timeline:
    """A timeline of which it is known when it was shipped: it had begun before any backup of it did, and after
    everything of the others that was there before, because its history file goes before what waits."""
    own = [backup.started for backup in backups if int(backup.wal_start[:8], 16) == timeline.number]
    born = min([timeline.born, *map(float, own)])
    earlier = [float(backup.finished) for backup in backups if int(backup.wal_start[:8], 16) < timeline.number]
    earlier += [shipped for name, shipped in segments.items() if int(name[:8], 16) < timeline.number]
    return replace(timeline, born=born, after=max((moment for moment in earlier if moment < born), default=0.0))


def fetch_problem(stanza: Stanza, segment: str) -> str:
    """Why a segment cannot be had from the archive; empty when it can, and "missing" when it is not there."""
    with tempfile.TemporaryDirectory(prefix="ringstand-restore-") as directory:
        os.chmod(directory, 0o711)
        target = os.path.join(directory, "segment")
        os.mkdir(target, 0o700)
        shutil.chown(target, OWNER, OWNER)
        result = pgbackrest.call(stanza, "archive-get", segment, os.path.join(target, segment))
    if result.rc == 0:
        return ""
    if result.rc == 1:
        return "missing"
    return re.sub(r"\s+", " ", result.stderr or result.stdout).strip() or f"pgbackrest ended with {result.rc}"


def _path(stanza: Stanza, archive: str) -> str:
    return f"archive/{stanza.name}/{archive}"


def _call(stanza: Stanza, *arguments: str) -> str:
    result = pgbackrest.call(stanza, *arguments)
    if result.rc != 0:
        raise RingstandError(
            f"Failed to read {arguments[-1]} in {stanza.repository}: {pgbackrest.reason(result)}",
            rc=result.rc, stderr=result.stderr,
        )
    return result.stdout

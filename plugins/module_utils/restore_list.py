# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What can be restored on this host: a range of times, restore points, dumps, and snapshots of files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import backup_dumps, restic, restore_points, restore_repository
from .backup_settings import BackupSettings
from .errors import RingstandError
from .ledger import utc
from .restore_points import Point
from .restore_target import Repository, choose, iso


def gather(settings: BackupSettings) -> dict[str, Any]:
    """All of it; what cannot be read is in ``problems``, and the rest is there all the same.

    In the second place dumps are a set of files.
    """
    problems: list[str] = []
    repository: Repository | None = None
    try:
        if settings.cluster:
            version = settings.find_cluster().version
            repository = restore_repository.read(settings.stanza, version, settings.first_stanza)
    except (RingstandError, OSError) as error:
        problems.append(str(error))
    snapshots: list[dict[str, Any]] = []
    try:
        snapshots = [
            {"name": item.name, "id": item.id, "time": item.time[:19] + "Z", "paths": item.paths}
            for item in restic.snapshots(settings.repository)
        ]
    except (RingstandError, OSError) as error:
        problems.append(str(error))
    return {
        "times": times(repository),
        "points": points(repository, restore_points.known()),
        "dumps": [
            {"database": item.database, "time": utc(item.time), "path": item.path, "size": item.size}
            for item in ([] if settings.from_offsite else backup_dumps.dumps(settings.dumps_dir))
        ],
        "files": snapshots,
        "problems": problems,
    }


def times(repository: Repository | None) -> dict[str, str] | None:
    """From when to when the archive has every moment; None without a backup.

    While the cluster runs, what it has written since is archived before a restore, up to the present.
    """
    if repository is None or not repository.backups:
        return None
    first = min(backup.finished for backup in repository.backups)
    last = max([*repository.segments.values(), float(max(backup.finished for backup in repository.backups))])
    return {"from": iso(first), "to": iso(last)}


def points(repository: Repository | None, known: list[Point]) -> list[dict[str, str]]:
    """The restore points to which a backup leads, oldest first."""
    found = []
    for point in known:
        if repository is None:
            continue
        try:
            choose(repository, point.seconds, True)
        except RingstandError:
            continue
        found.append({"app": point.app, "release": point.release, "time": point.at, "name": point.name})
    return found


def lines(found: Mapping[str, Any]) -> list[str]:
    """The same for people."""
    said = []
    if found["times"]:
        said.append(f"databases  every moment from {found['times']['from']} to {found['times']['to']}")
    for item in found["points"]:
        said.append(f"databases  before release {item['app']}/{item['release']}, {item['time']}")
    for item in found["dumps"]:
        said.append(f"database   {item['database']}, dump of {item['time']}: {item['path']}")
    for item in found["files"]:
        about = f"{item['name']}, snapshot {item['id'][:8]} of {item['time']}"
        said.append(f"files      {about}: {' '.join(item['paths'])}")
    return [*(said or ["There is nothing to restore"]), *(f"NOT GOOD: {text}" for text in found["problems"])]

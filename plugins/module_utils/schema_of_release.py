# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The database's schema and a release: upgraded for a new one, checked before an old one serves again."""

from __future__ import annotations

from typing import Any

from .errors import RingstandError
from .layout import AppSettings
from .ledger import Progress
from .migrations import MigrationError, MigrationRequest, migrate, unit_runner
from .postgresql_cluster import Host
from .release_unit import one_off_unit, release_unit

_CLUSTER = "main"
# A release's id has letters, digits and hyphens only.
_RESTORE_POINT = """SELECT json_build_object('at', to_char(clock_timestamp() AT TIME ZONE 'UTC',
'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'lsn', CASE WHEN current_setting('archive_mode') <> 'off'
THEN pg_create_restore_point('{name}') END)"""


def upgrade(settings: AppSettings, release: str, progress: Progress) -> dict[str, Any]:
    """Bring the database to the release's head; returns before, after, applied and restore_point.

    Nothing is returned without migrations; restore_point is None where none could be made, with a notice of the cause.
    """
    if settings.migrations == "none":
        return {}
    point = None
    if settings.local_database:
        try:
            point = restore_point(release)
        except RingstandError as error:
            progress.notice(f"No restore point was made before the migrations of {release}: {error.message}")
    result = _run(settings, release, check=False)
    return {"before": result.before, "after": result.after, "applied": result.applied, "restore_point": point}


def restore_point(release: str) -> dict[str, str] | None:
    """Name this moment in the WAL after a release; returns name and time (ISO 8601, UTC), or None without archiving.

    Raises :class:`RingstandError` when the cluster cannot be asked or does not permit it.
    """
    host = Host.read(_CLUSTER)
    cluster = host.cluster(host.choose("", _CLUSTER), _CLUSTER)
    if cluster is None:
        raise RingstandError(f"this host has no cluster {_CLUSTER}")
    name = f"release-{release}"
    made = cluster.query(_RESTORE_POINT.format(name=name))
    return {"name": name, "at": made["at"]} if made["lsn"] else None


def check_fits(settings: AppSettings, release: str, alone: bool = False) -> str:
    """Raise RingstandError when the release does not fit the database's schema; returns a notice, mostly empty.

    With ``alone`` it is asked outside of an activation.
    A database that cannot be asked is no reason to keep a rollback from happening.
    """
    if settings.migrations == "none":
        return ""
    try:
        result = _run(settings, release, check=True, alone=alone)
    except MigrationError as error:
        if error.kind != "database_newer":
            return f"Whether {release} fits the database could not be found out: {error.message}"
        raise RingstandError(
            f"Failed to switch to {release}: the database is at revision {error.details.get('before')}, which that "
            "release does not know. Nothing was switched. Either deploy a release that knows it; or downgrade the "
            "database with the code of the live release (`flask db downgrade`); or, when the newer schema is "
            "compatible with the old code, repeat with --force (playbook: -e force=true).",
            **error.details,
        ) from error
    if result.pending:
        missing = ", ".join(item["revision"] for item in result.pending)
        raise RingstandError(
            f"Failed to switch to {release}: its revisions {missing} are not in the database. Nothing was switched. "
            "Deploy it again, which migrates; or repeat with --force (playbook: -e force=true)."
        )
    return ""


def _run(settings: AppSettings, release: str, check: bool, alone: bool = False) -> Any:
    unit = one_off_unit(settings, release) if alone else release_unit(settings, release, "migrate")
    request = MigrationRequest(
        app=settings.name,
        app_dir=unit.working_dir,
        venv_dir=f"{settings.layout.release_dir(release)}/venv",
        lock_timeout_seconds=settings.migration_lock_timeout_seconds,
        statement_timeout_seconds=settings.migration_statement_timeout_seconds,
        timeout_seconds=settings.migration_timeout_seconds,
        required=settings.migrations == "flask",
    )
    return migrate(request, unit_runner(unit), check)

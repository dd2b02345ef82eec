# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The database's schema and a release: upgraded for a new one, checked before an old one serves again."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import Any

from . import builds
from .app_unit import AppUnit, run_in_unit
from .errors import RingstandError
from .layout import AppSettings
from .ledger import Progress, read_lines
from .migration_plan import MigrationPlan, migration_plan
from .migrations import MigrationError, MigrationRequest, migrate, unit_runner
from .postgresql_cluster import Host
from .release_unit import one_off_unit, release_unit
from .systemd import redact

_CLUSTER = "main"
_OUTPUT_CHARACTERS = 1000
_NOT_ARCHIVED = (
    "No restore point is made before migrations: PostgreSQL on this host archives no WAL (archive_mode is off). "
    "The backups of the role ringstand.flask.backup turn it on."
)
_INVALID_INDEXES = "Invalid indexes cost writes and serve no reads: {names}. Drop them and make them anew."
# A release's id has letters, digits and hyphens only.
_RESTORE_POINT = """SELECT json_build_object('at', to_char(clock_timestamp() AT TIME ZONE 'UTC',
'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'lsn', CASE WHEN current_setting('archive_mode') <> 'off'
THEN pg_create_restore_point('{name}') END)"""


def upgrade(settings: AppSettings, release: str, progress: Progress) -> dict[str, Any]:
    """Bring the database to the release's head; returns before, after, applied and restore_point, and of a command
    that knows no revisions its output.

    Nothing is returned without migrations; restore_point is None where none could be made, with a notice of the cause.
    None is made, and nobody expects one, of a database that is elsewhere.
    """
    if settings.migrations == "none":
        return {}
    point, lack = None, ""
    done: dict[str, Any]
    if settings.local_database:
        try:
            point = restore_point(release)
            lack = "" if point else _NOT_ARCHIVED
        except RingstandError as error:
            progress.notice(f"No restore point was made before the migrations of {release}: {error.message}")
        progress.about["migration"] = {"restore_point": point}  # known also when the migrations fail half way
    plan = _plan(settings, release)
    if plan.directory:
        result = _run(settings, release, plan, check=False)
        done = {"before": result.before, "after": result.after, "applied": result.applied}
        if result.invalid_indexes:
            progress.notice(_INVALID_INDEXES.format(names=", ".join(result.invalid_indexes)))
    else:
        done = {"before": None, "after": None, "applied": [], "output": _run_command(settings, release, plan)}
    if lack and (done["applied"] or not plan.directory) and not _was_told(settings, lack):
        progress.notice(lack)
    return {**done, "restore_point": point}


def _was_told(settings: AppSettings, notice: str) -> bool:
    """Whether an earlier deploy has said so: who wants no archive need not be told again and again."""
    return any(notice in (entry.get("notices") or []) for entry in read_lines(settings.layout.ledger))


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
    plan = _plan(settings, release)
    if not plan.directory:
        return ""
    try:
        result = _run(settings, release, plan, check=True, alone=alone)
    except MigrationError as error:
        if error.kind != "database_newer":
            return f"Whether {release} fits the database could not be found out: {error.message}"
        raise RingstandError(
            f"Failed to switch to {release}: the database is at revision {error.details.get('before')}, which that "
            f"release does not know. Nothing was switched. {way_back(settings, release, error.details.get('head'))}",
            **error.details,
        ) from error
    if result.pending:
        missing = ", ".join(item["revision"] for item in result.pending)
        raise RingstandError(
            f"Failed to switch to {release}: its revisions {missing} are not in the database. Nothing was switched. "
            "Deploy it again, which migrates; or repeat with --force (playbook: -e force=true)."
        )
    return ""


def unknown_revision(settings: AppSettings, release: str, before: str, at: str | None) -> str:
    """Which revision that the database is ``at`` the code of ``release`` brings and that of ``before`` does not know.

    Found out from the files of both alone, for the moment after a boot when no database can be asked; empty when there
    is none, or when it cannot be told.
    """
    if not at or settings.migrations == "none":
        return ""
    try:
        new = [revision for revision in at.split(",") if _names(settings, release, revision)]
        return next((revision for revision in new if not _names(settings, before, revision)), "")
    except RingstandError:
        return ""


def _names(settings: AppSettings, release: str, revision: str) -> bool:
    """Whether a file of the release's revisions has this one; Alembic finds it by such a line as well."""
    top = os.path.join(settings.layout.release_dir(release), "src", _plan(settings, release).directory)
    for directory, _folders, files in os.walk(top):
        for name in files:
            if name.endswith(".py"):
                with open(os.path.join(directory, name), encoding="utf-8", errors="replace") as stream:
                    if re.search(rf"^revision\b.*=.*\b{re.escape(revision)}\b", stream.read(), re.MULTILINE):
                        return True
    return False


def way_back(settings: AppSettings, release: str, head: str | None) -> str:
    """What an operator can do to have a release again whose newest revision is ``head``, with the price of each."""
    app = settings.name
    choices = [
        "when the newer schema is compatible with the old code, repeat with --force (playbook: -e force=true)",
        f"downgrade with the code of the live release, which loses what the newer revisions have added: `ringstand run "
        f"{app} flask db downgrade {head or 'base'}`, then `ringstand rollback {app} {release}`",
    ]
    moves = [(entry.get("release"), entry.get("migration") or {}) for entry in read_lines(settings.layout.ledger)]
    left = [move for move in moves if move[1].get("restore_point") and "before" in move[1]]
    found = next((move for move in reversed(left) if move[1]["before"] == head), None)
    if found:
        newer, point = f"{app}/{found[0]}", found[1]["restore_point"]
        choices.append(
            f"take the databases of this host back to the restore point before {newer}, which loses all that was "
            f"written since {point['at']}: `ringstand restore --confirm $(hostname) --before-release {newer}`, then "
            f"`ringstand rollback {app} {release}`"
        )
    numbered = "; ".join(f"({number}) {choice}" for number, choice in enumerate(choices, 1))
    return f"Deploy a release that knows it, or choose: {numbered}."


def _plan(settings: AppSettings, release: str) -> MigrationPlan:
    directory = settings.layout.release_dir(release)
    return migration_plan(
        f"{directory}/src",
        f"{directory}/venv",
        settings.migrations,
        settings.migrations_dir,
        settings.migration_command,
    )


def _unit(settings: AppSettings, release: str, alone: bool = False) -> AppUnit:
    """The unit of a migration, which connects to the database directly where the app uses a pooler."""
    unit = one_off_unit(settings, release) if alone else release_unit(settings, release, "migrate")
    return replace(unit, overriding_file=settings.layout.migration_environment_file)


def _run(settings: AppSettings, release: str, plan: MigrationPlan, check: bool, alone: bool = False) -> Any:
    unit = _unit(settings, release, alone)
    request = MigrationRequest(
        app=settings.name,
        app_dir=unit.working_dir,
        venv_dir=f"{settings.layout.release_dir(release)}/venv",
        migrations_dir=plan.directory,
        upgrade_command=list(plan.command),
        lock_timeout_seconds=settings.migration_lock_timeout_seconds,
        statement_timeout_seconds=settings.migration_statement_timeout_seconds,
        timeout_seconds=settings.migration_timeout_seconds,
        allow_unversioned_tables=settings.migration_unversioned_tables_allowed,
        required=settings.migrations != "auto",
    )
    try:
        return migrate(request, unit_runner(unit), check)
    except MigrationError as error:
        error.message = in_keys_of_an_app(error.message)
        raise


def in_keys_of_an_app(message: str) -> str:
    """What names an option of the module db_upgrade, with the key of an app in its place."""
    message = re.sub(r"\b((?:lock_|statement_)?timeout_seconds)\b", r"migration_\1", message)
    message = message.replace("upgrade_command to `flask", "migration_command to `flask")
    message = message.replace("Set database_url to", "Set migration_database_url to")
    return message.replace("set allow_unversioned_tables", "set migration_unversioned_tables_allowed: true")


def _run_command(settings: AppSettings, release: str, plan: MigrationPlan) -> str:
    """Without revisions of Alembic nothing can be compared: the command decides alone whether there is work."""
    limits = {
        "lock_timeout": settings.migration_lock_timeout_seconds,
        "statement_timeout": settings.migration_statement_timeout_seconds,
    }
    options = " ".join(f"-c {name}={int(seconds * 1000)}" for name, seconds in limits.items() if seconds)
    unit = _unit(settings, release)
    unit = replace(unit, environment={**unit.environment, **({"PGOPTIONS": options} if options else {})})
    done = run_in_unit(plan.command, app=unit, timeout_seconds=settings.migration_timeout_seconds)
    builds.must_succeed(done, f"run migration_command {settings.migration_command!r} of {settings.name}")
    return redact(done.stdout.strip())[-_OUTPUT_CHARACTERS:]

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bring an app's database to the revision of its code: Flask-Migrate or Alembic, once, under a lock.

The work is done by ``migration_runner.py`` with the Python of the app's virtual environment; this module sends it
there, and turns what comes back into a result or an error with its remedy. The database is never stamped.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Callable

from . import migration_runner
from .app_unit import AppUnit, Completed, run_in_unit
from .errors import RingstandError

Runner = Callable[[Sequence[str], str, float], Completed]

# The program arrives on standard input: no file that the app's user can read is needed, and no argument shows it.
_BOOT = (
    "import json, sys; sent = json.load(sys.stdin); "
    "exec(compile(sent['program'], 'migration_runner', 'exec'), {'__name__': '__main__', 'REQUEST': sent['request']})"
)
_MARGIN_SECONDS = 60.0
_EXCEPTION = re.compile(r"(\w+\.)*\w+(Error|Exception): |(\w+\.)+[A-Z]\w*: ")
_UNIT_FAILURES = {  # exit statuses of systemd.exec(5)
    200: "its working directory is not accessible to its user",
    203: "the Python of its virtual environment cannot be executed",
    216: "its group does not exist",
    217: "its user does not exist",
}


@dataclass
class MigrationRequest:
    """What to migrate and how.

    ``app`` names the lock: whatever migrates one database under one name waits for each other. ``database_url``
    empty means the variable ``database_url_variable`` of the command's environment. ``upgrade_command`` empty means
    ``flask db upgrade``; with a command of its own, an app may have several heads. ``flask_app`` empty leaves
    FLASK_APP alone. ``version_table`` may be "schema.table". ``required`` off makes a missing directory a result.
    """

    app: str
    app_dir: str
    venv_dir: str
    migrations_dir: str = "migrations"
    flask_app: str = ""
    database_url_variable: str = "DATABASE_URL"
    database_url: str = ""
    upgrade_command: list[str] = field(default_factory=list)
    version_table: str = "alembic_version"
    allow_unversioned_tables: bool = False
    lock_timeout_seconds: float = 5.0
    lock_retries: int = 3
    statement_timeout_seconds: float = 0.0
    advisory_lock: bool = True
    advisory_lock_wait_seconds: float = 300.0
    timeout_seconds: float = 1800.0
    required: bool = True

    def __post_init__(self) -> None:
        variable = self.database_url_variable
        numbers = (self.lock_timeout_seconds, self.lock_retries, self.statement_timeout_seconds)
        for good, option, value, remedy in (
            (os.path.isabs(self.app_dir), "app_dir", self.app_dir, "make it absolute"),
            (os.path.isabs(self.venv_dir), "venv_dir", self.venv_dir, "make it absolute"),
            (re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", variable), "database_url_variable", variable, "give a variable"),
            (self.timeout_seconds > 0, "timeout_seconds", self.timeout_seconds, "give a number above 0"),
            (
                min(numbers) >= 0,
                "lock_timeout_seconds, lock_retries or statement_timeout_seconds",
                numbers,
                "not below 0",
            ),
        ):
            if not good:
                raise RingstandError(f"Failed to migrate {self.app}: {option} {value!r} is not usable: {remedy}")


@dataclass
class MigrationResult:
    """What was found and done. Revisions of several branches are joined by a comma; none is None.

    ``state``: "none" (the app has no migrations), "current", "pending" (check mode), "upgraded".
    ``pending`` and ``applied``: [{"revision": …, "message": …}] in order; ``pending`` is what is left.
    """

    state: str
    before: str | None = None
    after: str | None = None
    head: str | None = None
    pending: list[dict[str, str]] = field(default_factory=list)
    applied: list[dict[str, str]] = field(default_factory=list)
    attempts: int = 0
    seconds: float = 0.0
    invalid_indexes: list[str] = field(default_factory=list)
    output_tail: str = ""

    @property
    def changed(self) -> bool:
        """Whether the database changed, or would change were this not check mode."""
        return self.state in ("pending", "upgraded")

    def as_dict(self) -> dict[str, Any]:
        """Plain data for a module's result."""
        return {**asdict(self), "changed": self.changed}


class MigrationError(RingstandError):
    """A migration that did not happen or did not end well; nothing may be switched to the new code.

    ``kind``: several_heads, missing_migrations, database_newer, unreachable, unversioned_tables, pooler, lock_timeout,
    failed.
    ``details`` has what a MigrationResult has, and with lock_timeout ``blockers``.
    """

    def __init__(self, kind: str, message: str, **details: Any) -> None:
        super().__init__(message, kind=kind, **details)
        self.kind = kind


def unit_runner(app: AppUnit) -> Runner:
    """Run the migration as a transient unit of the app."""

    def run(argv: Sequence[str], stdin: str, timeout_seconds: float) -> Completed:
        with os.fdopen(os.memfd_create("request"), "w+b") as stream:  # in memory: it may hold a database URL
            stream.write(stdin.encode())
            stream.seek(0)
            return run_in_unit(argv, app=app, timeout_seconds=timeout_seconds, stdin=stream)

    return run


def migrate(request: MigrationRequest, run: Runner, check: bool = False) -> MigrationResult:
    """Upgrade the database to the code's heads; with ``check`` only say what is pending.

    Raises MigrationError. Nothing is written to the database unless revisions are pending and can be applied.
    """
    directory = os.path.join(request.app_dir, request.migrations_dir)
    if not request.required and not os.path.isdir(directory):
        return MigrationResult("none")
    python = os.path.join(request.venv_dir, "bin", "python")
    if not os.path.exists(python):
        raise MigrationError("failed", f"Failed to migrate {request.app}: {python} does not exist: check venv_dir")
    sent = {"program": inspect.getsource(migration_runner), "request": {**asdict(request), "check": check}}
    started = time.monotonic()
    completed = run([python, "-c", _BOOT], json.dumps(sent), request.timeout_seconds + _MARGIN_SECONDS)
    seconds = round(time.monotonic() - started, 3)
    found = _parse(request, completed)
    details = {
        **{name: ",".join(found[source]) or None for name, source in _REVISIONS.items()},
        **{name: found[name] for name in ("pending", "applied", "attempts", "invalid_indexes", "output_tail")},
        "seconds": seconds,
    }
    outcome = found["outcome"]
    if outcome in ("current", "pending", "upgraded"):
        return MigrationResult(outcome, **details)
    if outcome == "missing_migrations" and "missing" not in found and not request.required:
        return MigrationResult("none", seconds=seconds)
    if "blockers" in found:
        details["blockers"] = found["blockers"]
    raise MigrationError(outcome, f"Failed to migrate {request.app}: {_REASONS[outcome](request, found)}", **details)


_REVISIONS = {"before": "before", "after": "after", "head": "heads"}


def _parse(request: MigrationRequest, completed: Completed) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(completed.stdout.strip().rpartition("\n")[2])
        return found
    except ValueError:
        tail = migration_runner.scrub(completed.stderr.strip(), request.database_url)
    tail = tail[-migration_runner.TAIL_CHARACTERS :]
    if completed.timed_out:
        reason = f"it did not end within {request.timeout_seconds:.0f} s (timeout_seconds) and was killed"
    else:
        reason = _UNIT_FAILURES.get(completed.rc) or (tail.rpartition("\n")[2] or f"it ended with {completed.rc}")
    message = f"Failed to migrate {request.app}: {reason}"
    raise MigrationError("failed", message, rc=completed.rc, output_tail=tail)


def _several_heads(request: MigrationRequest, found: dict[str, Any]) -> str:
    return (
        f"the code has {len(found['heads'])} heads ({', '.join(found['heads'])}). Merge them with "
        "`flask db merge heads` and commit the result; if both branches are meant, set upgrade_command to "
        "`flask db upgrade heads`"
    )


def _missing_migrations(request: MigrationRequest, found: dict[str, Any]) -> str:
    if "missing" in found:
        return (
            f"{found['missing']} is built upon, but no file in {request.migrations_dir} has it: commit the missing file"
        )
    state = "has no revisions" if os.path.isdir(found["directory"]) else "does not exist"
    return f"{found['directory']} {state}. Commit the app's migrations, or switch migrations off for it"


def _database_newer(request: MigrationRequest, found: dict[str, Any]) -> str:
    return (
        f"the database is at revision {', '.join(found['unknown'])}, which the code does not have: it is newer, or of "
        "another app. Deploy code that has it, or downgrade the database with the code that brought it"
    )


def _unversioned_tables(request: MigrationRequest, found: dict[str, Any]) -> str:
    tables = found["tables"]
    names = ", ".join(tables[:5]) + (f" and {len(tables) - 5} more" if len(tables) > 5 else "")
    return (
        f"the database has tables ({names}) but no {request.version_table}. Nothing is stamped automatically: when the "
        "tables are what a revision makes, run `flask db stamp REVISION` once; if they belong to something else, "
        "set allow_unversioned_tables"
    )


def _unreachable(request: MigrationRequest, found: dict[str, Any]) -> str:
    variable = request.database_url_variable
    if "unset" in found:
        return f"{variable} is not set: put it into the environment file, or give database_url"
    remedy = (
        "add a driver to the app's packages" if "driver" in found else f"check {variable} and that it accepts this host"
    )
    return f"the database is not reachable: {found['reason']}: {remedy}"


def _pooler(request: MigrationRequest, _found: dict[str, Any]) -> str:
    return (
        f"{request.database_url_variable} leads to a connection pooler, which gave two connections the same server "
        "process: the lock that keeps two migrations apart and the time limits of this one would not hold. Nothing was "
        "migrated. Set database_url to a direct connection to the server"
    )


def _lock_timeout(request: MigrationRequest, found: dict[str, Any]) -> str:
    who = "; ".join(_session(blocker) for blocker in found["blockers"]) or "a session that is gone by now"
    if found["advisory"]:
        waited = f"{request.advisory_lock_wait_seconds:g} s (advisory_lock_wait_seconds)"
        return f"another migration of {request.app} still ran after {waited}: {who}. Wait for it, or end it"
    invalid = found["invalid_indexes"]
    index = f". Drop the invalid index first: {', '.join(invalid)}" if invalid else ""
    limit = "lock_timeout" if request.lock_timeout_seconds else "timeout"
    return (
        f"a lock was not granted within {getattr(request, limit + '_seconds'):g} s ({limit}_seconds), tried "
        f"{found['attempts']} times; blocked by {who}. End that session (pg_terminate_backend), "
        f"or migrate when it is quieter; {_where(found)}{index}"
    )


def _session(blocker: dict[str, Any]) -> str:
    parts = [f"pid {blocker['pid']}", f"user {blocker['user']}", blocker["application"] or "", blocker["client"]]
    state = f"{blocker['state']} since {blocker['seconds']} s" if blocker["state"] else ""
    query = f"query {blocker['query']!r}" if blocker["query"] else ""
    return ", ".join(part for part in (*parts, state, query) if part)


def _failed(request: MigrationRequest, found: dict[str, Any]) -> str:
    if "reason" in found:
        return str(found["reason"])
    if found["timed_out"]:
        cause = f"it did not end within {request.timeout_seconds:g} s (timeout_seconds)"
    elif found["statement_timeout"] and request.statement_timeout_seconds:
        cause = f"a statement was cancelled after {request.statement_timeout_seconds:g} s (statement_timeout_seconds)"
    elif found["rc"] == 0:
        cause = (
            "the upgrade ended well, but not all revisions are applied: does it use the database of "
            f"{request.database_url_variable}?"
        )
    else:
        cause = _cause(found["output_tail"]) or f"the upgrade ended with {found['rc']}"
    if "invalid interpolation syntax" in cause:
        cause += " (env.py hands the URL to ConfigParser: replace('%', '%%') there, or use a URL-safe password)"
    stopped = f"stopped at revision {found['failed_revision']}; " if found["failed_revision"] else ""
    invalid = f"; invalid indexes: {', '.join(found['invalid_indexes'])}" if found["invalid_indexes"] else ""
    return f"{stopped}{cause}; {_where(found)}{invalid}"


def _cause(output: str) -> str:
    """The line of a traceback that names the exception: SQLAlchemy and the flask command print more after it."""
    lines = [line for line in output.splitlines() if line.strip()]
    return next((line for line in reversed(lines) if _EXCEPTION.match(line)), lines[-1] if lines else "")


def _where(found: dict[str, Any]) -> str:
    at = ", ".join(found["after"]) or "no revision"
    return f"the database is at {at}, {len(found['pending'])} pending"


_REASONS: dict[str, Callable[[MigrationRequest, dict[str, Any]], str]] = {
    "several_heads": _several_heads,
    "missing_migrations": _missing_migrations,
    "database_newer": _database_newer,
    "unversioned_tables": _unversioned_tables,
    "unreachable": _unreachable,
    "pooler": _pooler,
    "lock_timeout": _lock_timeout,
    "failed": _failed,
}

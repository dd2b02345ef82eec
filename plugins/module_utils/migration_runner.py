# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Stands alone: runs with the Python of an app's virtual environment, as the app's user.

It reads the migration state through the app's own SQLAlchemy and driver, without importing the app, runs the upgrade
command as a child under an advisory lock, reads the state again, and writes one line of JSON with what it found.
Nothing that it writes holds a secret of the environment. ``migrations.py`` sends it, and turns kinds into messages.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from typing import Any
from urllib.parse import unquote

TAIL_CHARACTERS = 4000
POLL_SECONDS = 0.25
SECRET_NAME = re.compile(r"SECRET|PASS|TOKEN|KEY|DSN|CREDENTIAL|_URL$|_URI$")
ASYNC_DRIVERS = ("asyncpg", "aiosqlite", "aiomysql", "asyncmy")
OTHER_DRIVERS = {
    "postgresql": ("postgresql+psycopg", "postgresql+psycopg2", "postgresql+pg8000"),
    "mysql": ("mysql+mysqldb", "mysql+pymysql"),
    "sqlite": ("sqlite",),
}
# What the drivers call SQLSTATE 55P03 and 57014; names and codes, which no locale translates.
LOCK_TIMEOUT = re.compile(r"\bLockNotAvailable\b|\b55P03\b")
STATEMENT_TIMEOUT = re.compile(r"\bQueryCanceled\b|\b57014\b")

VERSION_TABLE_SCHEMAS = """
    SELECT n.nspname, n.nspname = ANY (current_schemas(false)) FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname = :name AND c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
    ORDER BY array_position(current_schemas(false), n.nspname), n.nspname"""
TABLES = """
    SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND n.nspname = ANY (current_schemas(false)) AND NOT EXISTS (
      SELECT 1 FROM pg_catalog.pg_depend d
      WHERE d.classid = CAST('pg_class' AS regclass) AND d.objid = c.oid AND d.deptype = 'e')
    ORDER BY 1"""
INVALID_INDEXES = """
    SELECT n.nspname || '.' || c.relname FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE NOT i.indisvalid ORDER BY 1"""
SESSION = """b.pid, b.usename AS "user", b.application_name AS application,
    COALESCE(CAST(b.client_addr AS text), 'local') AS client, b.state, left(b.query, 200) AS query,
    CAST(EXTRACT(epoch FROM now() - COALESCE(b.xact_start, b.state_change)) AS integer) AS seconds"""
BLOCKERS = f"""
    SELECT DISTINCT {SESSION} FROM pg_stat_activity a
    JOIN pg_stat_activity b ON b.pid = ANY (pg_blocking_pids(a.pid))
    WHERE a.datname = current_database() AND a.application_name = :name"""  # noqa: S608
# Of one server no two processes share these.
SERVER_PROCESS = "SELECT pid || ' since ' || backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"
POOLER_ROUNDS = 3
LOCK_HOLDERS = f"""
    SELECT {SESSION} FROM pg_locks l JOIN pg_stat_activity b ON b.pid = l.pid
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND b.datname = current_database()
      AND l.classid = CAST(:high AS bigint) AND l.objid = CAST(:low AS bigint)"""  # noqa: S608


class Stop(Exception):
    """The run ends here; ``kind`` says why, ``facts`` is what the message needs."""

    def __init__(self, kind: str, **facts: object) -> None:
        super().__init__(kind)
        self.kind = kind
        self.facts = facts


def scrub(text: str, url: str = "") -> str:
    """Remove the secrets of the environment, and passwords in URLs."""
    secrets = {url} | {value for name, value in os.environ.items() if SECRET_NAME.search(name)}
    match = re.match(r"[^:/]+://[^/@]*?:(.*)@", url)
    if match:
        secrets |= {match.group(1), unquote(match.group(1))}
    for secret in sorted((secret for secret in secrets if len(secret) >= 4), key=len, reverse=True):
        text = text.replace(secret, "********")
    return re.sub(r"(\w://[^\s:/@]*):[^\s/]+@", r"\1:********@", text)


# --- the revisions that the code knows ------------------------------------------------------------------------------


class Revisions:
    """The revision files of a migrations directory, without its env.py."""

    def __init__(self, app_dir: str, directory: str) -> None:
        try:
            from alembic.config import Config
            from alembic.script import ScriptDirectory
        except ImportError as error:
            raise Stop("failed", reason=f"Alembic is not in the virtual environment {sys.prefix}: {error}") from error
        files = [os.path.join(place, "alembic.ini") for place in (directory, app_dir)]
        config = Config(next((name for name in files if os.path.exists(name)), None))
        config.set_main_option("script_location", directory.replace("%", "%%"))
        scripts = ScriptDirectory.from_config(config)
        try:
            self.ordered = list(reversed(list(scripts.walk_revisions("base", "heads"))))
            self.heads = sorted(scripts.get_heads())
        except KeyError as error:  # Alembic's answer to a down_revision that no file has
            raise Stop("missing_migrations", missing=str(error.args[0])) from error
        self._parents = {script.revision: script._all_down_revisions for script in self.ordered}

    def pending(self, current: list[str]) -> list[dict[str, str]]:
        """What lies between the database and the heads, in the order in which it is applied."""
        applied: set[str] = set()
        queue = list(current)
        while queue:
            revision = queue.pop()
            if revision not in applied:
                applied.add(revision)
                queue.extend(self._parents.get(revision, ()))
        waiting = [script for script in self.ordered if script.revision not in applied]
        return [{"revision": script.revision, "message": script.doc or ""} for script in waiting]

    def unknown(self, current: list[str]) -> list[str]:
        return [revision for revision in current if revision not in self._parents]

    def named_in(self, output: str) -> str | None:
        """The revision whose file a traceback names last."""
        places = [(output.rfind(os.path.basename(script.path) + '"'), script.revision) for script in self.ordered]
        place, revision = max(places, default=(-1, None))
        return revision if place >= 0 else None


# --- the database ---------------------------------------------------------------------------------------------------


class Database:
    """What the database says about migrations. Every read uses a connection of its own."""

    def __init__(self, url: str, version_table: str) -> None:
        self.url = url
        self.version_table = version_table
        self.engine = self._engine()
        self.is_postgresql = self.engine.dialect.name == "postgresql"

    def _engine(self) -> Any:
        from sqlalchemy import create_engine
        from sqlalchemy.exc import NoSuchModuleError
        from sqlalchemy.pool import NullPool

        scheme, _separator, rest = self.url.partition("://")
        kind, _plus, driver = scheme.partition("+")
        kind = "postgresql" if kind == "postgres" else kind
        first = [] if driver in ASYNC_DRIVERS else [f"{kind}+{driver}" if driver else kind]
        missing = ""
        for name in [*first, *OTHER_DRIVERS.get(kind, ())]:
            try:
                return create_engine(f"{name}://{rest}", poolclass=NullPool)
            except (ImportError, NoSuchModuleError) as error:
                missing = missing or str(error)
        raise Stop("unreachable", reason=f"no driver for {scheme}:// is in {sys.prefix}: {missing}", driver=True)

    def connect(self) -> Any:
        connection = self.engine.connect()
        # Autocommit: a session that is idle in a transaction would hold up CREATE INDEX CONCURRENTLY for ever.
        return connection.execution_options(isolation_level="AUTOCOMMIT") if self.is_postgresql else connection

    def _rows(self, connection: Any, statement: str, **values: object) -> list[dict[str, Any]]:
        from sqlalchemy import text

        result = connection.execute(text(statement), values)
        names = list(result.keys())
        return [dict(zip(names, row)) for row in result.fetchall()]

    def _column(self, connection: Any, statement: str, **values: object) -> list[str]:
        return [str(next(iter(row.values()))) for row in self._rows(connection, statement, **values)]

    def state(self) -> tuple[list[str], list[str] | None]:
        """The applied revisions, and when there is no version table, the tables that are there (else None)."""
        if self.engine.dialect.name == "sqlite":
            path = self.engine.url.database or ""
            if path in ("", ":memory:"):
                raise Stop("unreachable", reason="an SQLite database in memory has no state to migrate")
            if not os.path.isabs(path) and not path.startswith("file:"):
                reason = f"the SQLite path {path!r} is relative, and what it is relative to is up to the app"
                raise Stop("unreachable", reason=f"{reason}: write sqlite:////absolute/path")
            if os.path.isabs(path) and not os.path.exists(path):
                return [], []  # connecting would create the file
        try:
            connection = self.connect()
        except Exception as error:  # whatever a driver raises
            raise Stop("unreachable", reason=str(getattr(error, "orig", None) or error).strip()) from error
        with connection:
            schema, table = self._find_version_table(connection)
            if not table:
                return [], self._tables(connection)
            quote = self.engine.dialect.identifier_preparer.quote
            name = f"{quote(schema)}.{quote(table)}" if schema else quote(table)
            return sorted(self._column(connection, f"SELECT version_num FROM {name}")), None  # noqa: S608

    def _find_version_table(self, connection: Any) -> tuple[str, str]:
        schema, _dot, table = self.version_table.rpartition(".")
        if not self.is_postgresql or schema:
            from sqlalchemy import inspect

            return (schema, table) if table in inspect(connection).get_table_names(schema or None) else ("", "")
        places = [tuple(row.values()) for row in self._rows(connection, VERSION_TABLE_SCHEMAS, name=table)]
        if not places:
            return "", ""
        if len(places) > 1 and not places[0][1]:
            names = ", ".join(f"{place[0]}.{table}" for place in places)
            raise Stop("failed", reason=f"there are several version tables, {names}: name one in version_table")
        return str(places[0][0]), table

    def _tables(self, connection: Any) -> list[str]:
        if self.is_postgresql:
            return self._column(connection, TABLES)
        from sqlalchemy import inspect

        return sorted(inspect(connection).get_table_names())

    def invalid_indexes(self) -> list[str]:
        if not self.is_postgresql:
            return []
        with self.connect() as connection:
            return self._column(connection, INVALID_INDEXES)

    def has_session(self, connection: Any) -> bool:
        """Whether a connection has a server process to itself, as it has not behind a pooler of transactions.

        Such a pooler gives each statement to the process that was free last, so two idle connections share one. The
        other connection makes no difference to a direct one, nor to a pooler of sessions.
        """
        with self.connect() as other:
            asked = [self._column(one, SERVER_PROCESS)[0] for one in [connection, other] * POOLER_ROUNDS]
        ours, theirs = set(asked[::2]), set(asked[1::2])
        return len(ours) == len(theirs) == 1 and ours != theirs

    def try_lock(self, connection: Any, key: int) -> bool:
        """Polled, because a session that waits inside pg_advisory_lock holds up CREATE INDEX CONCURRENTLY."""
        return bool(self._rows(connection, "SELECT pg_try_advisory_lock(:key) AS got", key=key)[0]["got"])

    def lock_holders(self, connection: Any, key: int) -> list[dict[str, Any]]:
        unsigned = key % 2**64
        return self._rows(connection, LOCK_HOLDERS, high=unsigned >> 32, low=unsigned & 0xFFFFFFFF)

    def blockers(self, connection: Any, name: str) -> list[dict[str, Any]]:
        return self._rows(connection, BLOCKERS, name=name)


def lock_key(app: str) -> int:
    """The key of an app's advisory lock: a signed 64-bit number, the same on every host."""
    return int.from_bytes(hashlib.sha256(f"ringstand/migrations/{app}".encode()).digest()[:8], "big", signed=True)


# --- the run --------------------------------------------------------------------------------------------------------


def end(process: subprocess.Popen[bytes]) -> None:
    """Terminate a process, with force when it does not listen."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Run:
    def __init__(self, request: dict[str, Any]) -> None:
        self.request = request
        self.deadline = time.monotonic() + request["timeout_seconds"]
        self.facts: dict[str, Any] = {"before": [], "after": [], "heads": [], "pending": [], "applied": []}
        self.facts.update(invalid_indexes=[], output_tail="", attempts=0)
        self.application_name = f"ringstand-migration-{request['app']}"[:63]
        self.url = request["database_url"] or os.environ.get(request["database_url_variable"], "")

    def run(self) -> str:
        request = self.request
        directory = os.path.join(request["app_dir"], request["migrations_dir"])
        if not os.path.isdir(directory):
            raise Stop("missing_migrations", directory=directory)
        self.prepare_environment()
        revisions = Revisions(request["app_dir"], directory)
        self.facts["heads"] = revisions.heads
        if not revisions.ordered:
            raise Stop("missing_migrations", directory=directory)
        if len(revisions.heads) > 1 and not request["upgrade_command"]:
            raise Stop("several_heads")
        if not self.url:
            raise Stop("unreachable", reason=f"{request['database_url_variable']} is not set", unset=True)
        database = self.open_database()
        pending = self.classify(database, revisions)
        self.facts["before"] = self.facts["after"]
        self.facts["invalid_indexes"] = database.invalid_indexes()
        if not pending:
            return "current"
        if request["check"]:
            return "pending"
        if not database.is_postgresql:
            return self.upgrade(database, None, revisions, directory)
        with database.connect() as connection:
            if request["advisory_lock"]:
                if not database.has_session(connection):
                    raise Stop("pooler")
                self.take_lock(database, connection)
                pending = self.classify(database, revisions)
                self.facts["before"] = self.facts["after"]
            return self.upgrade(database, connection, revisions, directory) if pending else "current"

    def prepare_environment(self) -> None:
        request = self.request
        variables = {
            "PATH": os.path.dirname(sys.executable) + os.pathsep + os.environ.get("PATH", os.defpath),
            "VIRTUAL_ENV": sys.prefix,
            "FLASK_DEBUG": "0",  # explicit, because a committed .flaskenv may say 1
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PGCONNECT_TIMEOUT": os.environ.get("PGCONNECT_TIMEOUT", "10"),
        }
        if request["flask_app"]:
            variables["FLASK_APP"] = request["flask_app"]
        if self.url:
            variables[request["database_url_variable"]] = self.url
        os.environ.update(variables)
        sys.dont_write_bytecode = True

    def open_database(self) -> Database:
        try:
            return Database(self.url, self.request["version_table"])
        except Stop:
            raise
        except Exception as error:  # not a URL that SQLAlchemy or the driver understands
            raise Stop("unreachable", reason=str(error).strip()) from error

    def classify(self, database: Database, revisions: Revisions) -> list[dict[str, str]]:
        current, tables = database.state()
        self.facts["after"] = current
        unknown = revisions.unknown(current)
        if unknown:
            raise Stop("database_newer", unknown=unknown)
        if tables and not self.request["allow_unversioned_tables"]:
            raise Stop("unversioned_tables", tables=tables)
        pending = revisions.pending(current)
        self.facts["pending"] = pending
        return pending

    def take_lock(self, database: Database, connection: Any) -> None:
        key = lock_key(self.request["app"])
        limit = min(self.deadline, time.monotonic() + self.request["advisory_lock_wait_seconds"])
        while not database.try_lock(connection, key):
            if time.monotonic() >= limit:
                raise Stop("lock_timeout", advisory=True, blockers=database.lock_holders(connection, key))
            time.sleep(POLL_SECONDS)

    def upgrade(self, database: Database, connection: Any, revisions: Revisions, directory: str) -> str:
        wanted = list(self.facts["pending"])
        command = self.request["upgrade_command"]
        command = command or [sys.executable, "-m", "flask", "db", "upgrade", "--directory", directory]
        for attempt in range(self.request["lock_retries"] + 1):
            self.facts["attempts"] = attempt + 1
            rc, output, blockers = self.child(command, database, connection)
            current, _tables = database.state()
            left = revisions.pending(current)
            names = {entry["revision"] for entry in left}
            before_indexes = self.facts["invalid_indexes"]
            self.facts.update(
                after=current,
                pending=left,
                applied=[entry for entry in wanted if entry["revision"] not in names],
                invalid_indexes=database.invalid_indexes(),
                output_tail=scrub(output, self.url)[-TAIL_CHARACTERS:],
            )
            if rc == 0 and not left:
                return "upgraded"
            blocked = rc != 0 and (blockers or LOCK_TIMEOUT.search(output))
            # An index that a cancelled CREATE INDEX CONCURRENTLY left behind would only fail again.
            is_last = attempt == self.request["lock_retries"] or time.monotonic() > self.deadline
            if not blocked or is_last or self.facts["invalid_indexes"] != before_indexes:
                break
            time.sleep(min(2**attempt, 10, max(0.0, self.deadline - time.monotonic())))
        if blocked:
            raise Stop("lock_timeout", advisory=False, blockers=blockers)
        facts = {"rc": rc, "failed_revision": revisions.named_in(output), "timed_out": rc is None}
        raise Stop("failed", **facts, statement_timeout=bool(STATEMENT_TIMEOUT.search(output)))

    def child(
        self, command: list[str], database: Database, connection: Any
    ) -> tuple[int | None, str, list[dict[str, Any]]]:
        """Run the upgrade; its exit status (None: out of time), its output, and who blocked it when it ended."""
        options = [os.environ.get("PGOPTIONS", "")]
        for name in ("lock_timeout", "statement_timeout"):
            seconds = self.request[f"{name}_seconds"]
            options += [f"-c {name}={int(seconds * 1000)}"] if seconds else []
        environment = {**os.environ, "PGOPTIONS": " ".join(options).strip(), "PGAPPNAME": self.application_name}
        blockers: list[dict[str, Any]] = []
        blocked_since = blocked_until = 0.0
        with tempfile.TemporaryFile() as stream:
            try:
                process = subprocess.Popen(
                    command, cwd=self.request["app_dir"], env=environment,
                    stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT,
                )  # fmt: skip
            except OSError as error:
                raise Stop("failed", reason=f"{command[0]!r} does not start: {error}") from error
            rc: int | None = None
            while time.monotonic() <= self.deadline:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    rc = process.wait(POLL_SECONDS)
                    break
                seen = self.watch(database, connection)
                if seen:
                    now = time.monotonic()
                    blocked_since = blocked_since if now - blocked_until < 4 * POLL_SECONDS else now
                    blocked_until, blockers = now, seen
            ended = time.monotonic()
            if rc is None:
                end(process)
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - 8 * TAIL_CHARACTERS))
            output = stream.read().decode("utf-8", "replace")
        # Blocked to the end, and for about as long as lock_timeout allows: that is what ended it.
        long_enough = blocked_until - blocked_since >= 0.7 * self.request["lock_timeout_seconds"] - POLL_SECONDS
        at_the_end = ended - blocked_until < 2.0
        return rc, output, blockers if LOCK_TIMEOUT.search(output) or (long_enough and at_the_end) else []

    def watch(self, database: Database, connection: Any) -> list[dict[str, Any]]:
        if connection is None:
            return []
        try:
            return database.blockers(connection, self.application_name)
        except Exception:  # the observer must not end what it observes
            return []


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Run, and return the outcome and the facts; text that may hold secrets comes out scrubbed."""
    run = Run(request)
    facts: dict[str, Any] = {}
    try:
        outcome = run.run()
    except Stop as stop:
        outcome, facts = stop.kind, stop.facts
    except Exception as error:
        outcome, facts = "failed", {"reason": f"{type(error).__name__}: {error}"}
    if "reason" in facts:
        facts["reason"] = scrub(facts["reason"], run.url)
    for blocker in facts.get("blockers", []):
        blocker["query"] = scrub(blocker["query"] or "", run.url)
    return {"outcome": outcome, **run.facts, **facts}


def main(request: dict[str, Any]) -> None:
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what revision files print on import must not mix with the answer
    with channel:
        channel.write(json.dumps(answer(request)) + "\n")


if __name__ == "__main__":
    main(globals()["REQUEST"])

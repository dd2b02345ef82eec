# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A dump loaded into a database of its own, next to the live one, which nobody has to stop for it.

It is loaded under a name that no app has and gets its own only when it is complete: what a killed run leaves is known
by that name, and removed by the next.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .errors import RingstandError
from .postgresql_cluster import Cluster, conninfo, identifier
from .postgresql_programs import execute, run

INCOMPLETE = "ringstand_restoring"
NAME_BYTES = 63
_NAME = r'(?:"((?:[^"]|"")*)"|([^\s";]+))'
_CREATE = re.compile(rf"^CREATE DATABASE {_NAME}(?: WITH)?([^;]*);$", re.MULTILINE)
_OWNER = re.compile(rf"^ALTER DATABASE {_NAME} OWNER TO {_NAME};$", re.MULTILINE)
_TABLE_DATA = re.compile(r"^\d+; \d+ \d+ TABLE DATA (\S+) (.+) \S+$")
# Of no use without the rows of the other tables, or wrong without them.
_LEFT_OUT = re.compile(r"^\d+; \d+ \d+ (?:FK CONSTRAINT|MATERIALIZED VIEW DATA) ")
_NO_ROLE = re.compile(r'role "([^"]+)" does not exist')
_NAMES_SQL = "SELECT coalesce(json_agg(datname), '[]') FROM pg_database"
_ABOUT_SQL = """SELECT json_build_object('bytes', pg_database_size(current_database()), 'tables',
(SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind IN ('r', 'p')
AND nspname <> 'information_schema' AND nspname NOT LIKE 'pg\\_%'))"""


@dataclass(frozen=True)
class Loaded:
    """What became of a dump. ``rows`` are those of the tables that were asked for, if any."""

    name: str
    tables: int
    size: int
    rows: dict[str, int]
    problems: list[str]


def names(cluster: Cluster) -> list[str]:
    """The databases of the cluster."""
    return [str(name) for name in cluster.query(_NAMES_SQL)]


def choose_name(database: str, given: str, existing: Sequence[str], now: float) -> str:
    """The name of the side database: the given one, else one with today's date; raises :class:`RingstandError`."""
    if given:
        if len(given.encode()) > NAME_BYTES or "\0" in given:
            raise RingstandError(f"Failed to name the side database {given!r}: {NAME_BYTES} bytes are the most")
        if given in existing:
            raise RingstandError(
                f"Failed to restore into the database {given!r}: it exists, and nothing is loaded into what exists. "
                "Nothing was changed. Choose another name with --as"
            )
        return given
    for stamp in ("%Y%m%d", "%Y%m%d_%H%M%S"):
        suffix = time.strftime(f"_restored_{stamp}", time.gmtime(now))
        base = database.encode()[: NAME_BYTES - len(suffix)].decode(errors="ignore")
        if base + suffix not in existing:
            return base + suffix
    raise RingstandError(f"Failed to restore into the database {base + suffix!r}: it exists. Choose a name with --as")


def select(contents: str, tables: Sequence[str]) -> tuple[list[str], list[str]]:
    """The lines of a dump's table of contents by which the rows of only these tables are loaded, and the tables' names.

    The other tables are made all the same, and stay empty: types, defaults and sequences may be in any of them.
    Raises :class:`RingstandError` for a table that the dump does not have.
    """
    found: dict[str, str] = {}
    for line in contents.splitlines():
        match = _TABLE_DATA.match(line)
        if match:
            found[line] = f"{match[1]}.{match[2]}"
    every = set(found.values())
    chosen = {name for name in every for table in tables if table in (name, name.partition(".")[2])}
    missing = [table for table in tables if not any(table in (name, name.partition(".")[2]) for name in every)]
    if missing:
        raise RingstandError(
            f"Failed to find the table {missing[0]!r}: there are {', '.join(sorted(every)) or 'none'}. "
            "Nothing was changed"
        )
    kept = [line for line in contents.splitlines() if line and not line.startswith(";")]
    lines = [line for line in kept if not _LEFT_OUT.match(line) and found.get(line) in (None, *chosen)]
    return lines, sorted(chosen)


def drop_incomplete(cluster: Cluster) -> None:
    """Remove what a run that was killed has left."""
    execute(cluster, f"DROP DATABASE IF EXISTS {INCOMPLETE}")


def dump(cluster: Cluster, database: str, stream: Any) -> None:
    """Write a dump of a database to a file; raises :class:`RingstandError`."""
    run(cluster, f"dump {database!r}", "pg_dump", "-Fc", "-w", "--compress=1", "-d", conninfo(database), stdout=stream)


def load(cluster: Cluster, dump: str, name: str, tables: Sequence[str] = ()) -> Loaded:
    """Load a dump (custom format) into a new database called ``name``.

    Raises :class:`RingstandError`; nothing of it is left then.
    """
    drop_incomplete(cluster)
    problems: list[str] = []
    lines, chosen = select(_output(cluster, dump, "--list"), tables) if tables else (None, [])
    script = _output(cluster, dump, "--create", "--schema-only", "--file=-")
    try:
        _make(cluster, script)
        try:
            _fill(cluster, dump, lines, [])
        except RingstandError as error:
            missing = _NO_ROLE.search(str(error.details.get("stderr")))
            if not missing:
                raise
            problems.append(f"everything in it belongs to {cluster.owner}: the role {missing[1]!r} does not exist here")
            drop_incomplete(cluster)
            _make(cluster, script)
            _fill(cluster, dump, lines, ["--no-owner", "--no-acl"])
        run(cluster, "analyze the restored database", "vacuumdb", "--analyze-only", "--quiet", "-w", INCOMPLETE)
        about = cluster.query(_ABOUT_SQL, INCOMPLETE)
        rows = {table: _count(cluster, table) for table in chosen}
        execute(cluster, f"ALTER DATABASE {INCOMPLETE} RENAME TO {identifier(name)}")
    except BaseException:
        with contextlib.suppress(RingstandError):  # the next run tries again
            drop_incomplete(cluster)
        raise
    return Loaded(name, int(about["tables"]), int(about["bytes"]), rows, problems)


def database_options(script: str) -> str:
    """Encoding and locale of the dumped database, as CREATE DATABASE takes them."""
    created = _CREATE.search(script)
    return re.sub(r"\bTABLESPACE = \S+", "", created[3]).strip() if created else "TEMPLATE = template0"


def create_statements(script: str, existing_roles: Sequence[str]) -> list[str]:
    """How to make the database as the dumped one was (encoding, locale, owner), from the dump's script."""
    owner = _OWNER.search(script)
    statements = [f"CREATE DATABASE {INCOMPLETE} WITH {database_options(script)}",
                  f"REVOKE ALL ON DATABASE {INCOMPLETE} FROM PUBLIC"]
    role = (owner[3] or "").replace('""', '"') or owner[4] if owner else ""
    if role in existing_roles:
        statements.append(f"ALTER DATABASE {INCOMPLETE} OWNER TO {identifier(role)}")
    return statements


def _make(cluster: Cluster, script: str) -> None:
    roles = [str(role) for role in cluster.query("SELECT coalesce(json_agg(rolname), '[]') FROM pg_roles")]
    for statement in create_statements(script, roles):
        execute(cluster, statement)


def _fill(cluster: Cluster, dump: str, lines: Sequence[str] | None, options: Sequence[str]) -> None:
    # What publishes or subscribes would meddle with the live database.
    command = ["--exit-on-error", "--no-publications", "--no-subscriptions", "-w", f"--dbname={INCOMPLETE}", *options]
    with tempfile.TemporaryDirectory(prefix="ringstand-restore-") as directory:
        os.chmod(directory, 0o755)
        path = os.path.join(directory, "contents")
        if lines is not None:
            with open(path, "w", encoding="utf-8") as stream:
                stream.write("\n".join(lines) + "\n")
            os.chmod(path, 0o644)
            command.append(f"--use-list={path}")
        with open(dump, "rb") as stream:  # root's own, which the cluster's owner could not open
            run(cluster, "load the dump", "pg_restore", *command, stdin=stream)


def _output(cluster: Cluster, dump: str, *arguments: str) -> str:
    with open(dump, "rb") as stream:
        return run(cluster, f"read {dump}", "pg_restore", *arguments, stdin=stream, stdout=subprocess.PIPE)


def _count(cluster: Cluster, table: str) -> int:
    schema, _dot, name = table.partition(".")
    counted = cluster.query(f"SELECT to_json(count(*)) FROM {identifier(schema)}.{identifier(name)}", INCOMPLETE)  # noqa: S608
    return int(counted)

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The database that an app is given: whether it is empty, what it can take, and the one transaction that fills it.

All of it is done as the app, in its sandbox and with its own DATABASE_URL: so everything belongs to its role, and it
does not matter where the database is. Only extensions are made by the cluster's owner, when the database is here.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, Any, cast

from .errors import RingstandError
from .layout import AppSettings
from .postgresql_cluster import Cluster, Host, identifier
from .postgresql_state import literals
from .program_database import shell_command
from .systemd import redact

_CLUSTER = "main"
VERSION_TABLE = "alembic_version"
_OWN = """n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' AND NOT EXISTS
(SELECT FROM pg_depend d WHERE d.objid = {oid} AND d.deptype = 'e')"""
_ABOUT_SQL = f"""SELECT json_build_object('database', current_database(), 'role', current_user,
'version', current_setting('server_version_num')::int / 10000,
'tables', (SELECT coalesce(json_agg(json_build_array(n.nspname, c.relname) ORDER BY 1), '[]') FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND {_OWN.format(oid='c.oid')}),
'installed', (SELECT json_object_agg(extname, nspname) FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace),
'available', (SELECT json_agg(name) FROM pg_available_extensions))"""  # noqa: S608 - no input in it
# What a first deploy's migrations have made; no row of it is lost, which has been looked at before.
_CLEAR_SQL = f"""DO $clear$ DECLARE one text; BEGIN
FOR one IN SELECT format('DROP %s IF EXISTS %I.%I CASCADE', CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN
    'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, n.nspname, c.relname) FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S')
  AND {_OWN.format(oid='c.oid')} ORDER BY c.relkind = 'S' LOOP EXECUTE one; END LOOP;
FOR one IN SELECT format('DROP TYPE IF EXISTS %I.%I CASCADE', n.nspname, t.typname) FROM pg_type t
  JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.typtype IN ('e', 'd') AND {_OWN.format(oid='t.oid')}
  LOOP EXECUTE one; END LOOP;
FOR one IN SELECT format('DROP ROUTINE IF EXISTS %s CASCADE', p.oid::regprocedure) FROM pg_proc p
  JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {_OWN.format(oid='p.oid')} LOOP EXECUTE one; END LOOP;
END $clear$;
"""  # noqa: S608 - no input in it
_OTHERS_SQL = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()
AND usename = current_user AND pid <> pg_backend_pid()"""


def query(settings: AppSettings, sql: str) -> Any:
    """The one JSON value that a query returns to the app; raises :class:`RingstandError`."""
    command = shell_command(settings, ["-XAtqw", "-v", "ON_ERROR_STOP=1", "-f", "-"], terminal=False)
    done = subprocess.run(command, input=sql, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode != 0:
        raise RingstandError(f"Failed to ask the database of {settings.name}: {_reason(done.stderr)}")
    lines = [line for line in done.stdout.splitlines() if line]
    return json.loads(lines[-1]) if lines else None


def about(settings: AppSettings, analyze: bool = False) -> dict[str, Any]:
    """Its name, role, server version, tables, and extensions that are ``installed`` (with schema) and ``available``.

    With ``analyze`` the server looks at it first: what has just come has no statistics yet.
    """
    found: dict[str, Any] = query(settings, f"ANALYZE; {_ABOUT_SQL}" if analyze else _ABOUT_SQL)
    return found


def filled(settings: AppSettings, tables: Iterable[Sequence[str]]) -> list[str]:
    """Those of the tables that hold rows; the one that only names a revision does not count."""
    asked = [(schema, name) for schema, name in tables if name != VERSION_TABLE]
    if not asked:
        return []
    parts = [f"SELECT {literals([f'{schema}.{name}'])} AS name WHERE EXISTS (SELECT FROM {place(schema, name)})"  # noqa: S608
             for schema, name in asked]
    rows = query(settings, f"SELECT coalesce(json_agg(name), '[]') FROM ({' UNION ALL '.join(parts)}) found")  # noqa: S608
    return sorted(str(row) for row in rows)


def count(settings: AppSettings, tables: Iterable[Sequence[str]], asked: Iterable[str]) -> dict[str, int | None]:
    """Rows of those that are ``asked`` for, by name; None for one that is not among the ``tables`` that there are."""
    there = {f"{schema}.{name}": place(schema, name) for schema, name in tables}
    asked = list(asked)
    present = {name: there[name] for name in asked if name in there}
    rows = query(settings, counting(present)) if present else {}
    return {name: rows.get(name) for name in asked}


def counting(places: Mapping[str, str]) -> str:
    """A query for the rows of tables, by their names; the values are tables as SQL has them."""
    parts = [f"SELECT {literals([name])} AS name, (SELECT count(*) FROM {where}) AS rows"  # noqa: S608
             for name, where in places.items()]
    return f"SELECT json_object_agg(name, rows) FROM ({' UNION ALL '.join(parts)}) counted"  # noqa: S608


def revision(settings: AppSettings, tables: Iterable[Sequence[str]]) -> list[str]:
    """The revisions of Alembic that the database is at, none when it has no such table."""
    schemas = [schema for schema, name in tables if name == VERSION_TABLE]
    if not schemas:
        return []
    sql = f"SELECT coalesce(json_agg(version_num ORDER BY 1), '[]') FROM {place(schemas[0], VERSION_TABLE)}"  # noqa: S608
    return [str(item) for item in query(settings, sql)]


def local_cluster(settings: AppSettings) -> Cluster | None:
    """The cluster of this host that the database is in; None for one elsewhere."""
    if not settings.local_database:
        return None
    host = Host.read(_CLUSTER)
    return host.cluster(host.choose("", _CLUSTER), _CLUSTER)


def make_extensions(settings: AppSettings, database: str, role: str, wanted: Mapping[str, str]) -> None:
    """Make extensions, each in its schema (empty: where it is usual). Raises :class:`RingstandError`."""
    cluster = local_cluster(settings)
    for name, schema in sorted(wanted.items()):
        inside = f" SCHEMA {identifier(schema)}" if schema else ""
        own = f"CREATE SCHEMA IF NOT EXISTS {identifier(schema)}" if schema and schema != "public" else "SELECT"
        sql = f"{own}; CREATE EXTENSION IF NOT EXISTS {identifier(name)}{inside}; SELECT 'true'::json"
        try:
            if cluster:
                # The schema is the app's, because the dump may put more into it.
                owner = f" AUTHORIZATION {identifier(role)}" if own != "SELECT" else ""
                cluster.query(sql.replace(own, own + owner, 1), database)
            else:
                query(settings, sql)
        except RingstandError as error:
            message = f"Failed to make the extension {name!r}: {error.message}. Nothing was loaded"
            raise RingstandError(message) from error


def load(settings: AppSettings, lines: contextlib.AbstractContextManager[Iterator[bytes]], clear: bool) -> None:
    """Run a script as one transaction, which is committed only when all of the script could be read.

    Raises :class:`RingstandError`; the database is then as it was.
    """
    command = shell_command(settings, ["-Xqw", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", "-f", "-"], terminal=False)
    with tempfile.TemporaryFile() as errors:
        psql = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)
        stdin, stdout = cast(IO[bytes], psql.stdin), cast(IO[bytes], psql.stdout)
        try:
            stdin.write(f"{_OTHERS_SQL};\n".encode())
            stdin.write(b"BEGIN;\nSET LOCAL lock_timeout = '30s';\n" + (_CLEAR_SQL.encode() if clear else b""))
            stdin.write(b"SET LOCAL lock_timeout = 0;\n")
            with lines as script:
                for line in script:
                    stdin.write(line)
            # Not before the rest has been run: what waits in the pipe would be committed also when this is killed.
            mark = f"loaded {uuid.uuid4().hex}\n".encode()
            stdin.write(b"\\echo " + mark)
            stdin.flush()
            if stdout.readline() == mark:
                stdin.write(b"COMMIT;\n")
            stdin.close()
        except BrokenPipeError:
            pass  # psql has stopped at an error, and says which
        except BaseException:
            psql.kill()  # without a COMMIT all of it is undone
            raise
        finally:
            with contextlib.suppress(OSError):
                stdin.close()
            stdout.close()
            psql.wait()
        errors.seek(0)
        said = errors.read().decode(errors="replace")
    if psql.returncode != 0:
        raise RingstandError(
            f"Failed to load the dump into {settings.name}: {_reason(said)}. The database is as it was before",
            rc=psql.returncode, output=redact(said)[-2000:],
        )


def place(schema: str, name: str) -> str:
    """A table's name as SQL has it."""
    return f"{identifier(schema)}.{identifier(name)}"


def _reason(said: str) -> str:
    lines = [line.strip() for line in redact(said).splitlines() if line.strip()]
    errors = [line for line in lines if "ERROR:" in line or "FATAL:" in line or "error:" in line] or lines
    return " / ".join(errors[:2]) or "psql gave no reason"

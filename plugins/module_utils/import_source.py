# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A database elsewhere, such as at the provider that is being left: looked at, dumped, and its rows counted.

Its password is in a file of 0600 that only the client programs read, and that is gone with the directory it is in.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .database_shell import connection_environment
from .errors import RingstandError
from .import_target import counting, place
from .postgresql_programs import newest_program
from .systemd import redact

# Encrypted at least. A certificate that can be checked is checked when the URL says so.
_ENCRYPTED = ("require", "verify-ca", "verify-full")
_CONNECT_SECONDS = "15"
_ABOUT_SQL = """SELECT json_build_object('version', current_setting('server_version_num')::int / 10000,
'bytes', pg_database_size(current_database()),
'extensions', (SELECT json_object_agg(extname, nspname) FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace
  WHERE extname <> 'plpgsql'),
'tables', (SELECT coalesce(json_agg(json_build_array(n.nspname, c.relname) ORDER BY 1), '[]') FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND c.relpersistence <> 't'
  AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')));
"""


def environment_of(url: str) -> dict[str, str]:
    """What libpq needs to know of a URL. Raises :class:`RingstandError`, never with the URL in it."""
    try:
        found = connection_environment(url.strip())
    except ValueError as error:
        raise RingstandError(f"Failed to use the source's URL: {error}") from error
    missing = [name for name in ("PGHOST", "PGUSER", "PGDATABASE") if not found.get(name)]
    if missing:
        raise RingstandError(
            f"Failed to use the source's URL: it lacks {', '.join(name[2:].lower() for name in missing)}. "
            "It reads postgres://user:password@host:port/database"
        )
    if found["PGHOST"].startswith("/"):
        raise RingstandError("Failed to use the source's URL: its host is a socket of this machine. Give a dump")
    mode = found.setdefault("PGSSLMODE", _ENCRYPTED[0])
    if mode not in _ENCRYPTED:
        raise RingstandError(
            f"Failed to use the source's URL: sslmode={mode} would let the password and the data be read on the way. "
            f"Use one of {', '.join(_ENCRYPTED)}"
        )
    return found


@dataclass
class Source:
    """A connection to it, and the moment that all is read as of."""

    environment: Mapping[str, str]
    directory: str
    user: str
    version: int
    size: int
    extensions: dict[str, str]
    tables: list[tuple[str, str]]
    _session: Any = None
    _snapshot: str = ""

    def dump(self) -> str:
        """Dump it; returns the path of the dump. Raises :class:`RingstandError`."""
        path = os.path.join(self.directory, "source.dump")
        command = [newest_program("pg_dump"), "-Fc", "-w", "--no-owner", "--no-acl", "--no-publications",
                   "--no-subscriptions", f"--snapshot={self._snapshot}"]
        with open(path, "wb") as stream:
            os.chmod(path, 0o600)
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.PIPE, check=False,
                                  **self._as_user())
        if done.returncode != 0:
            raise RingstandError(f"Failed to dump the source: {_first(done.stderr.decode(errors='replace'))}")
        return path

    def count(self) -> dict[str, int]:
        """The rows of all its tables at the moment of the dump."""
        if not self.tables:
            return {}
        found = self.ask(counting({f"{schema}.{name}": place(schema, name) for schema, name in self.tables}) + ";\n")
        return {str(name): int(rows) for name, rows in found.items()}

    def ask(self, sql: str) -> Any:
        """One JSON value, in the transaction that all is read in."""
        self._session.stdin.write(sql)
        self._session.stdin.flush()
        line = self._session.stdout.readline()
        if not line:
            said = redact(self._session.stderr.read())
            raise RingstandError(f"Failed to ask the source: {_first(said)}")
        return json.loads(line)

    def _as_user(self) -> dict[str, Any]:
        environment = {**self.environment, "PATH": os.defpath, "LC_ALL": "C.UTF-8"}
        return {"user": self.user, "group": pwd.getpwnam(self.user).pw_gid, "extra_groups": [], "cwd": "/",
                "env": environment}


@contextlib.contextmanager
def opened(url: str, user: str, above: str) -> Iterator[Source]:
    """Connect to it as ``user`` of this host, with what is written below ``above``; raises :class:`RingstandError`."""
    environment = environment_of(url)
    with tempfile.TemporaryDirectory(prefix="ringstand-import-", dir=above) as directory:
        owner = pwd.getpwnam(user)
        os.chown(directory, owner.pw_uid, owner.pw_gid)
        environment = {**environment, **_with_passfile(environment, directory, owner)}
        environment.pop("PGPASSWORD", None)
        environment.setdefault("PGCONNECT_TIMEOUT", _CONNECT_SECONDS)
        source = Source(environment, directory, user, 0, 0, {}, [])
        command = [newest_program("psql"), "-XAtqw", "-v", "ON_ERROR_STOP=1", "-f", "-"]
        session = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True, errors="replace", **source._as_user())
        source._session = session
        try:
            with contextlib.suppress(BrokenPipeError):
                session.stdin.write("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;\n")  # type: ignore[union-attr]
            source._snapshot = str(source.ask("SELECT to_json(pg_export_snapshot());\n"))
            found = source.ask(re.sub(r"\s+", " ", _ABOUT_SQL) + "\n")
            source.version, source.size = int(found["version"]), int(found["bytes"])
            source.extensions = dict(found["extensions"] or {})
            source.tables = [(str(schema), str(name)) for schema, name in found["tables"]]
            yield source
        except BrokenPipeError as error:
            said = session.stderr.read() if session.stderr else ""
            raise RingstandError(f"Failed to connect to the source: {_first(said)}") from error
        finally:
            with contextlib.suppress(OSError):
                session.stdin.close()  # type: ignore[union-attr]
            session.kill()
            session.wait()


def _with_passfile(environment: Mapping[str, str], directory: str, owner: pwd.struct_passwd) -> dict[str, str]:
    path = os.path.join(directory, "passfile")
    password = re.sub(r"([\\:])", r"\\\1", environment.get("PGPASSWORD", ""))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="utf-8") as stream:
        stream.write(f"*:*:*:*:{password}\n")
    os.chown(path, owner.pw_uid, owner.pw_gid)
    return {"PGPASSFILE": path}


def _first(said: str) -> str:
    lines = [line.strip() for line in redact(said).splitlines() if line.strip()]
    return " / ".join(lines[:2]) or "it gave no reason"

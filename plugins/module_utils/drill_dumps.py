# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A dump that a drill restores into a database of its own on a scratch cluster.

Neither the roles that it names have to be there, for the app may be gone, nor, of a database elsewhere, its locale.
"""

from __future__ import annotations

import re
import subprocess

from . import import_dump, side_database
from .backup_dumps import Dump
from .backup_elsewhere import SUFFIX
from .errors import RingstandError
from .import_script import Facts, Script
from .postgresql_cluster import Cluster, identifier
from .postgresql_programs import execute, feed, run

DATABASE = "ringstand_drill"
_OPTIONS = ("--no-owner", "--no-acl", "--no-publications", "--no-subscriptions", "--exit-on-error", "--no-password")
_ENCODING = re.compile(r"\bENCODING = '([\w-]+)'")
_AVAILABLE_SQL = "SELECT coalesce(json_agg(name), '[]') FROM pg_available_extensions"


def examine(dump: Dump) -> Facts:
    """What is in a dump; raises :class:`RingstandError` when its contents cannot be read."""
    return import_dump.examine(import_dump.recognise(dump.path))


def restore(cluster: Cluster, dump: Dump, facts: Facts) -> str:
    """Restore a dump; returns why that cannot be done with this cluster, and it was only read, or nothing.

    Raises :class:`RingstandError` at the first error.
    """
    elsewhere = dump.database.endswith(SUFFIX)
    available = cluster.query(_AVAILABLE_SQL) if elsewhere else None
    reason = unfit(facts, cluster.version, available)
    if reason:
        with open(dump.path, "rb") as stream:
            run(cluster, f"read the dump {dump.path}", "pg_restore", "--file=/dev/null", stdin=stream, newest=True)
        return reason
    if not elsewhere and dump.database != "postgres":  # its room is needed, and nobody looks at it any more
        execute(cluster, f"DROP DATABASE IF EXISTS {identifier(dump.database)} WITH (FORCE)")
    execute(cluster, f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
    _make(cluster, dump)
    what = f"restore the dump {dump.path}"
    if elsewhere:
        _load(cluster, what, dump, facts)
    else:
        with open(dump.path, "rb") as stream:
            run(cluster, what, "pg_restore", *_OPTIONS, f"--dbname={DATABASE}", stdin=stream)
    execute(cluster, f"DROP DATABASE {DATABASE} WITH (FORCE)")
    return ""


def unfit(facts: Facts, version: str, available: list[str] | None) -> str:
    """Why a cluster of this version, with these extensions unless None, cannot take a dump, or nothing."""
    if facts.version and facts.version > float(version):
        return f"it is of PostgreSQL {facts.version}, and the cluster here is {version}"
    lacking = sorted(set(facts.extensions) - set(available) - {"plpgsql"}) if available is not None else []
    return f"it needs the extensions {', '.join(lacking)}, which are not installed here" if lacking else ""


def create_options(script: str, version: str) -> tuple[str, str]:
    """How the dumped database was made, from the dump's script, and how one is that any host can make."""
    options = side_database.database_options(script)
    encoding = _ENCODING.search(options)
    plain = f"TEMPLATE = template0 ENCODING = '{encoding[1] if encoding else 'UTF8'}' LOCALE = 'C'"
    return options, plain + (" LOCALE_PROVIDER = libc" if float(version) >= 15 else "")


def _make(cluster: Cluster, dump: Dump) -> None:
    arguments = ("--create", "--schema-only", "--file=-")
    with open(dump.path, "rb") as stream:
        script = run(cluster, f"read the dump {dump.path}", "pg_restore", *arguments, stdin=stream,
                     stdout=subprocess.PIPE, newest=True)
    options, plain = create_options(script, cluster.version)
    try:
        execute(cluster, f"CREATE DATABASE {DATABASE} WITH {options}")
    except RingstandError:  # such as a locale that only the other host has
        execute(cluster, f"CREATE DATABASE {DATABASE} WITH {plain}")


def _load(cluster: Cluster, what: str, dump: Dump, facts: Facts) -> None:
    """As SQL: a pg_restore that is newer than the server sets what that does not know."""
    for name, schema in sorted(facts.extensions.items()):
        if schema and not schema.startswith("pg_"):  # which are there
            execute(cluster, f"CREATE SCHEMA IF NOT EXISTS {identifier(schema)}", DATABASE)
        inside = f" SCHEMA {identifier(schema)}" if schema else ""
        execute(cluster, f"CREATE EXTENSION IF NOT EXISTS {identifier(name)}{inside}", DATABASE)
    with import_dump.sql(import_dump.recognise(dump.path), Script()) as lines:
        feed(cluster, what, "psql", "-Xqw", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", f"--dbname={DATABASE}",
             lines=lines)

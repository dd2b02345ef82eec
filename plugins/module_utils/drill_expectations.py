# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the live cluster holds, so that a restore of it can be judged: rows per table, and what has changed since.

A restored table has as many rows as were counted, less those deleted and more those inserted since, as PostgreSQL's
own statistics tell: exactly as many in a table at rest. A table that was emptied or rewritten since is not judged.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from . import backup_canary
from .backup_settings import STATE_DIR
from .errors import RingstandError
from .postgresql_cluster import Cluster
from .releases import write_durably

PATH = os.path.join(STATE_DIR, "expectations.json")
KEPT = 60
# Counting reads a table as a whole. Of each database the small ones are counted, up to so many bytes in all; the pages
# of the others are looked at as well when they have been restored.
COUNTED_BYTES = 2 * 2**30
_CHUNK_BYTES, _CHUNK_TABLES = 256 * 2**20, 200
_TABLES_SQL = """
SELECT json_build_object(
  'reset', (SELECT stats_reset FROM pg_stat_database WHERE datname = current_database()),
  'tables', (SELECT coalesce(json_object_agg(c.oid, json_build_object(
      'name', format('%I.%I', nspname, c.relname), 'node', pg_relation_filenode(c.oid),
      'bytes', pg_relation_size(c.oid), 'inserted', n_tup_ins, 'deleted', n_tup_del)), '{}')
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace JOIN pg_stat_all_tables s ON s.relid = c.oid
    WHERE relkind = 'r' AND relpersistence = 'p' AND nspname NOT IN ('pg_catalog', 'information_schema')))
"""
Tables = dict[str, dict[str, Any]]
Databases = dict[str, dict[str, Any]]


def look(cluster: Cluster, count: bool = True) -> Databases:
    """The tables of each database by their identifiers; with ``count`` also ``rows`` of the small ones."""
    found: Databases = {}
    for name in cluster.databases():
        # The statistics first: what is counted afterwards can only be more than what they have of it.
        found[name] = dict(cluster.query(_TABLES_SQL, name))
        if count:
            tables = found[name]["tables"]
            for oid, rows in counts(cluster, name, tables).items():
                tables[oid]["rows"] = rows
    return found


def chunks(tables: Tables) -> Iterable[list[str]]:
    """Identifiers of the tables to count, the smallest first, in portions that do not take long."""
    chunk: list[str] = []
    total = size = 0
    for oid, table in sorted(tables.items(), key=lambda item: int(item[1]["bytes"])):
        total += int(table["bytes"])
        if total > COUNTED_BYTES:
            break
        if chunk and (size + table["bytes"] > _CHUNK_BYTES or len(chunk) >= _CHUNK_TABLES):
            yield chunk
            chunk, size = [], 0
        chunk.append(oid)
        size += int(table["bytes"])
    if chunk:
        yield chunk


def counts(cluster: Cluster, database: str, tables: Tables) -> dict[str, int]:
    """Rows by identifier. A portion that cannot be read in time, or is locked, is left out."""
    found: dict[str, int] = {}
    for chunk in chunks(tables):
        selects = " UNION ALL ".join(
            f"SELECT {int(oid)} AS oid, (SELECT count(*) FROM {tables[oid]['name']}) AS n"  # noqa: S608 - quoted by %I
            for oid in chunk
        )
        try:
            limits = "SET lock_timeout = '5s'; SET statement_timeout = '25s'; "
            sql = f"SELECT json_object_agg(oid, n) FROM ({selects}) AS counted"  # noqa: S608 - as above
            answer = cluster.query(limits + sql, database)
        except RingstandError:
            continue
        found.update({str(oid): int(rows) for oid, rows in answer.items()})
    return found


def differences(
    before: Databases, now: Databases, restored: Databases, recount: Callable[[str, str], int | None]
) -> list[tuple[str, str]]:
    """Tables that have other rows than they may have, as pairs of ``database: table`` and the reason.

    ``before`` has ``rows``, ``now`` is of the live cluster and not older than what was restored. ``recount`` tells how
    many rows the live table of a database has by now, because statistics can be late.
    """
    found = []
    for database, old in before.items():
        new = now.get(database)
        if new is None:
            continue  # dropped since
        if database not in restored:
            found.append((database, "the database is not there"))
            continue
        for oid, table in old["tables"].items():
            live, there = new["tables"].get(oid), restored[database]["tables"].get(oid)
            if live is None or live["node"] != table["node"] or new["reset"] != old["reset"]:
                continue  # dropped, emptied or rewritten since, or nobody knows what has changed
            if there is None:
                found.append((f"{database}: {table['name']}", "the table is not there"))
                continue
            rows, got = table.get("rows"), there.get("rows")
            if rows is None or got is None:
                continue
            if live["inserted"] < table["inserted"] or live["deleted"] < table["deleted"]:
                continue
            low = rows - (live["deleted"] - table["deleted"])
            high = rows + (live["inserted"] - table["inserted"])
            if low <= got <= high:
                continue
            latest = recount(database, table["name"])
            if latest is None or min(rows, latest) <= got <= max(rows, latest):
                continue
            expected = str(rows) if low == high else f"between {low} and {high}"
            found.append((f"{database}: {table['name']}", f"it has {got} rows and should have {expected}"))
    return found


def uncounted(restored: Databases, references: Sequence[Databases]) -> list[str]:
    """Restored tables whose rows were compared with nothing, the largest first, as ``database: table``.

    Those beyond :data:`COUNTED_BYTES`, and those that could not be read in time. New ones are not meant.
    """
    found: list[tuple[int, str]] = []
    for database, there in restored.items():
        for oid, table in there["tables"].items():
            tables = (one[database]["tables"] for one in references if database in one)
            known = [one[oid] for one in tables if oid in one]
            if table.get("rows") is None or (known and all(one.get("rows") is None for one in known)):
                found.append((-int(table["bytes"]), f"{database}: {table['name']}"))
    return [name for _size, name in sorted(found)]


def recounted(cluster: Cluster, database: str, table: str) -> int | None:
    """The rows of one table now; None when it cannot be told."""
    try:
        return int(cluster.query(f"SELECT to_json(count(*)) FROM {table}", database))  # noqa: S608 - quoted by %I
    except RingstandError:
        return None


def record(cluster: Cluster, path: str = PATH) -> None:
    """Before a backup of the cluster: leave a row, count, and keep both for the drill."""
    canary = backup_canary.write(cluster)
    entry = {"written": canary.written, "token": canary.token, "databases": look(cluster)}
    entries = [*load(path), entry][-KEPT:]
    write_durably(path, json.dumps({"schema": 1, "entries": entries}), 0o600)


def load(path: str = PATH) -> list[dict[str, Any]]:
    """What was recorded, oldest first; what cannot be read counts as nothing."""
    try:
        with open(path, encoding="utf-8") as stream:
            data = json.load(stream)
        return list(data["entries"]) if data["schema"] == 1 else []
    except (OSError, ValueError, KeyError, TypeError):
        return []


def known(live: Cluster, path: str = PATH) -> list[dict[str, Any]]:
    """Those of which the live cluster has the row: what was recorded after the moment it was restored to is void."""
    entries = load(path)
    gone = set(backup_canary.missing(live, [str(entry["token"]) for entry in entries])) if entries else set()
    return [entry for entry in entries if entry["token"] not in gone]


def of_backup(entries: Sequence[Mapping[str, Any]], started: float) -> Mapping[str, Any] | None:
    """The last one recorded before a backup was started; None when there is none."""
    early = [entry for entry in entries if entry["written"] <= started]
    return early[-1] if early else None

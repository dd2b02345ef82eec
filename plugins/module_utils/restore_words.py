# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What came of a restore, for people, with what to do about what it has left."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from .pgbackrest import OWNER


def words(result: Mapping[str, Any]) -> str:
    """The lines for a result of :func:`restore_job.perform`."""
    if result.get("undone"):
        running = "and the cluster runs on it" if result["started"] else "and the cluster is stopped, as it was"
        return f"{result['data_dir']} is as it was before the restore, {running}"
    if "side_database" in result:
        lines = _side_database(result)
    elif "files" in result:
        lines = _files(result)
    else:
        tables = ", ".join(f"{name} ({count} tables)" for name, count in result["databases"].items())
        lines = [
            f"restored up to {result['recovered_to']} from the backup {result['backup']} in {result['seconds']:.0f} s",
            f"databases: {tables}",
        ]
        if result["kept"]:
            lines.append(f"the old data directory is kept; {_remove('rm -r', result['kept'])}")
    return "\n".join([*lines, *result["problems"]])


def _remove(command: str, what: str) -> str:
    return f"remove it when you need it no longer: {command} {what}"


def _side_database(result: Mapping[str, Any]) -> list[str]:
    name = shlex.quote(result["side_database"])
    size = f"{result['tables']} tables, {result['bytes'] / 2**20:.1f} MiB"
    rows = ", ".join(f"{table} has {count} rows" for table, count in result["rows"].items())
    return [
        f"{result['database']} as of {result['recovered_to']} is in the new database {result['side_database']} "
        f"({size}); nothing else was changed",
        *([f"{rows}; the other tables are empty"] if rows else []),
        f"look at it: sudo -u {OWNER} psql -d {name}",
        _remove(f"sudo -u {OWNER} dropdb", name),
    ]


def _files(result: Mapping[str, Any]) -> list[str]:
    paths = " and ".join(result["paths"])
    if result["into"]:
        return [f"the files of {result['files']} as of {result['taken']} are in {result['into']}",
                _remove("rm -r", result["into"])]
    lines = [f"{paths} are as they were at {result['taken']}"]
    if result["kept"]:
        lines.append(f"what was there is kept; {_remove('rm -r', result['kept'])}")
    return lines

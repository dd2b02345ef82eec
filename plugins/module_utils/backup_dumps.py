# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Nightly dumps of single databases: portable, and restorable one by one on any PostgreSQL.

``<dumps>/<database>/<UTC time>.dump`` with ``….dump.sha256`` beside it, as ``sha256sum`` writes it. A dump gets its
name only once all of it could be read back; older ones are removed only after that.
"""

from __future__ import annotations

import calendar
import contextlib
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .backup_problems import Problem
from .backup_settings import ALL, BackupSettings
from .errors import RingstandError
from .postgresql_cluster import Cluster, conninfo
from .postgresql_programs import run
from .restic import file_sha256
from .switch import sync_dir

STAMP = "%Y%m%dT%H%M%SZ"
SUM = ".sha256"
DAY_SECONDS = 86_400
# A dump waits for a lock this long at most: behind it, every new query on that table waits as well.
LOCK_WAIT_SECONDS = 600
_DATABASES_SQL = (
    "SELECT coalesce(json_agg(datname ORDER BY datname), '[]') FROM pg_database"
    " WHERE datallowconn AND NOT datistemplate AND datname <> 'postgres'"
)


@dataclass(frozen=True)
class Dump:
    """One dump. ``time`` is seconds since the epoch, ``size`` bytes."""

    database: str
    time: int
    path: str
    size: int


def databases(settings: BackupSettings, cluster: Cluster) -> list[str]:
    """The databases to dump: those of the settings, or all that the cluster has but its empty ``postgres``.

    Raises :class:`RingstandError` when it cannot be asked.
    """
    if ALL not in settings.databases:
        return list(settings.databases)
    return [str(name) for name in cluster.query(_DATABASES_SQL)]


def dump(settings: BackupSettings, cluster: Cluster, database: str, now: float) -> Dump:
    """Dump one database, read the result back, and put it in place with its sum.

    Raises :class:`RingstandError`; nothing incomplete is left behind.
    """
    options = ("-Fc", "-w", f"--lock-wait-timeout={LOCK_WAIT_SECONDS * 1000}", "-d", conninfo(database))

    def fill(stream: Any) -> None:
        run(cluster, f"dump {database!r}", "pg_dump", *options, stdout=stream)

    def read_back(path: str) -> None:
        # Not only --list, which reads the beginning: a dump that was cut short must not count.
        with open(path, "rb") as stream:
            run(cluster, f"read back the dump of {database!r}", "pg_restore", "--file=/dev/null", stdin=stream)

    return write(settings, database, now, fill, read_back)


def write(
    settings: BackupSettings, name: str, now: float, fill: Callable[[Any], None], read_back: Callable[[str], None]
) -> Dump:
    """Have ``fill`` write a dump into a stream and ``read_back`` read it, then put it in place with its sum."""
    path = _write(os.path.join(settings.dumps_dir, name), "dump", now, fill, read_back)
    return Dump(name, _time(path), path, os.path.getsize(path))


def dump_globals(settings: BackupSettings, cluster: Cluster, now: float) -> str:
    """Write the cluster's roles with their password hashes; returns the path. As :func:`dump`."""
    def fill(stream: Any) -> None:
        run(cluster, "dump the roles", "pg_dumpall", "--globals-only", "-w", stdout=stream)

    def read_back(path: str) -> None:
        with open(path, "rb") as stream:
            stream.seek(max(0, os.path.getsize(path) - 4096))
            if b"PostgreSQL database cluster dump complete" not in stream.read():
                raise RingstandError("Failed to dump the roles: the dump lacks its last line")

    return _write(settings.globals_dir, "sql", now, fill, read_back)


def _write(
    directory: str, suffix: str, now: float, fill: Callable[[Any], None], read_back: Callable[[str], None]
) -> str:
    os.makedirs(directory, mode=0o700, exist_ok=True)
    remove_leftovers(directory)
    path = os.path.join(directory, f"{time.strftime(STAMP, time.gmtime(now))}.{suffix}")
    temporary = f"{path}.new"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "wb") as stream:
            fill(stream)
            os.fsync(stream.fileno())
        read_back(temporary)
        _write_sum(path, file_sha256(temporary))
        os.rename(temporary, path)
        sync_dir(directory)
    except OSError as error:
        raise RingstandError(f"Failed to write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
    return path


def _write_sum(path: str, digest: str) -> None:
    descriptor = os.open(f"{path}{SUM}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "w", encoding="utf-8") as stream:
        stream.write(f"{digest}  {os.path.basename(path)}\n")
        stream.flush()
        os.fsync(stream.fileno())


def remove_leftovers(directory: str) -> None:
    """Remove what a dump that was killed left behind: files without their final name, and a sum written before them."""
    for name in os.listdir(directory):
        if not name.endswith(".new"):
            continue
        final = os.path.join(directory, name[: -len(".new")])
        os.unlink(os.path.join(directory, name))
        if not os.path.exists(final):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{final}{SUM}")


def _time(path: str) -> int:
    return calendar.timegm(time.strptime(os.path.basename(path).split(".")[0], STAMP))


def dumps(directory: str) -> list[Dump]:
    """The dumps below ``directory`` (such as ``settings.dumps_dir``), by database, oldest first."""
    found = []
    for database in sorted(os.listdir(directory)) if os.path.isdir(directory) else []:
        folder = os.path.join(directory, database)
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            path = os.path.join(folder, name)
            if name.endswith(".dump"):
                with contextlib.suppress(ValueError):
                    found.append(Dump(database, _time(path), path, os.path.getsize(path)))
    return found


def verify(settings: BackupSettings, expected: Iterable[str] = ()) -> list[Problem]:
    """Compare every dump with its sum; one that is gone while its sum or ``expected`` has it is damage too."""
    folders = [settings.globals_dir]
    if os.path.isdir(settings.dumps_dir):
        folders += [os.path.join(settings.dumps_dir, name) for name in sorted(os.listdir(settings.dumps_dir))]
    gone = [path for path in expected if not os.path.exists(path) and not os.path.exists(f"{path}{SUM}")]
    problems = [Problem("verify", path, "the newest dump is missing", True) for path in gone]
    for folder in folders:
        names = set(os.listdir(folder)) if os.path.isdir(folder) else set()
        # A sum whose dump still has its temporary name is what a killed run left behind, not damage.
        wanted = {name[: -len(SUM)] for name in names if name.endswith(SUM)}
        wanted -= {name[: -len(".new")] for name in names if name.endswith(".new")} - names
        for name in sorted(wanted | {name for name in names if name.endswith((".dump", ".sql"))}):
            reason = damage(os.path.join(folder, name), name in wanted)
            if reason:
                problems.append(Problem("verify", os.path.join(folder, name), reason, True))
    return problems


def superseded(found: Sequence[Problem]) -> list[Problem]:
    """Those of the damaged dumps beside which there is a newer one without damage: they go with the retention."""
    bad = {problem.file for problem in found}

    def good(folder: str) -> str:
        names = os.listdir(folder) if os.path.isdir(folder) else []
        return max((path for name in names if name.endswith((".dump", ".sql"))
                    for path in [os.path.join(folder, name)] if path not in bad), default="")

    return [problem for problem in found if problem.file and problem.file < good(os.path.dirname(problem.file))]


def damage(path: str, has_sum: bool = True) -> str:
    """Why a dump cannot be relied on, empty when it can; ``has_sum`` tells that there is a sum beside it."""
    if not os.path.exists(path):
        return "the file is missing"
    if not has_sum:
        return f"its sum {os.path.basename(path)}{SUM} is missing"
    with open(f"{path}{SUM}", encoding="utf-8", errors="replace") as stream:
        expected = stream.read()
    if os.path.getsize(path) == 0:
        return "the file is empty"
    return "" if expected == f"{file_sha256(path)}  {os.path.basename(path)}\n" else "the file is not what its sum says"


def prune(
    directory: str, suffix: str, days: int, now: float, keep: str = "", newest: bool = False
) -> list[str]:
    """Remove the files of one database that are older than ``days``, never the newest nor ``keep``; returns the paths.

    Only for a directory to which a newer dump has just been added; with ``newest`` also the newest goes.
    """
    there = [name for name in os.listdir(directory) if name.endswith(f".{suffix}")]
    kept = {"" if newest else max(there, default=""), os.path.basename(keep)}
    # Of one that is lost the sum is left.
    lost = {name[: -len(SUM)] for name in os.listdir(directory) if name.endswith(f".{suffix}{SUM}")}
    removed = []
    for name in sorted({*there, *lost} - kept):
        path = os.path.join(directory, name)
        with contextlib.suppress(ValueError):
            if _time(path) < now - days * DAY_SECONDS:
                for one in (path, f"{path}{SUM}"):
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(one)
                removed.append(path)
    return removed


def prune_gone(settings: BackupSettings, dumped: Iterable[str], days: int, now: float) -> None:
    """Remove what is older than ``days`` of databases that are dumped no longer, to the last one.

    Only after a run in which all others, those of ``dumped``, were.
    """
    gone = set(os.listdir(settings.dumps_dir)) - set(dumped) if os.path.isdir(settings.dumps_dir) else set()
    for database in sorted(gone):
        folder = os.path.join(settings.dumps_dir, database)
        if os.path.isdir(folder) and not os.path.islink(folder):
            remove_leftovers(folder)
            prune(folder, "dump", days, now, newest=True)
            with contextlib.suppress(OSError):  # it holds others yet
                os.rmdir(folder)

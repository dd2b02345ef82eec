# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The client programs of a cluster's own version, run as its owner and without a password."""

from __future__ import annotations

import contextlib
import glob
import os
import subprocess
import tempfile
from collections.abc import Iterable
from typing import IO, Any, cast

from .errors import RingstandError
from .postgresql_cluster import Cluster, conninfo

SHOWN_LINES = 3


def newest_program(name: str) -> str:
    """The newest installed version of one of PostgreSQL's client programs: it reads what older ones wrote."""
    found = glob.glob(f"/usr/lib/postgresql/*/bin/{name}")
    if not found:
        raise RingstandError(f"Failed to find {name}: install the package postgresql-client")
    return max(found, key=lambda path: float(path.split("/")[4]))


def _way(cluster: Cluster) -> dict[str, Any]:
    """How a program is started that is to reach the cluster."""
    environment = {
        "PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "PGCONNECT_TIMEOUT": "10",
        "PGHOST": cluster.socket_dir, "PGPORT": str(cluster.port),
    }
    owner = cluster.owner
    return {"env": environment, "cwd": "/", "user": owner, "group": owner, "extra_groups": []}


def attempt(
    cluster: Cluster, name: str, *arguments: str, stdin: Any = None, stdout: Any = None, text: str | None = None,
    newest: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run one such as ``pg_dump``, connected to the cluster, and return what became of it.

    It reads ``stdin`` or ``text``, or nothing, and its output goes to ``stdout`` or nowhere; with ``newest`` it is the
    newest that is installed. Raises :class:`RingstandError` only when it cannot be started.
    """
    path = newest_program(name) if newest else f"/usr/lib/postgresql/{cluster.version}/bin/{name}"
    given: dict[str, Any] = {"stdin": stdin or subprocess.DEVNULL} if text is None else {"input": text}
    try:
        return subprocess.run(
            [path, *arguments], check=False, stdout=stdout or subprocess.DEVNULL, stderr=subprocess.PIPE,
            encoding="utf-8", errors="replace", **_way(cluster), **given,
        )
    except OSError as error:
        raise RingstandError(f"Failed to run {name}: {error}") from error


def run(cluster: Cluster, what: str, name: str, *arguments: str, **streams: Any) -> str:
    """As :func:`attempt`, but return the output when ``stdout`` is ``subprocess.PIPE``.

    ``what`` completes "Failed to …". Raises :class:`RingstandError` when the program fails.
    """
    done = attempt(cluster, name, *arguments, **streams)
    _must(what, done.returncode, done.stderr)
    return done.stdout or ""


def feed(cluster: Cluster, what: str, name: str, *arguments: str, lines: Iterable[bytes]) -> None:
    """As :func:`run`, with ``lines`` on standard input. It may end before all of them were taken, and then fails."""
    path = f"/usr/lib/postgresql/{cluster.version}/bin/{name}"
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [path, *arguments], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors, **_way(cluster)
        )
        try:
            with contextlib.suppress(BrokenPipeError), cast(IO[bytes], process.stdin) as stream:
                stream.writelines(lines)
        except BaseException:
            process.kill()
            raise
        finally:
            process.wait()
        errors.seek(0)
        _must(what, process.returncode, errors.read().decode(errors="replace"))


def _must(what: str, code: int, stderr: str) -> None:
    if code != 0:
        said = [line.strip() for line in stderr.splitlines()[:SHOWN_LINES]]
        reason = " / ".join(said) or f"it ended with {code}"
        raise RingstandError(f"Failed to {what}: {reason}", rc=code, stderr=stderr)


def execute(cluster: Cluster, statement: str, database: str = "postgres", limit_seconds: int = 0) -> None:
    """Run one statement that answers nothing, outside of a transaction; it is in no process list.

    After ``limit_seconds`` the server cancels it; 0 is without limit.
    """
    options = ("-XAtqw", "-v", "ON_ERROR_STOP=1", "-d", conninfo(database))
    limit = f"SET statement_timeout = '{limit_seconds}s';\n" if limit_seconds else ""
    run(cluster, f"run {statement!r} in {cluster}", "psql", *options, text=limit + statement)

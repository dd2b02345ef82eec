# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The client programs of a cluster's own version, run as its owner and without a password."""

from __future__ import annotations

import os
import subprocess
from typing import Any

from .errors import RingstandError
from .postgresql_cluster import Cluster, conninfo

SHOWN_LINES = 3


def attempt(
    cluster: Cluster, name: str, *arguments: str, stdin: Any = None, stdout: Any = None, text: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one such as ``pg_dump``, connected to the cluster, and return what became of it.

    It reads ``stdin`` or ``text``, or nothing, and its output goes to ``stdout`` or nowhere. Raises
    :class:`RingstandError` only when it cannot be started.
    """
    environment = {
        "PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "PGCONNECT_TIMEOUT": "10",
        "PGHOST": cluster.socket_dir, "PGPORT": str(cluster.port),
    }
    given: dict[str, Any] = {"stdin": stdin or subprocess.DEVNULL} if text is None else {"input": text}
    try:
        return subprocess.run(
            [f"/usr/lib/postgresql/{cluster.version}/bin/{name}", *arguments], env=environment, cwd="/", check=False,
            stdout=stdout or subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8", errors="replace",
            user=cluster.owner, group=cluster.owner, extra_groups=[], **given,
        )
    except OSError as error:
        raise RingstandError(f"Failed to run {name}: {error}") from error


def run(cluster: Cluster, what: str, name: str, *arguments: str, **streams: Any) -> str:
    """As :func:`attempt`, but return the output when ``stdout`` is ``subprocess.PIPE``.

    ``what`` completes "Failed to …". Raises :class:`RingstandError` when the program fails.
    """
    done = attempt(cluster, name, *arguments, **streams)
    if done.returncode != 0:
        said = [line.strip() for line in done.stderr.splitlines()[:SHOWN_LINES]]
        reason = " / ".join(said) or f"it ended with {done.returncode}"
        raise RingstandError(f"Failed to {what}: {reason}", rc=done.returncode, stderr=done.stderr)
    return done.stdout or ""


def execute(cluster: Cluster, statement: str, database: str = "postgres", limit_seconds: int = 0) -> None:
    """Run one statement that answers nothing, outside of a transaction; it is in no process list.

    After ``limit_seconds`` the server cancels it; 0 is without limit.
    """
    options = ("-XAtqw", "-v", "ON_ERROR_STOP=1", "-d", conninfo(database))
    limit = f"SET statement_timeout = '{limit_seconds}s';\n" if limit_seconds else ""
    run(cluster, f"run {statement!r} in {cluster}", "psql", *options, text=limit + statement)

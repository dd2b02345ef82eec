# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The clients of PostgreSQL that a drill sets on a scratch cluster, as its owner and without a password."""

from __future__ import annotations

import os
import re
import subprocess
from typing import IO

from .errors import RingstandError
from .postgresql_cluster import Cluster

SHOWN_LINES = 10


def run(
    cluster: Cluster, name: str, *arguments: str, stdin: IO[bytes] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the client ``name`` of the cluster's version."""
    environment = {
        "PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "PGHOST": cluster.socket_dir,
        "PGPORT": str(cluster.port),
    }
    try:
        return subprocess.run(
            [f"/usr/lib/postgresql/{cluster.version}/bin/{name}", *arguments], env=environment, cwd="/", check=False,
            stdin=stdin if stdin is not None else subprocess.DEVNULL, capture_output=True, encoding="utf-8",
            errors="replace", user=cluster.owner, group=cluster.owner, extra_groups=[],
        )
    except OSError as error:
        raise RingstandError(f"Failed to run {name}: {error}") from error


def check_pages(cluster: Cluster) -> list[str]:
    """What ``pg_amcheck`` finds in every table and index of every database; empty when all of it is sound.

    The cluster must take writes: the extension is made where it is missing.
    """
    done = run(cluster, "pg_amcheck", "--all", "--install-missing", "--heapallindexed", "--no-password")
    if done.returncode == 0:
        return []
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    found = lines[:SHOWN_LINES] + ([f"and {len(lines) - SHOWN_LINES} lines more"] if len(lines) > SHOWN_LINES else [])
    return found or [f"pg_amcheck ended with {done.returncode}"]


def list_dump(cluster: Cluster, path: str) -> int:
    """How many tables' data a dump holds; raises :class:`RingstandError` when its contents cannot be read."""
    with open(path, "rb") as stream:
        done = run(cluster, "pg_restore", "--list", stdin=stream)
    _must(done, f"read the contents of {path}")
    return len(re.findall(r"^\d+; .* TABLE DATA ", done.stdout, re.MULTILINE))


def restore_dump(cluster: Cluster, database: str, path: str) -> None:
    """Restore a dump in the place of the database of its name; raises :class:`RingstandError` at the first error."""
    quoted = '"' + database.replace('"', '""') + '"'
    cluster.query(f"DROP DATABASE IF EXISTS {quoted} WITH (FORCE); SELECT 'true'::json")
    options = ("--create", "--exit-on-error", "--no-password", "--dbname=postgres")
    with open(path, "rb") as stream:
        done = run(cluster, "pg_restore", *options, stdin=stream)
    _must(done, f"restore the dump {path}")


def _must(done: subprocess.CompletedProcess[str], what: str) -> None:
    if done.returncode != 0:
        said = " / ".join(line.strip() for line in done.stderr.splitlines()[:3]) or f"it ended with {done.returncode}"
        raise RingstandError(f"Failed to {what}: {said}", rc=done.returncode)

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The clients of PostgreSQL that a drill sets on a scratch cluster, as its owner and without a password."""

from __future__ import annotations

import re
import subprocess

from .postgresql_cluster import Cluster, identifier
from .postgresql_programs import attempt, execute, run

SHOWN_LINES = 10


def check_pages(cluster: Cluster) -> list[str]:
    """What ``pg_amcheck`` finds in every table and index of every database; empty when all of it is sound.

    The cluster must take writes: the extension is made where it is missing.
    """
    options = ("--all", "--install-missing", "--heapallindexed", "--no-password")
    done = attempt(cluster, "pg_amcheck", *options, stdout=subprocess.PIPE)
    if done.returncode == 0:
        return []
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    found = lines[:SHOWN_LINES] + ([f"and {len(lines) - SHOWN_LINES} lines more"] if len(lines) > SHOWN_LINES else [])
    return found or [f"pg_amcheck ended with {done.returncode}"]


def list_dump(cluster: Cluster, path: str) -> int:
    """How many tables' data a dump holds; raises :class:`RingstandError` when its contents cannot be read."""
    with open(path, "rb") as stream:
        contents = run(
            cluster, f"read the contents of {path}", "pg_restore", "--list", stdin=stream, stdout=subprocess.PIPE
        )
    return len(re.findall(r"^\d+; .* TABLE DATA ", contents, re.MULTILINE))


def restore_dump(cluster: Cluster, database: str, path: str) -> None:
    """Restore a dump in the place of the database of its name; raises :class:`RingstandError` at the first error."""
    execute(cluster, f"DROP DATABASE IF EXISTS {identifier(database)} WITH (FORCE)")
    options = ("--create", "--exit-on-error", "--no-password", "--dbname=postgres")
    with open(path, "rb") as stream:
        run(cluster, f"restore the dump {path}", "pg_restore", *options, stdin=stream)

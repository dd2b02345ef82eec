# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The clients of PostgreSQL that a drill sets on a scratch cluster, as its owner and without a password."""

from __future__ import annotations

import subprocess

from .postgresql_cluster import Cluster
from .postgresql_programs import attempt

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

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A row of our own in the cluster: whether WAL gets into the repository, and what a restore must bring back.

Each row is a token that nobody can guess, in the table ``ringstand.canary`` of the database ``postgres``.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from .postgresql_cluster import Cluster
from .postgresql_state import literals

# Longer than any backup is kept whose row is asked for.
KEPT_DAYS = 400
_WRITE_SQL = """
SET client_min_messages = warning;
CREATE SCHEMA IF NOT EXISTS ringstand;
CREATE TABLE IF NOT EXISTS ringstand.canary
  (token text PRIMARY KEY, written timestamptz NOT NULL DEFAULT clock_timestamp());
DELETE FROM ringstand.canary WHERE written < now() - interval '%(days)d days';
INSERT INTO ringstand.canary (token) VALUES (%(token)s)
RETURNING json_build_object('segment', pg_walfile_name(pg_current_wal_insert_lsn()),
  'written', floor(extract(epoch FROM written))::bigint);
"""
_THERE_SQL = "SELECT coalesce(json_agg(token), '[]') FROM ringstand.canary WHERE token IN (%s)"


@dataclass(frozen=True)
class Canary:
    """One row. ``segment`` is the WAL file that holds it, ``written`` seconds since the epoch."""

    token: str
    segment: str
    written: int


def write(cluster: Cluster) -> Canary:
    """Add a row; raises :class:`RingstandError` when the cluster takes none."""
    token = secrets.token_hex(16)
    answer = cluster.query(_WRITE_SQL % {"days": KEPT_DAYS, "token": literals([token])})
    return Canary(token, str(answer["segment"]), int(answer["written"]))


def missing(cluster: Cluster, tokens: list[str]) -> list[str]:
    """Those of ``tokens`` that the cluster does not have."""
    exists = cluster.query("SELECT to_json(to_regclass('ringstand.canary') IS NOT NULL)")
    if not exists:
        return list(tokens)
    there = set(cluster.query(_THERE_SQL % literals(tokens)))
    return [token for token in tokens if token not in there]

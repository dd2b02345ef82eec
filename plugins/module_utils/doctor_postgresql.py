# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""PostgreSQL: whether it can be reached, how full it is, and what is broken in an app's database."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

from . import process_environment, transient_unit, upgrade_state
from .doctor_findings import HOST, Finding
from .errors import RingstandError
from .layout import AppSettings, app_names, load_settings
from .postgresql_cluster import Cluster, Host
from .restore_plan import host_name

CLUSTER = "main"
CONNECTIONS_SHARE_MAX = 0.8
# Autovacuum starts to hurry at 200 million, and the server stops at about 2 000 million.
TRANSACTION_AGE_MAX = 1_000_000_000
_SERVER_SQL = """
SELECT json_build_object('used', (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
  'max', current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
  'age', (SELECT max(age(datfrozenxid)) FROM pg_database),
  'idle', (SELECT coalesce(json_agg(json_build_object('user', usename, 'minutes',
      (extract(epoch FROM now() - xact_start) / 60)::int)), '[]') FROM pg_stat_activity
      WHERE state = 'idle in transaction' AND xact_start < now() - interval '15 minutes'))
"""
_DATABASES_SQL = """
SELECT coalesce(json_agg(datname ORDER BY datname), '[]') FROM pg_database
WHERE datallowconn AND pg_get_userbyid(datdba) = '{app}'
"""
_INVALID_SQL = """
SELECT coalesce(json_agg(indexrelid::regclass::text), '[]') FROM pg_index WHERE NOT indisvalid
AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = indexrelid)
"""


def cluster_of_apps() -> Cluster:
    """The cluster that holds the apps' databases. Raises :class:`RingstandError` when there is none."""
    host = Host.read(CLUSTER)
    cluster = host.cluster(host.choose("", CLUSTER), CLUSTER)
    if cluster is None:
        raise RingstandError(f"this host has no cluster {CLUSTER}")
    return cluster


def _is_used() -> bool:
    for name in app_names():
        try:
            if load_settings(name).local_database:
                return True
        except RingstandError:
            continue
    return False


def check_host() -> Iterator[Finding]:
    """The server of the apps' databases."""
    state = upgrade_state.read()
    if state and not transient_unit.is_active(upgrade_state.UNIT):
        remedy = f"ringstand upgrade --rollback --confirm {host_name()}; or run it again"
        yield Finding(HOST, f"{state} was interrupted", remedy)
        return
    if not _is_used():
        return
    cluster = cluster_of_apps()
    if not cluster.running:
        yield Finding(HOST, f"the cluster {cluster} does not run", f"journalctl -u {cluster.unit}; then run site.yml")
        return
    yield from judge(cluster, cluster.query(_SERVER_SQL))


def judge(cluster: Cluster | str, found: dict[str, Any]) -> Iterator[Finding]:
    """What the server says of itself: connections, transactions that are left open, age."""
    if found["used"] > found["max"] * CONNECTIONS_SHARE_MAX:
        what = f"{found['used']} of {found['max']} connections of {cluster} are in use"
        do = "See pg_stat_activity; smaller pools in the apps, or a larger postgresql_settings.max_connections"
        yield Finding(HOST, what, do)
    for entry in found["idle"]:
        what = f"a transaction of {entry['user']} has been open and idle for {entry['minutes']} minutes"
        yield Finding(HOST, what, "It holds locks and keeps vacuum from working: see pg_stat_activity.")
    if found["age"] > TRANSACTION_AGE_MAX:
        what = f"the oldest transaction id of {cluster} is {found['age'] / 1e6:.0f} million transactions old"
        yield Finding(HOST, what, "vacuumdb --all --freeze, before the server stops to protect the data")


def check(settings: AppSettings) -> Iterator[Finding]:
    """The app's own database."""
    if settings.local_database:
        cluster = cluster_of_apps()
        if not cluster.running:
            return  # the host's finding
        names = cluster.query(_DATABASES_SQL.format(app=settings.name))
        if not names:
            yield Finding(settings.name, f"{cluster} has no database of the role {settings.name}", "Run site.yml.")
        for name in names:
            for index in cluster.query(_INVALID_SQL, name):
                what = f"the index {index} of {name} is invalid: it is kept up to date and never used"
                do = f"ringstand database {settings.name}, then REINDEX INDEX CONCURRENTLY {index}"
                yield Finding(settings.name, what, do)
        return
    yield from check_elsewhere(settings.name, process_environment.read(settings).get("DATABASE_URL", ""))


def check_elsewhere(app: str, url: str) -> Iterator[Finding]:
    """Whether somebody listens where a database URL leads to; the password in it is not used."""
    parts = urlsplit(url)
    if not parts.scheme.startswith("postgres"):
        return
    asked = parse_qs(parts.query)
    host = (asked.get("host") or [parts.hostname or ""])[0].split(",")[0]
    port = int((asked.get("port") or [str(parts.port or 5432)])[0].split(",")[0])
    if not host or host.startswith("/"):
        return
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError as error:
        what = f"its database server {host}:{port} cannot be reached: {error.strerror or error}"
        yield Finding(app, what, "Is it up? Do firewalls and DNS lead there?")

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Let remote clients into a cluster: a certificate that the server can read, and lines in pg_hba.conf."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from . import certificates, file_transaction, files, own_certificates, postgresql_clients
from .certificates import CHAIN, KEY, Wanted
from .files import Change
from .own_certificates import Own
from .postgresql_cluster import SOCKET_DIR, Cluster

# Of what was made or brought; the server gets copies, because it cannot read keys that only root may read.
CERTIFICATE_DIR = "/etc/ringstand/postgresql-tls"
SERVER_CHAIN, SERVER_KEY = "ringstand-server.crt", "ringstand-server.key"
DAYS = 3650
# The server's own words about lines that it would refuse; it has not loaded them yet.
_JUDGE_SQL = """
DO $$
DECLARE found text;
BEGIN
  SELECT string_agg('line ' || line_number || ': ' || error, '; ') INTO found FROM pg_hba_file_rules
    WHERE error IS NOT NULL;
  IF found IS NOT NULL THEN RAISE EXCEPTION USING MESSAGE = 'pg_hba.conf, ' || found; END IF;
END $$
"""


def ensure(
    cluster: Cluster, clients: Sequence[Mapping[str, Any]], names: Sequence[str], own: Own | None, check: bool
) -> list[Change]:
    """Bring certificate and pg_hba.conf to what the clients need, and return what changed, or with ``check`` would.

    A running server loads it once it has judged the new lines; when it refuses one, everything is as before.
    Raises :class:`RingstandError`.
    """
    entries = []
    if clients:
        entries += _certificate(cluster, names, own, check)
    text = postgresql_clients.read(cluster.config_dir)
    wanted = postgresql_clients.with_block(text, clients)
    if wanted != text:
        path = os.path.join(cluster.config_dir, "pg_hba.conf")
        entries.append(_entry(path, wanted, "0640", owner=cluster.owner, group=cluster.owner))
    if check:
        return files.plan(entries, check=True)
    changes = file_transaction.apply(entries, [_judge(cluster)] if cluster.running else [])
    if changes and cluster.running:
        cluster.query("SELECT to_json(pg_reload_conf())")
    return changes


def _entry(path: str, content: str, mode: str, **who: str) -> files.Entry:
    raw = {"path": path, "secret_content": content, "mode": mode, **who}
    return files.parse_entry(raw)


def _certificate(cluster: Cluster, names: Sequence[str], own: Own | None, check: bool) -> list[files.Entry]:
    wanted = Wanted("postgresql", names, CERTIFICATE_DIR)
    if not check:
        os.makedirs(CERTIFICATE_DIR, mode=0o755, exist_ok=True)
    found = own_certificates.ensure(wanted, own, check) if own else certificates.ensure(wanted, DAYS, check)
    if check and found.created:
        return []  # nothing to copy yet
    pair = []
    for source, name, mode in ((CHAIN, SERVER_CHAIN, "0644"), (KEY, SERVER_KEY, "0640")):
        with open(os.path.join(CERTIFICATE_DIR, source), encoding="utf-8") as stream:
            # Owned by root: the server accepts a key that its group may read then, and cannot change it.
            pair.append(_entry(os.path.join(cluster.config_dir, name), stream.read(), mode, group=cluster.owner))
    return pair


def _judge(cluster: Cluster) -> str:
    command = ["runuser", "-u", cluster.owner, "--", "psql", "-Xqw", "-v", "ON_ERROR_STOP=1", "-h", SOCKET_DIR]
    return shlex.join([*command, "-p", str(cluster.port), "-d", "postgres", "-c", " ".join(_JUDGE_SQL.split())])

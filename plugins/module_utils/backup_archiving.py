# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether WAL gets into the repository, and whether the cluster has loaded the settings that make it so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import pgbackrest
from .backup_problems import Problem
from .errors import RingstandError
from .pgbackrest import Stanza
from .postgresql_cluster import Cluster
from .postgresql_state import literals
from .postgresql_tuning import conf_value

DROP_IN = "conf.d/60-ringstand-backup.conf"
HEADER = "Written by the role ringstand.flask.backup, which overwrites changes"
# A segment that waits this long does so for a reason: archive_timeout makes one every 30 seconds at most.
WAITING_SECONDS = 300
# A server that archives is good for these, whatever was asked for.
_ALSO_GOOD = {"archive_mode": ("always",), "wal_level": ("logical",)}

_ARCHIVER_SQL = """
SELECT json_build_object(
  'mode', current_setting('archive_mode'),
  'failing', last_failed_time > coalesce(last_archived_time, '-infinity'),
  'last_failed', last_failed_wal,
  'failed_count', failed_count,
  'last_archived', left(last_archived_wal, 24),
  'timeout_seconds', (SELECT setting::int FROM pg_settings WHERE name = 'archive_timeout'),
  'in_recovery', pg_is_in_recovery(),
  'timeline', (SELECT timeline_id FROM pg_control_checkpoint()),
  'archived_at', extract(epoch FROM last_archived_time)::bigint,
  'waiting', (SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'),
  'waiting_seconds', (SELECT extract(epoch FROM now() - min(modification))::bigint FROM pg_ls_archive_statusdir()
    WHERE name LIKE '%.ready'),
  'segment_bytes', pg_size_bytes(current_setting('wal_segment_size')))
FROM pg_stat_archiver
"""
_SETTINGS_SQL = """
SELECT json_build_object(
  'loaded', (SELECT json_object_agg(name, setting) FROM pg_settings WHERE name IN (%(names)s)),
  'pending', (SELECT coalesce(json_agg(name), '[]') FROM pg_settings WHERE pending_restart AND name IN (%(names)s)))
"""


def archiver(cluster: Cluster) -> dict[str, Any]:
    """What the server says of its archiver; raises :class:`RingstandError` when it cannot be asked.

    ``archived_at`` is seconds since the epoch, or None; ``waiting`` counts the segments that are ready.
    """
    return dict(cluster.query(_ARCHIVER_SQL))


def problems(cluster: Cluster, stanza: Stanza) -> list[Problem]:
    """Why WAL does not get into the repository; an archiver whose last word was a failure is given another try."""
    if not cluster.running:
        return [Problem("archive", "", f"the cluster {cluster} is not running")]
    state = archiver(cluster)
    if state["mode"] == "off":
        remedy = f"systemctl restart {cluster.unit}, or set backup_restart_enabled to true for one run"
        return [Problem("archive", "", f"the cluster {cluster} archives no WAL until it is restarted: {remedy}")]
    if not state["failing"] and (state["waiting_seconds"] or 0) < WAITING_SECONDS:
        return []
    try:
        pgbackrest.check(stanza)  # switches to a new segment, which wakes the archiver up
    except RingstandError as error:
        count = f"{state['waiting']} segments wait, the last failure was that of {state['last_failed'] or 'none'}"
        return [Problem("archive", "", f"WAL is not archived ({count}): {error.message}")]
    return []


def differing(cluster: Cluster, wanted: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The names of settings that the server has not loaded as wanted, and of those that wait for a restart."""
    answer = cluster.query(_SETTINGS_SQL % {"names": literals(wanted)})
    loaded = answer["loaded"] or {}
    differs = []
    for name, value in wanted.items():
        text = conf_value(value) if isinstance(value, bool) else str(value)
        if loaded.get(name) != text and loaded.get(name) not in _ALSO_GOOD.get(name, ()):
            differs.append(name)
    return differs, list(answer["pending"])


def drop_in(settings: Mapping[str, Any]) -> str:
    """The text of the role's own drop-in file."""
    lines = [f"{name} = {conf_value(value)}" for name, value in sorted(settings.items())]
    return "\n".join([f"# {HEADER}: set backup_postgresql_settings instead.", *lines, ""])

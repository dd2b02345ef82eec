# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether somebody else archives a cluster's WAL, or has configured pgBackRest: that is refused, never replaced.

Looked at before the first setting is written, by the role postgresql, which site.yml lets write what archiving needs.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping
from typing import Any

from . import backup_archiving
from .errors import RingstandError
from .pgbackrest import CONFIG_PATH
from .postgresql_cluster import DROP_IN, Cluster

PACKAGE_CONFIG_PATH = "/etc/pgbackrest.conf"
HEADER = f"# {backup_archiving.HEADER}"
# From PostgreSQL 15 on a library may archive instead of a command; with both 16 refuses to.
_SQL = """
SELECT coalesce(json_agg(json_build_object('file', sourcefile, 'name', name, 'value', setting)), '[]')
FROM pg_file_settings WHERE name IN ('archive_command', 'archive_library')
"""
_LINE = re.compile(r"^\s*(archive_command|archive_library)\s*=?\s*'((?:[^'\\]|''|\\.)*)'", re.IGNORECASE | re.MULTILINE)


def refuse_config() -> None:
    """Raise :class:`RingstandError` for a pgBackRest that somebody else has configured."""
    for path, sections in ((CONFIG_PATH, r"^"), (PACKAGE_CONFIG_PATH, r"^\[(?!global\b)[^\]]+\]")):
        try:
            with open(path, encoding="utf-8", errors="replace") as stream:
                text = stream.read()
        except FileNotFoundError:
            continue
        if not text.startswith(HEADER) and re.search(sections, text, re.MULTILINE):
            raise RingstandError(
                f"Failed to configure pgBackRest: {path} is somebody else's, and backups of theirs may depend on it. "
                "Move it away to let this role take over"
            )


def refuse(cluster: Cluster, settings: Mapping[str, Any]) -> None:
    """Raise :class:`RingstandError` when what archives the cluster's WAL is neither ours nor in ``settings``.

    What its files say counts, loaded or not, and also that which another file overrules.
    """
    ours = [os.path.join(cluster.config_dir, name) for name in (DROP_IN, backup_archiving.DROP_IN)]
    for item in cluster.query(_SQL) if cluster.running else _written(cluster):
        if item["value"] and item["file"] not in ours and item["value"] != str(settings.get(item["name"], "")):
            raise RingstandError(
                f"Failed to archive the WAL of the cluster {cluster}: {item['file']} has an {item['name']} already, "
                "and somebody's backups may depend on it. It was left as it is. Remove it there to let this role take "
                "over, or leave the cluster to whoever backs it up: backup_cluster: ''"
            )


def _written(cluster: Cluster) -> list[dict[str, str]]:
    """What the files of a cluster say that does not run."""
    paths = [
        os.path.join(cluster.config_dir, "postgresql.conf"),
        *sorted(glob.glob(os.path.join(glob.escape(cluster.config_dir), "conf.d", "*.conf"))),
        os.path.join(cluster.data_dir, "postgresql.auto.conf"),
    ]
    found = []
    for path in paths:
        try:
            with open(path, encoding="utf-8", errors="replace") as stream:
                text = stream.read()
        except FileNotFoundError:
            continue
        lines = _LINE.findall(text)
        found += [{"file": path, "name": name.lower(), "value": value.replace("''", "'")} for name, value in lines]
    return found

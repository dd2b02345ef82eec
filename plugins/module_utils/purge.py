# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Remove the data of an app that was taken out of service: for good, after a last dump of its databases.

Each step can be repeated, and the system user goes last: as long as it is there, there is something to purge.
"""

from __future__ import annotations

import glob
import os
import pwd
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from . import backup_dumps, commands, decommission
from .backup_settings import BackupSettings
from .doctor_postgresql import CLUSTER
from .errors import RingstandError
from .layout import SECRETS_DIR, Layout, user_comment
from .postgresql_cluster import Cluster, Host, identifier
from .postgresql_programs import execute

# Beside the backups' directory and not in it: no retention ever removes a last dump.
DUMPS_DIR = "/var/backups/ringstand-purged"
# A database that somebody's lock keeps from going would otherwise be waited for without end.
DROP_SECONDS = 300
_OWNED_SQL = """
SELECT json_build_object('role', EXISTS (SELECT FROM pg_roles WHERE rolname = '{app}'), 'databases',
  (SELECT coalesce(json_agg(datname ORDER BY datname), '[]') FROM pg_database WHERE datallowconn
   AND NOT datistemplate AND pg_get_userbyid(datdba) = '{app}'))
"""

Tell = Callable[[str], None]


def directories(app: str) -> list[str]:
    """What goes of an app but its database and its user."""
    layout, name = Layout(app), glob.escape(app)
    patterns = [
        glob.escape(layout.app_dir),
        glob.escape(layout.cache_dir),
        f"/var/lib/redis/{name}-queue",
        f"/var/lib/redis/{name}-cache",
        f"/var/log/nginx/ringstand-{name}.access.log*",
        f"/var/log/nginx/ringstand-{name}.error.log*",
        f"{SECRETS_DIR}/{name}.json",
        glob.escape(layout.state_dir),
    ]
    return [path for pattern in patterns for path in sorted(glob.glob(pattern))]


def find_cluster() -> Cluster | None:
    """The cluster of the apps' databases, or None where there is none. Raises RingstandError when it does not run."""
    host = Host.read(CLUSTER)
    cluster = host.cluster(host.choose("", CLUSTER), CLUSTER) if host.clusters else None
    if cluster and not cluster.running:
        raise RingstandError(
            f"Failed to purge: the cluster {cluster} does not run, so nobody knows which databases are the app's. "
            f"Start {cluster.unit} first. Nothing was removed."
        )
    return cluster


def plan(app: str) -> dict[str, Any]:
    """What would go: databases, role, directories and user. Raises :class:`RingstandError` when it must not."""
    decommission.check_absent(app)
    if not has_user(app):  # it goes last, so nothing is left; what bears that name is somebody else's
        return {"databases": [], "role": False, "paths": [], "user": False}
    cluster = find_cluster()
    owned = cluster.query(_OWNED_SQL.format(app=app)) if cluster else {"role": False, "databases": []}
    return {
        "databases": owned["databases"],
        "role": owned["role"],
        "paths": [*decommission.remains(app), *directories(app)],
        "user": True,
    }


def has_user(app: str) -> bool:
    """Whether the system user that was made for the app is there; another one of that name is not touched."""
    try:
        entry = pwd.getpwnam(app)
        return entry.pw_gecos.split(",")[0] == user_comment(app) or entry.pw_dir == Layout(app).shared_dir
    except KeyError:
        return False


def purge(app: str, dump: bool, now: float, tell: Tell) -> dict[str, Any]:
    """Do it; returns the plan with ``dumps``, the paths of the last dumps."""
    wanted = plan(app)
    if not wanted["user"]:
        return {**wanted, "dumps": []}
    cluster = find_cluster()
    dumps: list[str] = []
    if cluster and wanted["databases"] and dump:
        settings = replace(BackupSettings(), directory=DUMPS_DIR)
        os.makedirs(DUMPS_DIR, mode=0o700, exist_ok=True)
        for database in wanted["databases"]:
            tell(f"dumping {database} …")
            dumps.append(backup_dumps.dump(settings, cluster, database, now).path)
    tell("stopping what still runs …")
    decommission.remove(app)
    if cluster:
        for database in wanted["databases"]:
            tell(f"dropping the database {database} …")
            _drop(cluster, f"DATABASE IF EXISTS {identifier(database)} WITH (FORCE)")
        if wanted["role"]:
            tell(f"dropping the role {app} …")
            _drop(cluster, f"ROLE IF EXISTS {identifier(app)}")
    for path in directories(app):
        tell(f"removing {path} …")
        decommission.delete(path)
    removed = commands.run(["userdel", app])
    if removed.rc not in (0, 6):  # 6: it is gone already
        raise RingstandError(f"Failed to remove the user {app}: {removed.stderr.strip()}. Then purge again.")
    return {**wanted, "dumps": dumps}


def _drop(cluster: Cluster, what: str) -> None:
    try:
        execute(cluster, f"DROP {what}", limit_seconds=DROP_SECONDS)
    except RingstandError as error:
        hint = f"Mend that (it is given up after {DROP_SECONDS} s: see pg_stat_activity), then purge again."
        raise RingstandError(f"{error}. {hint}", **error.details) from error

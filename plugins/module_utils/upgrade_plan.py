# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a cluster can be upgraded to another major version, and back; nothing is changed here."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from . import upgrade_archive
from .backup_space import tree_bytes
from .errors import RingstandError
from .postgresql_cluster import Cluster, Host
from .restore_plan import check_space, host_name
from .upgrade_state import kept_name

_EXTENSIONS_SQL = "SELECT coalesce(json_agg(extname ORDER BY extname), '[]') FROM pg_extension"
_STATE_SQL = """
SELECT json_build_object('checksums', current_setting('data_checksums') = 'on',
  'prepared', (SELECT count(*) FROM pg_prepared_xacts))
"""


@dataclass(frozen=True)
class UpgradePlan:
    """The cluster, and the major version that it is to have."""

    cluster: Cluster
    version: str

    @property
    def kept_name(self) -> str:
        """What the old cluster is called afterwards."""
        return kept_name(self.cluster.name, self.version)

    @property
    def upgraded(self) -> str:
        return f"{self.version}/{self.cluster.name}"

    def describe(self) -> str:
        """What would be done, after 'would'."""
        return (
            f"back up and verify everything, take the apps into maintenance, copy {self.cluster} to {self.upgraded} "
            f"with pg_upgrade, keep the old one stopped as {self.cluster.version}/{self.kept_name}, update extensions "
            "and statistics, and take a new full backup"
        )


def require_confirmation(confirm: str, what: str) -> None:
    """Raise :class:`RingstandError` unless ``confirm`` is this host's name."""
    if confirm != host_name():
        raise RingstandError(
            f"Failed to {what}: confirm it with the name of this host, {host_name()!r}, not {confirm!r}. Nothing was "
            "changed"
        )


def make(version: str, name: str, check: bool) -> UpgradePlan:
    """Check all that can be known beforehand. With ``check`` the new version's package may be missing.

    Raises :class:`RingstandError`, and then nothing was changed.
    """
    host = Host.read(name)
    found = [cluster for cluster in host.clusters if cluster.name == name]
    if len(found) != 1:
        listed = ", ".join(map(str, found)) or "none"
        raise RingstandError(f"Failed to upgrade: there has to be one cluster {name!r}, and there is {listed}")
    cluster = found[0]
    judge_versions(cluster, version)
    plan = UpgradePlan(cluster, version)
    if host.cluster(cluster.version, plan.kept_name):
        raise RingstandError(
            f"Failed to upgrade {cluster}: {cluster.version}/{plan.kept_name} is there from an earlier upgrade. "
            f"When nobody needs it: pg_dropcluster {cluster.version} {plan.kept_name}"
        )
    left = f"/etc/postgresql/{version}/{name}"
    if os.path.exists(left) or os.path.exists(f"/var/lib/postgresql/{version}/{name}"):
        raise RingstandError(
            f"Failed to upgrade {cluster}: {left} or /var/lib/postgresql/{version}/{name} is there and belongs to no "
            "cluster. Move it away"
        )
    upgrade_archive.check(version)
    if not cluster.running:
        raise RingstandError(f"Failed to upgrade {cluster}: it does not run. Start it: systemctl start {cluster.unit}")
    state = cluster.query(_STATE_SQL)
    if not state["checksums"]:
        raise RingstandError(
            f"Failed to upgrade {cluster}: it has no data checksums, which the new cluster will have. Add them while "
            f"it is stopped: pg_checksums --enable -D {cluster.data_dir}, run as {cluster.owner}"
        )
    if state["prepared"]:
        raise RingstandError(
            f"Failed to upgrade {cluster}: it has {state['prepared']} prepared transactions, which pg_upgrade refuses. "
            "Commit or roll them back, see pg_prepared_xacts"
        )
    if version in host.installed:
        _check_extensions(cluster, version)
    elif not check:
        raise RingstandError(f"Failed to upgrade {cluster}: PostgreSQL {version} is not installed. Install the package "
                             f"postgresql-{version}")
    check_space(os.path.dirname(cluster.data_dir), tree_bytes(cluster.data_dir), "the copy of the cluster")
    return plan


def judge_versions(cluster: Cluster, version: str) -> None:
    """Raise :class:`RingstandError` unless ``version`` is a newer one."""
    if not version.isdigit() or float(version) <= float(cluster.version):
        raise RingstandError(
            f"Failed to upgrade {cluster} to {version!r}: name a newer major version. There is no way to an older one "
            "but a dump"
        )


def _check_extensions(cluster: Cluster, version: str) -> None:
    lacking: dict[str, str] = {}
    for database in cluster.databases():
        for name in missing(cluster.query(_EXTENSIONS_SQL, database), f"/usr/share/postgresql/{version}/extension"):
            lacking[name] = database
    if lacking:
        named = ", ".join(f"{name} (in {database})" for name, database in lacking.items())
        raise RingstandError(
            f"Failed to upgrade {cluster}: PostgreSQL {version} lacks the extensions {named}. Install the packages "
            f"that ship them, such as postgresql-{version}-<name>, with postgresql_extra_packages"
        )


def missing(extensions: Iterable[str], directory: str) -> list[str]:
    """Those that have no control file in ``directory``."""
    return [name for name in extensions if not os.path.exists(os.path.join(directory, f"{name}.control"))]

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The PostgreSQL clusters of a Debian or Ubuntu host, and which one a role works on."""

from __future__ import annotations

import glob
import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .errors import RingstandError

DROP_IN = "conf.d/50-ringstand.conf"
SOCKET_DIR = "/run/postgresql"
TIMEOUT_SECONDS = 30
_DATABASES_SQL = "SELECT coalesce(json_agg(datname ORDER BY datname), '[]') FROM pg_database WHERE datallowconn"


@dataclass(frozen=True)
class Cluster:
    """One cluster: a data directory with its server, named as Debian names it (17/main)."""

    version: str
    name: str
    port: int
    running: bool
    owner: str
    data_dir: str
    socket_dir: str = SOCKET_DIR

    def __str__(self) -> str:
        return f"{self.version}/{self.name}"

    @property
    def config_dir(self) -> str:
        return f"/etc/postgresql/{self.version}/{self.name}"

    @property
    def unit(self) -> str:
        return f"postgresql@{self.version}-{self.name}.service"

    def query(self, sql: str, database: str = "postgres") -> Any:
        """Run a query of one row with one JSON column as the cluster's owner, and return it decoded.

        The SQL goes through standard input: it is in no process list. Raises :class:`RingstandError`.
        """
        command = ["psql", "-XAtqw", "-v", "ON_ERROR_STOP=1", "-h", self.socket_dir, "-p", str(self.port)]
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "PGCONNECT_TIMEOUT": "10"}
        try:
            done = subprocess.run(
                [*command, "-d", conninfo(database)],
                input=sql,
                capture_output=True,
                encoding="utf-8",
                timeout=TIMEOUT_SECONDS,
                check=False,
                cwd="/",
                env=environment,
                user=self.owner if os.geteuid() == 0 else None,
                group=self.owner if os.geteuid() == 0 else None,
                extra_groups=[] if os.geteuid() == 0 else None,
            )
        except (OSError, KeyError, subprocess.TimeoutExpired) as error:
            raise RingstandError(f"Failed to query the cluster {self}: {error}") from error
        if done.returncode != 0:
            reason = (done.stderr.strip().splitlines() or ["psql gave no reason"])[0]
            raise RingstandError(
                f"Failed to query the database {database!r} of the cluster {self}: {reason}",
                rc=done.returncode,
                stderr=done.stderr,
            )
        return json.loads(done.stdout)

    def databases(self) -> list[str]:
        """The names of all databases that can be connected to."""
        return [str(name) for name in self.query(_DATABASES_SQL)]


def identifier(name: str) -> str:
    """A name as SQL has it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def conninfo(database: str) -> str:
    """A database's name as programs take it, which would read one with "=" in it as a connection string."""
    quoted = database.replace("\\", "\\\\").replace("'", "\\'")
    return f"dbname='{quoted}'"


def starts_at_boot(config_dir: str) -> bool:
    """Whether the cluster's ``start.conf`` says auto; a missing file means that too."""
    try:
        with open(os.path.join(config_dir, "start.conf"), encoding="utf-8") as stream:
            words = [line.partition("#")[0].strip() for line in stream]
    except FileNotFoundError:
        return True
    return next((word for word in words if word), "auto") == "auto"


def parse_clusters(text: str) -> list[Cluster]:
    """The clusters in the output of ``pg_lsclusters --no-header``."""
    clusters = []
    for line in text.splitlines():
        version, name, port, status, owner, data_dir, _log = line.split(None, 6)
        clusters.append(Cluster(version, name, int(port), status.split(",")[0] == "online", owner, data_dir))
    return clusters


def _output(*command: str) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, encoding="utf-8", timeout=TIMEOUT_SECONDS, check=False,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
    except FileNotFoundError:
        return ""
    if done.returncode != 0:
        raise RingstandError(f"Failed to run {command[0]}: {done.stderr.strip()}", rc=done.returncode)
    return done.stdout


@dataclass(frozen=True)
class Host:
    """What a host has of PostgreSQL, before anybody connects to it."""

    clusters: Sequence[Cluster] = ()
    installed: Sequence[str] = ()
    candidate: str = ""
    data_dirs: Mapping[str, str] | None = None
    managed: frozenset[str] = frozenset()

    @staticmethod
    def read(name: str) -> Host:
        """Look at this host; ``name`` is the cluster's name, as in 17/main."""
        clusters = parse_clusters(_output("pg_lsclusters", "--no-header"))
        installed = [path.split("/")[4] for path in glob.glob("/usr/lib/postgresql/*/bin/postgres")]
        found = None
        if not clusters and not installed:
            # Without its caches, which it would write: only looking must leave no trace.
            policy = _output("apt-cache", "-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=",
                             "policy", "postgresql")
            found = re.search(r"^ *Candidate: (\d+)", policy, re.MULTILINE)
        data = {path.split("/")[4]: path[: -len("/PG_VERSION")]
                for path in glob.glob(f"/var/lib/postgresql/*/{glob.escape(name)}/PG_VERSION")}
        drop_ins = glob.glob(f"/etc/postgresql/*/{glob.escape(name)}/{DROP_IN}")
        return Host(clusters, sorted(installed, key=float), found[1] if found else "", data,
                    frozenset(path.split("/")[3] for path in drop_ins))

    def choose(self, wanted: str, name: str) -> str:
        """The version to work on: the wanted one, else that of the only cluster, else what is or would be installed.

        The result is empty when nothing is installed and nothing is known to be installable.
        Raises :class:`RingstandError` when this version would stand empty beside existing data.
        """
        versions = [cluster.version for cluster in self.clusters if cluster.name == name]
        listed = " and ".join(f"{version}/{name}" for version in versions)
        if not wanted and len(versions) > 1:
            raise RingstandError(
                f"Failed to choose a PostgreSQL cluster: {listed} exist; set postgresql_version to the one to use"
            )
        version = wanted or (versions or [*reversed(self.installed)] or [self.candidate])[0]
        others = (self.managed if version in versions else set(versions)) - {version}
        if others and version not in self.managed:
            old = max(others, key=float)
            raise RingstandError(
                f"Failed to choose PostgreSQL {version}: the data is in the cluster {old}/{name}, and {version}/{name} "
                f"would be empty. Set postgresql_version to {old}, or upgrade first: playbooks/upgrade.yml, or "
                f"ringstand upgrade --to {version}"
            )
        orphans = {key: path for key, path in (self.data_dirs or {}).items() if key not in versions}
        if orphans and version not in versions:
            path = orphans[max(orphans, key=float)]
            raise RingstandError(
                f"Failed to choose PostgreSQL {version}: {path} holds data that no cluster uses. Take it back with "
                f"pg_createcluster {max(orphans, key=float)} {name}, or move it away"
            )
        return version

    def cluster(self, version: str, name: str) -> Cluster | None:
        """The cluster of this version and name, or None when it does not exist."""
        return next((item for item in self.clusters if (item.version, item.name) == (version, name)), None)

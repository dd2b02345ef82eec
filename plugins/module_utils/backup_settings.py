# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the backup of this host covers and where it goes, as the role wrote it, and the one lock."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from . import backup_offsite, prometheus
from .backup_offsite import ONLY_HERE, Offsite
from .errors import RingstandError
from .ledger import utc
from .pgbackrest import Stanza
from .postgresql_cluster import Cluster, Host
from .restic import Repository

SETTINGS_PATH = "/etc/ringstand/backup/settings.json"
KEY_PATH = "/etc/ringstand/backup/key"
STATE_DIR = "/var/lib/ringstand/backup"
STATUS_PATH = f"{STATE_DIR}/status.json"
LOCK_PATH = "/run/lock/ringstand-backup.lock"
SCHEMA = 1
# In ``databases``: every database of the cluster, whatever their names are when the backup runs.
ALL = "all"


@dataclass(frozen=True)
class Retention:
    """Full backups to keep (with all that build on them, and the WAL since the oldest), and days of dumps and files."""

    full_count: int = 2
    dump_days: int = 14
    files_days: int = 30


@dataclass(frozen=True)
class BackupSettings:
    """``/etc/ringstand/backup/settings.json``; it holds no secret.

    ``databases`` are those to dump, or ``["all"]``. ``paths`` maps the name of a set of files (an app, or "host") to
    its absolute paths. ``elsewhere`` are the apps whose databases are on other hosts and dumped too. ``redis_dir`` is
    where Redis instances keep their files, empty for none. ``hour`` is that of the nightly backup in the host's time
    zone.
    An empty ``version`` means that of the host's only cluster of the name ``cluster``; an empty ``cluster`` that this
    host has none, so that only files are backed up. ``drill_days`` is how often a restore is drilled, 0 for never;
    ``metrics_dir`` is where Prometheus' node exporter looks. ``offsite`` is the second place, None when there is none.
    """

    directory: str = "/var/backups/ringstand"
    cluster: str = "main"
    version: str = ""
    databases: list[str] = field(default_factory=lambda: [ALL])
    paths: dict[str, list[str]] = field(default_factory=dict)
    elsewhere: list[str] = field(default_factory=list)
    redis_dir: str = ""
    hour: int = 2
    retention: Retention = Retention()
    drill_days: int = 7
    metrics_dir: str = prometheus.DIRECTORY
    offsite: Offsite | None = None
    from_offsite: bool = False

    @property
    def stanza(self) -> Stanza:
        """The backups of the cluster: those on this host, or after :meth:`at_offsite` the others."""
        if self.from_offsite and self.offsite:
            return self.offsite.stanza(self.cluster)
        return Stanza(self.cluster, os.path.join(self.directory, "pgbackrest"))

    @property
    def first_stanza(self) -> Stanza | None:
        """After :meth:`at_offsite` the backups of the cluster on this host, else None."""
        return replace(self, from_offsite=False).stanza if self.from_offsite else None

    def at_offsite(self) -> BackupSettings:
        """The same with ``stanza`` and ``repository`` of the second place; raises :class:`RingstandError` without."""
        if not self.offsite:
            raise RingstandError(f"Failed to find backups elsewhere: there is no second repository. {ONLY_HERE}")
        return replace(self, from_offsite=True)

    @property
    def dumps_dir(self) -> str:
        return os.path.join(self.directory, "dumps")

    @property
    def globals_dir(self) -> str:
        """Roles and their password hashes (``pg_dumpall --globals-only``), which no dump of a database has."""
        return os.path.join(self.directory, "globals")

    @property
    def repository(self) -> Repository:
        """The backups of files: those on this host, or after :meth:`at_offsite` the others."""
        if self.from_offsite and self.offsite:
            return self.offsite.repository(KEY_PATH)
        return Repository(os.path.join(self.directory, "restic"), KEY_PATH)

    def find_cluster(self) -> Cluster:
        """The cluster on this host, running or not; raises :class:`RingstandError` when there is none."""
        host = Host.read(self.cluster)
        version = host.choose(self.version, self.cluster)
        cluster = host.cluster(version, self.cluster)
        if cluster is None:
            raise RingstandError(
                f"Failed to find the PostgreSQL cluster {version or '?'}/{self.cluster}: this host has none"
            )
        return cluster


def load(path: str = SETTINGS_PATH) -> BackupSettings:
    """Read the settings; keys that this version does not know are ignored.

    Raises :class:`RingstandError` when backups are not set up on this host or the file is damaged.
    """
    try:
        with open(path, encoding="utf-8") as stream:
            return parse(json.load(stream))
    except FileNotFoundError as error:
        raise RingstandError(
            f"Failed to find the backup settings: {path} does not exist. Run site.yml, or the role backup."
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise RingstandError(f"Failed to read {path}: {error}. Run the role backup to write it.") from error


def parse(data: Mapping[str, Any]) -> BackupSettings:
    """Settings from what the file holds."""
    if data.get("schema") != SCHEMA:
        raise ValueError(f"its schema is {data.get('schema')!r}, not {SCHEMA}")
    kept = data.get("retention") or {}
    return BackupSettings(
        directory=str(data["dir"]),
        cluster=str(data["cluster"]),
        version=str(data.get("version") or ""),
        databases=[str(name) for name in data["databases"]],
        paths={str(name): [str(path) for path in paths] for name, paths in data["paths"].items()},
        elsewhere=[str(name) for name in data.get("elsewhere") or []],
        redis_dir=str(data.get("redis_dir") or ""),
        hour=int(data["hour"]),
        drill_days=int(data.get("drill_days", 7)),
        metrics_dir=str(data.get("metrics_dir", prometheus.DIRECTORY)),
        offsite=backup_offsite.parse(data.get("offsite")),
        retention=Retention(**{key: int(value) for key, value in kept.items() if key in Retention.__annotations__}),
    )


@contextlib.contextmanager
def only_one(what: str, now: float, path: str = LOCK_PATH) -> Iterator[None]:
    """Hold the lock of backups and restores for ``what``, such as "backup"; it frees itself when the process dies.

    Raises :class:`RingstandError`, with the holder's name, when another one is under way.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "unknown"
            raise RingstandError(
                f"Failed to start the {what}: another one is under way ({held}). Wait for it", holder=held
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{what}, process {os.getpid()}, since {utc(now)}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def holder(path: str = LOCK_PATH) -> str:
    """Who holds the lock right now, for people; empty when nobody does."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return ""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return ""
    except BlockingIOError:
        return os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "unknown"
    finally:
        os.close(descriptor)


def here_only(path: str = SETTINGS_PATH) -> bool:
    """Whether this host has backups, and no other place has them."""
    try:
        return os.path.exists(path) and load(path).offsite is None
    except RingstandError:
        return False

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Everything that is checked before a restore changes anything."""

from __future__ import annotations

import glob
import os
import shutil
from dataclasses import dataclass, replace

from . import pgbackrest, restore_repository, restore_state
from .backup_settings import BackupSettings
from .errors import RingstandError
from .pgbackrest import OWNER
from .postgresql_cluster import Cluster
from .restore_state import State
from .restore_target import Choice, choose, iso

_MIB = 1024 * 1024
# Beside the backup's own size: WAL while it is replayed, and what the cluster writes until somebody looks.
_RESERVE_BYTES = 512 * _MIB


@dataclass(frozen=True)
class Plan:
    """A restore whose preconditions hold.

    ``point`` is the name of the restore point that ``target`` is the time of, or empty. ``complete`` tells that nothing
    was written after what is in the archive.
    """

    settings: BackupSettings
    cluster: Cluster
    target: float | None
    choice: Choice
    complete: bool
    data_exists: bool = False
    unfinished: State | None = None
    point: str = ""

    @property
    def wanted(self) -> str:
        """The target, for people."""
        if self.target is None:
            return "the latest state"
        return f"the restore point {self.point} of {iso(self.target)}" if self.point else iso(self.target)

    def describe(self) -> str:
        """For people, one sentence."""
        backup = self.choice.backup
        moved = f"move {self.cluster.data_dir} aside, " if self.data_exists else ""
        return (
            f"stop {self.cluster.unit}, {moved}restore the backup {backup.label} ({backup.size // _MIB + 1} MiB) of "
            f"{iso(backup.finished)} and replay up to {len(self.choice.segments)} WAL segments to {self.wanted} "
            f"on timeline {self.choice.timeline}"
        )


def make(settings: BackupSettings, target: float | None, confirm: str, flush: bool, point: str = "") -> Plan:
    """Check all that can be checked. ``flush`` first brings a running cluster's last WAL into the archive.

    Raises :class:`RingstandError`; nothing has been changed then.
    """
    cluster = replace(settings.find_cluster(), owner=OWNER)
    unfinished = _unfinished()
    data_exists = has_data(cluster.data_dir)
    kept = bool(unfinished and unfinished.kept and os.path.isdir(unfinished.kept))
    if data_exists or kept:
        check_confirmed(confirm, cluster.data_dir)
    _check_directory(cluster.data_dir)
    plan = _choose(settings, cluster, target, flush)
    check_space(os.path.dirname(cluster.data_dir), plan.choice.backup.size, f"to {cluster.data_dir}")
    return replace(plan, data_exists=data_exists, unfinished=unfinished, point=point)


def aside(settings: BackupSettings, target: float | None, flush: bool, point: str = "") -> Plan:
    """The same for a restore that leaves the cluster of this host alone: there is nothing to confirm."""
    cluster = replace(settings.find_cluster(), owner=OWNER)
    return replace(_choose(settings, cluster, target, flush), point=point)


def _unfinished() -> State | None:
    found = restore_state.read()
    return found if found and found.unfinished else None


def _choose(settings: BackupSettings, cluster: Cluster, target: float | None, flush: bool) -> Plan:
    repository = restore_repository.read(settings.stanza, cluster.version, settings.first_stanza)
    archived = max(repository.segments.values(), default=0.0)
    complete = cluster.running and not _unfinished()
    if complete and flush and (target is None or target > archived):
        _flush(settings, cluster)
        repository = restore_repository.read(settings.stanza, cluster.version, settings.first_stanza)
    return Plan(settings, cluster, target, choose(repository, target, complete), complete)


def has_data(path: str) -> bool:
    """Whether a data directory is there and not empty."""
    try:
        return any(name != "lost+found" for name in os.listdir(path))
    except FileNotFoundError:
        return False


def host_name() -> str:
    """The name that has to be confirmed."""
    return os.uname().nodename


def check_confirmed(confirm: str, data_dir: str) -> None:
    """Refuse to touch existing data unless the host was named; raises :class:`RingstandError`."""
    if confirm == host_name():
        return
    given = f"--confirm is {confirm!r}, which is another name" if confirm else "that needs the name of this host"
    raise RingstandError(
        f"Failed to restore over {data_dir}: it holds data, and {given}. Nothing was changed. "
        f"If this is the right host: --confirm {host_name()}"
    )


def removable(data_dir: str, state: State | None) -> bool:
    """Whether a data directory is the rest of an interrupted restore in which nobody can have written anything.

    pgBackRest writes pg_control last, and PostgreSQL takes the signal files away when it is promoted.
    """
    if state is None or state.data_dir != data_dir or state.phase == "begun" or not state.unfinished:
        return False
    if state.phase == "aside" and not os.path.exists(os.path.join(data_dir, "global", "pg_control")):
        return True
    return any(os.path.exists(os.path.join(data_dir, f"{kind}.signal")) for kind in ("standby", "recovery"))


def _check_directory(data_dir: str) -> None:
    if os.path.ismount(data_dir) or os.path.islink(data_dir):
        kind = "a link" if os.path.islink(data_dir) else "a mount point"
        raise RingstandError(
            f"Failed to restore to {data_dir}: it is {kind}, which cannot be moved aside. Nothing was changed. "
            f"Move what is in it away by hand, then restore with: sudo -u {OWNER} pgbackrest restore"
        )
    spaces = glob.glob(os.path.join(glob.escape(data_dir), "pg_tblspc", "*"))
    if spaces:
        raise RingstandError(
            f"Failed to restore over {data_dir}: it has tablespaces ({', '.join(map(os.path.realpath, spaces))}), "
            "which would be overwritten and not kept. Nothing was changed. Restore by hand: pgbackrest restore with "
            "--tablespace-map-all"
        )


def _flush(settings: BackupSettings, cluster: Cluster) -> None:
    try:
        pgbackrest.check(settings.stanza)
    except RingstandError as error:
        raise RingstandError(
            f"Failed to bring the last changes into the archive: {error.message}. Nothing was changed. To restore "
            f"without them, stop the cluster first: systemctl stop {cluster.unit}",
            **error.details,
        ) from error


def check_space(parent: str, size: int, where: str) -> None:
    """Raise :class:`RingstandError` when a backup of ``size`` bytes does not fit below ``parent`` as well.

    ``where`` completes "Failed to restore …".
    """
    while not os.path.isdir(parent):
        parent = os.path.dirname(parent)
    free, needed = shutil.disk_usage(parent).free, size * 21 // 20 + _RESERVE_BYTES
    if free < needed:
        raise RingstandError(
            f"Failed to restore {where}: {parent} has {free // _MIB} MiB free, and the restored data needs "
            f"{needed // _MIB} MiB beside the old data, which is kept. Nothing was changed. Make room there first"
        )

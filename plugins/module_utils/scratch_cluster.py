# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A backup restored into a cluster of its own, to be read, tried and thrown away.

It has its own directory, is reached only through a socket that nobody but PostgreSQL's user can open, archives nothing,
runs no jobs and follows no publisher: whatever the restored data would make it do stays undone. There is one at a time:
the caller holds the lock of backups and restores.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from . import restore_plan, restore_recovery
from .commands import run
from .errors import RingstandError
from .pgbackrest import OWNER
from .postgresql_cluster import Cluster
from .restore_plan import Plan
from .restore_state import Steps
from .systemd import journal_tail, systemctl, unit_properties

UNIT = "ringstand-scratch.service"
DIRECTORY = "ringstand-scratch"  # beside the data directory, and below /run for the socket
SOCKET_DIR = f"/run/{DIRECTORY}"
_STOP_SECONDS = 120
_START_SECONDS = 30
# DbMissingError in pgBackRest's list of errors: a database to include is not in the backup.
_NO_SUCH_DATABASE = 80
# What a standby must not have less of than the cluster whose WAL it replays, and where that is written.
_AT_LEAST = ("max_connections", "max_worker_processes", "max_wal_senders", "max_prepared_xacts", "max_locks_per_xact")
_SETTING_NAMES = {"max_prepared_xacts": "max_prepared_transactions", "max_locks_per_xact": "max_locks_per_transaction"}
# Given as arguments, which no file of the restored data directory can overrule.
_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_directories": SOCKET_DIR,
    "unix_socket_permissions": "0700",
    "ssl": "off",
    "external_pid_file": "",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_min_error_statement": "panic",  # a statement may hold data, and the journal is not the place for it
    "archive_mode": "off",
    "archive_command": "",
    "archive_cleanup_command": "",
    "recovery_end_command": "",
    "primary_conninfo": "",
    "synchronous_standby_names": "",
    "hot_standby": "on",
    "max_standby_archive_delay": "-1",  # whoever reads is not disturbed by the replay
    # Libraries that are loaded at the start can bring jobs with them, and subscriptions take what a publisher has.
    "shared_preload_libraries": "",
    "max_logical_replication_workers": "0",
    "autovacuum": "off",
    # It is thrown away after a crash.
    "fsync": "off",
    "full_page_writes": "off",
    "huge_pages": "off",
    "shared_buffers": "64MB",
}
_IDLE = ("IOSchedulingClass=idle", "CPUWeight=20", "MemoryMax=1G")


@dataclass(frozen=True)
class ScratchCluster(Cluster):
    """The cluster, as a standby that has stopped at the target; it has no pg_lsclusters to know it."""

    @property
    def unit(self) -> str:
        return UNIT

    @property
    def directory(self) -> str:
        """All that it has."""
        return os.path.dirname(self.data_dir)


@contextlib.contextmanager
def restored(
    plan: Plan, steps: Steps, only: str = "", size: int | None = None, idle: bool = False
) -> Iterator[tuple[Cluster, str]]:
    """Restore what ``plan`` (of :func:`restore_plan.aside`) says into a scratch cluster, which is gone afterwards.

    Yields the cluster and the time of its last change, for people. It is a standby, which can be read but not written
    to; :func:`restore_replay.promote` makes it one that takes writes. With ``only`` the other databases are left
    out (pgBackRest fills their files with zeros), and ``size`` is then what is to be expected, in bytes. ``idle`` is
    for what nobody waits for: its server gets what the others leave.

    Raises :class:`RingstandError`, with what the server said; nothing of it is left then either.
    """
    cluster = scratch_of(plan.cluster)
    destroy(cluster)  # what a run that was killed has left
    expected = plan.choice.backup.size if size is None else size
    restore_plan.check_space(os.path.dirname(cluster.directory), expected, "into a scratch cluster")
    began, ready = time.time(), False
    try:
        steps.step(f"restoring the backup {plan.choice.backup.label} into a scratch cluster")
        os.makedirs(cluster.directory, mode=0o700)
        shutil.chown(cluster.directory, OWNER, OWNER)
        mine = replace(plan, cluster=cluster)
        _unpack(mine, cluster, only)
        _configure(cluster, [plan.cluster.data_dir, cluster.data_dir])
        recovered, _reached = restore_recovery.recover(mine, steps, partial(start, idle=idle))
        cluster.query("SELECT pg_wal_replay_pause(); SELECT 'true'::json")  # what is archived from now on is too late
        ready = True
        yield cluster, recovered
    except RingstandError as error:
        said = "" if ready else journal_tail(UNIT, began, 15)
        raise RingstandError(error.message, **({"output": said} if said else {}), **error.details) from error
    finally:
        destroy(cluster)


def _unpack(plan: Plan, cluster: ScratchCluster, only: str) -> None:
    arguments = [f"--pg1-path={cluster.data_dir}", f"--tablespace-map-all={cluster.directory}/tablespaces"]
    try:
        restore_recovery.unpack(plan, [*arguments, *([f"--db-include={only}"] if only else [])])
    except RingstandError as error:
        if not only or error.details.get("rc") != _NO_SUCH_DATABASE:
            raise
        # It was made after the backup, and is in the WAL as a whole.
        shutil.rmtree(cluster.data_dir)
        restore_recovery.unpack(plan, arguments)


def scratch_of(cluster: Cluster) -> ScratchCluster:
    """The scratch cluster beside a cluster of this host, whether it exists or not."""
    directory = os.path.join(os.path.dirname(cluster.data_dir), DIRECTORY)
    return ScratchCluster(
        cluster.version, DIRECTORY, cluster.port, True, OWNER, os.path.join(directory, "data"), SOCKET_DIR
    )


def destroy(cluster: ScratchCluster) -> None:
    """Stop it and remove all that it has, in whatever state it is."""
    stop(cluster)
    if os.path.lexists(cluster.directory):
        shutil.rmtree(cluster.directory)


def start(cluster: Cluster, idle: bool = False) -> None:
    """Start its server as a unit of its own; whether that answers has to be watched."""
    behind = ["--nice=19", *(f"--property={limit}" for limit in _IDLE)] if idle else ["--nice=10"]
    settings = [f"{name}={value}" for name, value in _SETTINGS.items()]
    directory = os.path.dirname(cluster.data_dir)
    files = [f"{name}_file={directory}/{place}" for name, place in _FILES.items()]
    done = subprocess.run(
        [
            "systemd-run", "--quiet", "--collect", f"--unit={UNIT}", "--service-type=exec",
            "--description=scratch cluster of PostgreSQL", f"--uid={OWNER}", f"--gid={OWNER}", *behind,
            f"--property=RuntimeDirectory={DIRECTORY}", "--property=RuntimeDirectoryMode=0700",
            "--property=KillMode=mixed", "--property=KillSignal=SIGQUIT", "--property=OOMScoreAdjust=500",
            # It reads the repository and writes only here: a tablespace of the live cluster is out of its reach.
            "--property=ProtectSystem=strict", f"--property=ReadWritePaths={directory}", "--property=PrivateTmp=yes",
            "--property=NoNewPrivileges=yes", "--property=UMask=0077",
            f"/usr/lib/postgresql/{cluster.version}/bin/postgres", "-D", cluster.data_dir, "-p", str(cluster.port),
            *(word for setting in [*files, *settings] for word in ("-c", setting)),
        ],
        capture_output=True, text=True, timeout=_START_SECONDS, check=False,
    )
    if done.returncode != 0:
        raise RingstandError(f"Failed to start the scratch cluster: {done.stderr.strip()}", rc=done.returncode)


def stop(cluster: Cluster) -> None:
    """Stop its server at once; nothing in it is worth saving."""
    if unit_properties(cluster.unit, "ActiveState").get("ActiveState") not in ("inactive", "failed"):
        systemctl("stop", cluster.unit, timeout_seconds=_STOP_SECONDS)
    systemctl("reset-failed", cluster.unit, check=False)


_FILES = {"config": "postgresql.conf", "hba": "pg_hba.conf", "ident": "pg_ident.conf"}


def _configure(cluster: ScratchCluster, data_dirs: Sequence[str]) -> None:
    texts = {
        "postgresql.conf": "".join(f"{name} = {value}\n" for name, value in minimum_settings(data_dirs).items()),
        "pg_hba.conf": f"local all {OWNER} peer\n",
        "pg_ident.conf": "",
    }
    for name, text in texts.items():
        path = os.path.join(cluster.directory, name)
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
        shutil.chown(path, OWNER, OWNER)


def minimum_settings(data_dirs: Sequence[str]) -> dict[str, int]:
    """The limits without which the WAL of these data directories cannot be replayed; one that is lost has none."""
    found: dict[str, int] = {}
    for data_dir in data_dirs:
        version_path = os.path.join(data_dir, "PG_VERSION")
        if not os.path.exists(version_path):
            continue
        with open(version_path, encoding="utf-8") as stream:
            version = stream.read().strip()
        text = run([f"/usr/lib/postgresql/{version}/bin/pg_controldata", data_dir]).stdout
        for name, value in parse_control_data(text).items():
            found[name] = max(value, found.get(name, 0))
    return found


def parse_control_data(text: str) -> dict[str, int]:
    """The settings of the cluster that wrote the WAL, in what ``pg_controldata`` prints."""
    found = {match[1]: int(match[2]) for match in re.finditer(r"^(\w+) setting: +(\d+)$", text, re.MULTILINE)}
    return {_SETTING_NAMES.get(name, name): found[name] for name in _AT_LEAST if name in found}

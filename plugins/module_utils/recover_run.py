# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A lost host on a fresh one: files and cluster from the second place of its backups, before any app is set up here.

Afterwards the roles find what they would have made anew (secrets, users, certificates, databases) and keep it.
"""

from __future__ import annotations

import glob
import json
import os
import shutil
import time
from dataclasses import replace
from typing import Any

from . import backup_owner, recover_files, restic, restore_plan, restore_run, restore_state
from .backup_owner import RECOVERED_PATH
from .backup_settings import BackupSettings
from .errors import RingstandError
from .ledger import utc
from .pgbackrest import OWNER
from .releases import write_durably
from .restore_state import Progress
from .restore_target import parse_target
from .systemd import systemctl

BEGUN, FILES, DONE = "begun", "files", "done"
_DATABASES_SQL = (
    "SELECT coalesce(json_agg(datname ORDER BY datname), '[]') FROM pg_database"
    " WHERE NOT datistemplate AND datname <> 'postgres'"
)


def phase() -> str:
    """How far this host has been recovered; empty when it was never begun."""
    try:
        with open(RECOVERED_PATH, encoding="utf-8") as stream:
            return str(json.load(stream)["phase"])
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = f"Failed to read {RECOVERED_PATH}: {error}. If nothing is on this host yet, remove it"
        raise RingstandError(what) from error


def check_fresh(settings: BackupSettings, check: bool = False) -> None:
    """Raise :class:`RingstandError` when there is something on this host that a recovery would write over.

    Also one that goes on: somebody may have used the host since the first was interrupted. Only a cluster in the middle
    of being restored, which takes no writes, is not looked into, and with ``check`` none that would have to be started.
    """
    reached = phase()
    if reached == DONE:
        return
    apps = [path.split("/")[2] for path in sorted(glob.glob("/srv/*/live"))]
    what = f"the apps {', '.join(apps)} are deployed" if apps else ""
    if settings.cluster and not what:
        databases = _databases(settings, bool(reached), check)
        what = f"the cluster has the databases {', '.join(databases)}" if databases else ""
    if what:
        earlier = f" (an earlier recovery of it stopped at {reached!r}, and they are newer)" if reached else ""
        raise RingstandError(
            f"Failed to recover: this host is not a fresh one, {what}{earlier}. Nothing was changed. To bring back the "
            "databases of a host that is still there: ringstand restore --offsite"
        )


def _databases(settings: BackupSettings, goes_on: bool, check: bool) -> list[str]:
    cluster = settings.find_cluster()
    data_dir = cluster.data_dir
    if goes_on and not restore_plan.has_data(data_dir) or restore_plan.removable(data_dir, restore_state.read()):
        return []
    if goes_on and not cluster.running:  # it was stopped to be restored, and no more
        if check:
            return []
        systemctl("start", cluster.unit)
        cluster = settings.find_cluster()
    if not cluster.running:
        raise RingstandError(
            f"Failed to recover: the cluster {cluster} does not run, nobody knows what is in it. "
            f"Start it: systemctl start {cluster.unit}"
        )
    return [str(name) for name in cluster.query(_DATABASES_SQL)]


def holds_databases(data_dir: str) -> bool:
    """Whether a data directory has databases beside those that its creation has made.

    Those have numbers below 16384 (FirstNormalObjectId in PostgreSQL's access/transam.h).
    """
    try:
        return any(name.isdecimal() and int(name) >= 16384 for name in os.listdir(os.path.join(data_dir, "base")))
    except FileNotFoundError:
        return False


def perform(settings: BackupSettings, to: str, progress: Progress) -> dict[str, Any]:
    """Recover; returns what was. A second one after the end does nothing, one that was interrupted goes on."""
    there, target = settings.at_offsite(), parse_target(to, time.time())
    where = there.offsite.where if there.offsite else ""
    if phase() == DONE:
        return {"changed": False, "where": where}
    snapshots = restic.snapshots(there.repository)
    owner = backup_owner.of(snapshots)
    check_fresh(settings)
    if not phase():
        _write(BEGUN, where, owner)
    result: dict[str, Any] = {"changed": True, "where": where, "kept": "", "problems": []}
    if phase() == BEGUN:
        progress.step(f"bringing files back from {where}")
        found, left = recover_files.restore(there.repository, snapshots, target, settings.redis_dir)
        result.update(files=found, problems=left)
        _write(FILES, where, owner)
    kept = ""
    if settings.cluster:
        cluster = replace(settings.find_cluster(), owner=OWNER)
        restore_run.stop(cluster)  # what is in it is what its own creation has left
        plan = restore_plan.make(there, target, restore_plan.host_name(), flush=False)
        done = restore_run.perform(plan, progress, new_backup=False)
        result.update({key: done[key] for key in ("target", "backup", "recovered_to", "databases")})
        kept = done["kept"]
    _write(DONE, where, owner)
    if kept and holds_databases(kept):
        result["kept"] = kept
        words = f"{kept} holds databases, so it was kept. Once nobody needs them: rm -r {kept}"
        result["problems"] = [*result["problems"], words]
    elif kept:
        shutil.rmtree(kept)
    return result


def _write(reached: str, where: str, owner: backup_owner.Owner | None) -> None:
    record = {"phase": reached, "where": where, "replaced": owner.machine if owner else "", "at": utc(time.time())}
    write_durably(RECOVERED_PATH, json.dumps(record) + "\n")

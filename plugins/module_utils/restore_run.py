# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The steps of a restore. The old data directory is only ever renamed, and put back when a step before the last fails.

The restored cluster is a standby until it has been seen to have everything, see :mod:`restore_recovery`. A restore that
was killed leaves a standby, which nobody can write to.
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from typing import Any

from . import pgbackrest, restore_plan, restore_recovery, restore_replay, restore_repository, restore_state
from .commands import redact
from .errors import RingstandError
from .ledger import utc
from .postgresql_cluster import Cluster, Host
from .restore_plan import Plan
from .restore_state import Progress, State
from .restore_target import choose
from .systemd import systemctl, unit_properties

_STOP_SECONDS = 900


def perform(plan: Plan, progress: Progress, new_backup: bool = True) -> dict[str, Any]:
    """Restore; returns what was restored. Raises :class:`RingstandError` once things are as they were before.

    Without ``new_backup`` none is made at the end: on a host that has no repository of its own yet.
    """
    cluster = plan.cluster
    state = _begin(plan)
    try:
        progress.step(f"stopping {cluster.unit}")
        stop(cluster)
        if plan.complete:  # stopping has archived the very last segment
            settings = plan.settings
            repository = restore_repository.read(settings.stanza, cluster.version, settings.first_stanza)
            plan = replace(plan, choice=choose(repository, plan.target, True))
        state = _move_aside(plan, state, progress)
        progress.step(f"restoring the backup {plan.choice.backup.label}")
        restore_recovery.unpack(plan)
        state = restore_state.write(replace(state, phase="restored"))
        recovered, reached = restore_recovery.recover(plan, progress, start)
        if not reached:
            # PostgreSQL refuses to end a recovery before its target, also when there is no change after it.
            stop(cluster)
            restore_recovery.forget_target(cluster)
            start(cluster)
            restore_replay.follow(plan, progress)
            progress.notice(f"nothing was changed between {recovered} and {plan.wanted}")
        state = restore_state.write(replace(state, phase="promoting"))
        restore_replay.promote(cluster)
    except RingstandError as error:
        raise _put_back_after(error, cluster, state, progress) from error
    except (OSError, KeyboardInterrupt) as error:  # the latter when the unit is told to stop
        reason = f"{error}" if isinstance(error, OSError) else "it was stopped from outside"
        failure = RingstandError(f"Failed to restore to {plan.wanted}: {reason}")
        raise _put_back_after(failure, cluster, state, progress) from error
    try:
        progress.step("checking what was restored")
        databases = restore_replay.check(cluster)
    except RingstandError as error:
        raise RingstandError(f"{error.message}. {_kept_words(state)}", **error.details) from error
    restore_state.write(replace(state, phase="done"))
    progress.step(f"the cluster serves again, with everything up to {recovered}")
    problems = _new_backup(plan, progress) if new_backup else []
    return {
        "target": plan.wanted, "backup": plan.choice.backup.label, "recovered_to": recovered,
        "databases": databases, "kept": state.kept, "problems": problems, "changed": True,
    }


def undo(confirm: str, state: State | None, cluster: Cluster, progress: Progress) -> dict[str, Any]:
    """Put the old data directory back after a restore that was interrupted before it was promoted."""
    if state is None or not state.unfinished:
        kept = f" The old data directory of the last restore is in {state.kept}." if state and state.kept else ""
        raise RingstandError(f"Failed to undo a restore: none was interrupted. Nothing was changed.{kept}")
    if _promoted(state):
        raise RingstandError(
            "Failed to undo the restore: the restored cluster has been promoted and may have been written to. "
            f"Nothing was changed. {_kept_words(state)}"
        )
    restore_plan.check_confirmed(confirm, state.data_dir)
    progress.step(f"putting {state.kept or 'things'} back")
    put_back(cluster, state)
    return {"target": "", "undone": True, "data_dir": state.data_dir, "started": state.was_running, "changed": True}


def _begin(plan: Plan) -> State:
    earlier = plan.unfinished
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    kept = f"{plan.cluster.data_dir}.before-restore-{stamp}" if plan.data_exists else ""
    if earlier and (restore_plan.removable(plan.cluster.data_dir, earlier) or not plan.data_exists):
        # What is there now is the rest of that restore; the data to keep is what that one moved aside.
        return restore_state.write(replace(earlier, target=plan.wanted))
    running = plan.cluster.running
    state = State("begun", plan.cluster.data_dir, kept, running, plan.wanted, utc(time.time()))
    return restore_state.write(state)


def _move_aside(plan: Plan, state: State, progress: Progress) -> State:
    data_dir = plan.cluster.data_dir
    if restore_plan.removable(data_dir, state):
        progress.step("removing what an interrupted restore has left")
        shutil.rmtree(data_dir)
    elif plan.data_exists:
        if os.path.exists(state.kept):
            raise RingstandError(f"Failed to move {data_dir} aside: {state.kept} exists already")
        progress.step(f"moving {data_dir} to {state.kept}")
        os.rename(data_dir, state.kept)
    elif os.path.isdir(data_dir):
        shutil.rmtree(data_dir)  # empty, or with a lost+found of its own
    return restore_state.write(replace(state, phase="aside"))


def put_back(cluster: Cluster, state: State) -> None:
    """Make things as they were before the restore: the old data directory in its place, running if it ran."""
    stop(cluster)
    if restore_plan.removable(state.data_dir, state):
        shutil.rmtree(state.data_dir, ignore_errors=False)
    if state.kept and os.path.isdir(state.kept):
        if os.path.lexists(state.data_dir):
            raise RingstandError(
                f"Failed to put {state.kept} back: {state.data_dir} is there and not from the restore. Nothing was lost"
            )
        os.rename(state.kept, state.data_dir)
    restore_state.write(replace(state, phase="undone"))
    if state.was_running:
        systemctl("start", cluster.unit, timeout_seconds=_STOP_SECONDS)
        restore_replay.wait_until_ready(cluster)


def _put_back_after(error: RingstandError, cluster: Cluster, state: State, progress: Progress) -> RingstandError:
    started = state.phase in ("restored", "promoting")
    details = {**error.details, "output": server_log(cluster)} if started else error.details
    try:
        stop(cluster)
        if _promoted(state):
            start(cluster)
            return RingstandError(f"{error.message}. The restored cluster takes writes and stays. {_kept_words(state)}")
        progress.step("putting the old data directory back" if state.kept else "removing the incomplete restore")
        put_back(cluster, state)
    except (RingstandError, OSError) as second:
        return RingstandError(
            f"{error.message}. Putting things back failed as well: {second}. The old data is in "
            f"{state.kept if os.path.isdir(state.kept or '/nonexistent') else state.data_dir}. "
            f"Put it back with: ringstand restore --undo --confirm {restore_plan.host_name()}",
            **details,
        )
    if not state.kept:
        after = "There was no data before, and there is none now; the cluster is not running"
    else:
        after = "The old data directory is in its place again"
        after += ", and the cluster runs on it" if state.was_running else "; the cluster is stopped, as it was"
    return RingstandError(f"{error.message}. {after}", **details)


def _promoted(state: State) -> bool:
    """Whether the restored cluster may have been written to."""
    there = os.path.isdir(state.data_dir)
    return state.phase == "promoting" and there and not restore_plan.removable(state.data_dir, state)


def _kept_words(state: State) -> str:
    return f"The old data directory is kept in {state.kept}" if state.kept else "There was no data before"


def stop(cluster: Cluster) -> None:
    """Stop the cluster for good, also one whose data directory is gone; raises :class:`RingstandError`."""
    active = unit_properties(cluster.unit, "ActiveState").get("ActiveState")
    if active in ("active", "activating", "reloading") and not os.path.exists(f"{cluster.data_dir}/postmaster.pid"):
        # pg_ctl finds the server by that file. Nothing is left to save, so it need not be asked twice.
        systemctl("kill", "--signal=SIGQUIT", cluster.unit, check=False)
    systemctl("stop", cluster.unit, timeout_seconds=_STOP_SECONDS)
    systemctl("reset-failed", cluster.unit, check=False)
    now = Host.read(cluster.name).cluster(cluster.version, cluster.name)
    if now is not None and now.running:
        raise RingstandError(
            f"Failed to stop the cluster {cluster}: it runs outside of {cluster.unit}. "
            f"Stop it: pg_ctlcluster {cluster.version} {cluster.name} stop"
        )


def start(cluster: Cluster) -> None:
    """Let the cluster begin to start; how that goes has to be watched."""
    systemctl("reset-failed", cluster.unit, check=False)
    systemctl("start", "--no-block", cluster.unit)


def server_log(cluster: Cluster, lines: int = 15) -> str:
    """The last lines of the server's log, without secrets."""
    path = f"/var/log/postgresql/postgresql-{cluster.version}-{cluster.name}.log"
    try:
        with open(path, "rb") as stream:
            stream.seek(max(os.path.getsize(path) - 20_000, 0))
            return redact("\n".join(stream.read().decode(errors="replace").splitlines()[-lines:]))
    except OSError:
        return ""


def _new_backup(plan: Plan, progress: Progress) -> list[str]:
    """A full backup of what was restored, so that the next restore does not lean on the timeline that was left."""
    problems = []
    progress.step("proving that WAL is archived, and making a new full backup")
    stanza = replace(plan.settings, from_offsite=False).stanza
    try:
        pgbackrest.check(stanza)
        pgbackrest.back_up(stanza, "full")
    except RingstandError as error:
        problems.append(f"{error.message}. The restore is complete; make a backup with: ringstand backup")
        progress.notice(problems[-1])
    return problems

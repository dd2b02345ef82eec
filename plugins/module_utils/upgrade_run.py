# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Upgrade a cluster to another major version, or take the old one back. Debian's own tools do the work.

The old cluster is copied, not linked, and kept stopped under another name, so that the way back is to start it again.
Whoever is killed leaves a state by which the next run takes back what was not done yet, or brings it to its end.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

from . import maintenance_apps, postgresql_programs, upgrade_archive, upgrade_clusters, upgrade_state
from .errors import RingstandError
from .host_program import PROGRAM
from .pgbackrest import CONFIG_PATH
from .postgresql_cluster import Cluster, Host, identifier, starts_at_boot
from .postgresql_programs import execute
from .restore_run import server_log
from .systemd import systemctl, unit_properties
from .upgrade_clusters import must
from .upgrade_plan import UpgradePlan
from .upgrade_state import BACK, COPYING, SERVING, State, kept_name

Say = Callable[[str], None]
_STOPPED = "it was stopped from outside"
_UPDATES_SQL = """
SELECT coalesce(json_agg(name ORDER BY name), '[]') FROM pg_available_extensions
WHERE installed_version IS NOT NULL AND installed_version <> default_version
"""


def perform(plan: UpgradePlan, backup: bool, say: Say) -> dict[str, Any]:
    """Upgrade, and return the result; raises :class:`RingstandError`, and then the old cluster runs as before."""
    old = plan.cluster
    if backup:
        say("backing up, and reading the backup back")
        must("back up before the upgrade, so nothing was changed", PROGRAM, "backup")
    start = "auto" if starts_at_boot(old.config_dir) else "manual"
    why = f"upgrade of PostgreSQL to {plan.version}"
    state = upgrade_state.write(
        State(COPYING, old.name, old.version, plan.version, old.port, 0, old.data_dir, start, why, backup)
    )
    upgrade_clusters.forget(old.version, state.kept)
    with maintenance_apps.of_databases(why, say):
        began = time.monotonic()
        say(f"stopping {old} and copying it to {plan.upgraded} with pg_upgrade")
        try:
            # Whatever the power does meanwhile, neither of the two starts and is written to before it is known which.
            upgrade_clusters.starting(old, "manual")
            _copy(plan)
            upgrade_clusters.rename(old.version, old.name, state.kept)
            upgraded = upgrade_clusters.find(plan.version, old.name)
            upgrade_clusters.take_settings(old, state.kept, upgraded)
            state = upgrade_state.enter(state, SERVING)
            upgrade_clusters.starting(upgraded, start)
            upgrade_clusters.start(upgraded)
        except (RingstandError, OSError, KeyboardInterrupt) as error:
            raise _after_failure(state, error, say) from error
        problems = _make_good(upgraded, say)
        seconds = round(time.monotonic() - began, 1)
    return _conclude(state, upgraded, f"{old.version}/{state.kept}", seconds, problems, say)


def interrupted(settle: Say | None = None) -> State | None:
    """What was interrupted on this host and is there to be taken back or finished.

    With ``settle``, who is told, that which somebody has settled by hand is forgotten, and its maintenance ends.
    """
    state = upgrade_state.read()
    if state is None or not state.is_settled(Host.read(state.name).clusters):
        return state
    if settle:
        settle(f"{state} was interrupted, and settled by hand")
        maintenance_apps.end(state.why)
        upgrade_state.clear()
    return None


def finish(state: State, say: Say) -> dict[str, Any]:
    """Bring an upgrade to its end that was interrupted when the new cluster was about to serve, or did."""
    say(f"finishing {state}, which was interrupted")
    began = time.monotonic()
    upgraded = upgrade_clusters.find(state.new, state.name)
    try:
        upgrade_clusters.starting(upgraded, state.start)
        upgrade_clusters.start(upgraded)
    except (RingstandError, OSError) as error:
        raise RingstandError(
            f"Failed to finish {state}: {error}. Both clusters are there. To the old one leads: ringstand upgrade "
            "--rollback", output=server_log(upgraded),
        ) from error
    problems = _make_good(upgraded, say)
    maintenance_apps.end(state.why)
    seconds = round(time.monotonic() - began, 1)
    return _conclude(state, upgraded, f"{state.old}/{state.kept}", seconds, problems, say)


def undo(state: State, say: Say) -> dict[str, Any]:
    """Take back an upgrade that was interrupted before the new cluster was about to serve."""
    say(f"taking back {state}, which was interrupted")
    copy = Host.read(state.name).cluster(state.new, state.name)
    if copy and copy.running:
        raise RingstandError(
            f"Failed to take back {state}, which was interrupted: its copy {copy} runs, and may have been written to. "
            f"Nothing was changed. Stop it if nobody needs what is in it: pg_ctlcluster {copy.version} {copy.name} stop"
        )
    began = time.monotonic()
    _put_back(state)
    maintenance_apps.end(state.why)
    upgrade_state.clear()
    seconds = round(time.monotonic() - began, 1)
    return {"upgraded": f"{state.old}/{state.name}", "kept": "", "downtime_seconds": seconds, "problems": []}


def roll_back(name: str, backup: bool, say: Say) -> dict[str, Any]:
    """Start the old cluster again in the place of the upgraded one, which is kept stopped.

    What was written since the upgrade is in the upgraded cluster only. Raises :class:`RingstandError`.
    """
    found = upgrade_state.read()
    if found and found.phase == SERVING:
        maintenance_apps.end(found.why)
    state = found if found and found.phase == BACK else _way_back(name, backup)
    problems: list[str] = []
    with maintenance_apps.of_databases(state.why, say):
        began = time.monotonic()
        say(f"stopping {state.new}/{name}, starting {state.old}/{name}")
        current = Host.read(name).cluster(state.new, name)
        if current:
            upgrade_clusters.stop(current)
        upgrade_clusters.rename(state.new, name, state.aside)
        upgrade_clusters.configure(upgrade_clusters.find(state.new, state.aside), state.other_port, "manual")
        upgrade_clusters.rename(state.old, state.kept, name)
        upgrade_clusters.configure(upgrade_clusters.find(state.old, name), state.port, state.start)
        back = upgrade_clusters.find(state.old, name)
        upgrade_clusters.start(back)
        seconds = round(time.monotonic() - began, 1)
    maintenance_apps.end(state.why)
    return _conclude(state, back, f"{state.new}/{state.aside}", seconds, problems, say)


def _way_back(name: str, backup: bool) -> State:
    host = Host.read(name)
    current = next((cluster for cluster in host.clusters if cluster.name == name), None)
    kept = kept_name(name, current.version) if current else ""
    old = next((cluster for cluster in host.clusters if cluster.name == kept), None)
    if current is None or old is None:
        raise RingstandError("Failed to roll back: this host has no cluster that was kept by an upgrade")
    why = f"PostgreSQL back to {old.version}"
    start = "auto" if starts_at_boot(current.config_dir) else "manual"
    state = State(BACK, name, old.version, current.version, current.port, old.port, current.data_dir, start, why,
                  backup)
    if host.cluster(current.version, state.aside):
        raise RingstandError(
            f"Failed to roll back: {current.version}/{state.aside} is there from an earlier one. When nobody needs it: "
            f"pg_dropcluster {current.version} {state.aside}"
        )
    upgrade_clusters.forget(current.version, state.aside)
    return upgrade_state.write(state)


def _copy(plan: UpgradePlan) -> None:
    upgrade_clusters.must_to_the_last(
        f"upgrade {plan.cluster}",
        *("pg_upgradecluster", "-v", plan.version, "-m", "upgrade", "--no-start"),
        *(f"--jobs={len(os.sched_getaffinity(0))}", plan.cluster.version),
        plan.cluster.name,
    )


def _after_failure(state: State, error: BaseException, say: Say) -> RingstandError:
    """The cluster as it was, and running; the copy is removed, because nobody has written to it."""
    details = error.details if isinstance(error, RingstandError) else {}
    reason = str(error)
    if isinstance(error, KeyboardInterrupt):
        reason = f"Failed to upgrade {state.cluster}: {_STOPPED}"
        if state.phase == SERVING:
            return RingstandError(f"{reason} while {state.new}/{state.name} started. The next run finishes it")
    say("putting the old cluster back")
    old = state.cluster
    try:
        copy = Host.read(old.name).cluster(state.new, old.name)
        if copy:
            details = {"output": server_log(copy), **details}
        upgrade_state.enter(state, COPYING)
        _put_back(state)
        upgrade_state.clear()
    except (RingstandError, OSError) as second:
        return RingstandError(
            f"{reason}. Putting the old cluster back failed as well: {second}. Its data is untouched in "
            f"{old.data_dir}, or beside it as {state.kept}. Once what is in the way is gone, ringstand upgrade "
            "--rollback puts it back",
            **details,
        )
    return RingstandError(f"{reason}. The cluster {old} runs as before", **details)


def _put_back(state: State) -> None:
    old, parent = state.cluster, os.path.dirname(state.data_dir)
    if not any(os.path.exists(f"{path}/PG_VERSION") for path in (old.data_dir, f"{parent}/{state.kept}")):
        raise RingstandError(f"Failed to find the data of {old} in {old.data_dir}, so the copy was left as it is")
    copy = Host.read(old.name).cluster(state.new, old.name)
    if copy:
        upgrade_clusters.stop(copy)
    upgrade_clusters.remove_copy(state.new, old.name)
    upgrade_clusters.rename(old.version, state.kept, old.name)
    there = upgrade_clusters.find(old.version, old.name)
    if unit_properties(old.unit, "ActiveState").get("ActiveState") != "active" or there.port != old.port:
        upgrade_clusters.stop(there)
    upgrade_clusters.configure(old, old.port, state.start)
    try:
        upgrade_clusters.start(old)
    except RingstandError:
        # Nothing starts any more on a host that is being shut down; this does when it is up again.
        if systemctl("is-system-running", check=False).stdout.strip() != "stopping":
            raise


def _conclude(
    state: State, cluster: Cluster, kept: str, seconds: float, problems: list[str], say: Say
) -> dict[str, Any]:
    """What can be done while the apps are back: archiving goes on, and there is a backup to restore from."""
    with _noted(problems):
        upgrade_archive.follow(state.data_dir, cluster)
    if state.backup and os.path.exists(CONFIG_PATH):
        say("taking a new full backup")
        with _noted(problems):
            must("take a new full backup", PROGRAM, "backup", "--full")
    upgrade_state.clear()
    return {"upgraded": str(cluster), "kept": kept, "downtime_seconds": seconds, "problems": problems}


def _make_good(cluster: Cluster, say: Say) -> list[str]:
    """What makes the new server as good as the old one; what fails of it is a problem and no reason to go back."""
    say("updating extensions and statistics")
    problems: list[str] = []
    for database in cluster.databases():
        for name in cluster.query(_UPDATES_SQL, database):
            with _noted(problems):
                say(f"updating the extension {name} in {database}")
                execute(cluster, f"ALTER EXTENSION {identifier(name)} UPDATE", database)
    with _noted(problems):
        jobs = f"--jobs={len(os.sched_getaffinity(0))}"
        postgresql_programs.run(
            cluster, "collect statistics", "vacuumdb", "--all", "--analyze-in-stages", "--quiet", "-w", jobs
        )
    return problems


@contextlib.contextmanager
def _noted(problems: list[str]) -> Iterator[None]:
    try:
        yield
    except (RingstandError, OSError) as error:
        problems.append(str(error))

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From a backup in the repository to a cluster that has replayed everything up to the target, in place or aside.

The cluster starts as a standby, whatever the target: by itself PostgreSQL takes any WAL segment that it cannot get, a
damaged one as well, for the end of the WAL, and promotes with less than there is. As a standby it waits, and whoever
called decides what becomes of it once it has been seen to have everything.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence

from . import pgbackrest, restore_replay
from .errors import RingstandError
from .pgbackrest import OWNER
from .postgresql_cluster import Cluster
from .restore_plan import Plan
from .restore_state import Steps
from .restore_target import iso

# So many segments are read from the archive before the cluster starts (each takes about 0.1 s); of a longer way only
# those without which the backup itself is useless.
_TRIED_SEGMENTS = 64


def unpack(plan: Plan, arguments: Sequence[str] = ()) -> None:
    """Bring the backup into the cluster's data directory, which may not exist yet, and see that its WAL can be had.

    ``arguments`` are further ones of pgBackRest. Raises :class:`RingstandError`.
    """
    os.makedirs(plan.cluster.data_dir, mode=0o700)
    shutil.chown(plan.cluster.data_dir, OWNER, OWNER)
    pgbackrest.restore(plan.settings.stanza, [*options(plan), *arguments])
    _stand_by(plan.cluster)
    _try_segments(plan)


def recover(plan: Plan, steps: Steps, start: Callable[[Cluster], None]) -> tuple[str, bool]:
    """Start the cluster, wait until it is at the target, and leave it as a standby there.

    Returns the time of the last change, for people, and whether PostgreSQL itself has seen the target: it has not when
    nothing was changed after it. Raises :class:`RingstandError`.
    """
    steps.step(f"starting {plan.cluster.unit} and replaying WAL to {plan.wanted}")
    start(plan.cluster)
    recovered, reached = restore_replay.follow(plan, steps)
    if plan.point and not reached:
        raise RingstandError(
            f"Failed to restore to {plan.wanted}: it is not in the WAL, which was replayed up to {recovered}. "
            f"By its time it can be restored: --to {iso(plan.target or 0)}"
        )
    return recovered, reached


def forget_target(cluster: Cluster) -> None:
    """Let the (stopped) cluster replay all there is at its next start."""
    path = os.path.join(cluster.data_dir, "postgresql.auto.conf")
    with open(path, encoding="utf-8") as stream:
        lines = [line for line in stream if not line.startswith(("recovery_target_time ", "recovery_target_action "))]
    with open(path, "w", encoding="utf-8") as stream:  # in place: owner and mode stay
        stream.writelines(lines)


def options(plan: Plan) -> list[str]:
    """What pgBackRest is told: always the backup and the timeline, never left to its own choice."""
    chosen = [f"--set={plan.choice.backup.label}", f"--target-timeline={plan.choice.timeline}"]
    if plan.target is None:
        return [*chosen, "--type=default"]
    if plan.point:
        return [*chosen, "--type=name", f"--target={plan.point}"]
    moment = iso(plan.target).replace("T", " ").replace("Z", "+00")
    return [*chosen, "--type=time", f"--target={moment}"]  # its target action is pause


def _stand_by(cluster: Cluster) -> None:
    # Not both: PostgreSQL would remove only this one when it is promoted, and recover again at its next start.
    os.rename(os.path.join(cluster.data_dir, "recovery.signal"), os.path.join(cluster.data_dir, "standby.signal"))


def _try_segments(plan: Plan) -> None:
    names, end = list(plan.choice.segments), plan.choice.backup.wal_stop
    if len(names) > _TRIED_SEGMENTS:
        names = names[: names.index(end) + 1] if end in names else names[:1]
    restore_replay.check_segments(plan, names)

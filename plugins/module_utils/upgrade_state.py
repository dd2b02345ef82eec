# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is known of an upgrade that has begun, written before its first change and gone with its last."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace

from . import kept_state
from .backup_settings import STATE_DIR
from .links import sync_dir
from .postgresql_cluster import Cluster
from .releases import write_durably

UNIT = "ringstand-upgrade.service"
STATE_PATH = f"{STATE_DIR}/upgrade-state.json"
# The copy may be thrown away: nothing but pg_upgrade has written to it, and neither cluster starts by itself.
COPYING = "copying"
# The new cluster may have been written to, so that there is only the way forward, or the way back that keeps it.
SERVING = "serving"
# On the way back, of which each step can be taken again.
BACK = "back"


@dataclass(frozen=True)
class State:
    """One upgrade, or the way back from one. ``old`` and ``new`` are major versions.

    ``port`` is that of the apps, and ``other_port`` what the cluster that is kept gets on the way back. ``data_dir`` is
    where the cluster's data was before, and ``start`` what its start.conf said. ``why`` is what maintenance is for, by
    which it is known again.
    """

    phase: str
    name: str
    old: str
    new: str
    port: int
    other_port: int
    data_dir: str
    start: str
    why: str
    backup: bool

    @property
    def kept(self) -> str:
        """What the old cluster is called while the new one has its name."""
        return kept_name(self.name, self.new)

    @property
    def aside(self) -> str:
        """What the new cluster is called once the old one has its name again."""
        return f"{self.name}_rolled_back"

    def is_settled(self, clusters: Collection[Cluster]) -> bool:
        """Whether somebody has settled it by hand: one of the two that it is about is not there, under either name."""
        there = {(cluster.version, cluster.name) for cluster in clusters}
        old, new = {(self.old, self.name), (self.old, self.kept)}, {(self.new, self.name), (self.new, self.aside)}
        return not old & there or (self.phase != COPYING and not new & there)

    @property
    def cluster(self) -> Cluster:
        """The old cluster under its own name."""
        return Cluster(self.old, self.name, self.port, False, "postgres", self.data_dir)

    def __str__(self) -> str:
        if self.phase == BACK:
            return f"the way back from {self.new}/{self.name} to {self.old}/{self.name}"
        return f"the upgrade of {self.old}/{self.name} to {self.new}"


def kept_name(cluster: str, version: str) -> str:
    """What a cluster is called once another one of ``version`` has its name."""
    return f"{cluster}_before_{version}"


def read(path: str | None = None) -> State | None:
    """What was interrupted on this host; raises :class:`RingstandError` when the file is damaged."""
    return kept_state.read(
        path or STATE_PATH,
        State,
        "It tells what an interrupted upgrade has left: look at pg_lsclusters, see that the cluster with the data "
        "runs, then remove the file",
    )


def write(state: State) -> State:
    """Keep it durably."""
    os.makedirs(os.path.dirname(STATE_PATH), mode=0o750, exist_ok=True)
    write_durably(STATE_PATH, json.dumps(asdict(state), indent=1))
    return state


def enter(state: State, phase: str) -> State:
    """The same in another phase, kept."""
    return write(replace(state, phase=phase))


def clear() -> None:
    """Nothing is left to be done."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(STATE_PATH)
        sync_dir(os.path.dirname(STATE_PATH))

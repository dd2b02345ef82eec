# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One database, or tables of it, as it was: from a nightly dump or at any moment, next to the live one."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from . import backup_dumps, restore_plan, scratch_cluster, side_database
from .backup_dumps import Dump
from .backup_settings import BackupSettings
from .errors import RingstandError
from .postgresql_cluster import Cluster
from .restore_plan import Plan
from .restore_state import Steps
from .restore_target import iso

# A dump is compressed: what it becomes takes a multiple of it.
_GROWTH = 6
_SIZES_SQL = (
    "SELECT coalesce(json_object_agg(datname, pg_database_size(oid)), '{}') FROM pg_database WHERE datallowconn"
)


@dataclass(frozen=True)
class SidePlan:
    """What would be loaded where. It comes out of ``dump``, or else out of ``plan`` by way of a scratch cluster."""

    settings: BackupSettings
    cluster: Cluster
    database: str
    name: str
    tables: Sequence[str] = ()
    dump: Dump | None = None
    plan: Plan | None = None
    sizes: dict[str, int] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """Where it comes from, for people."""
        if self.dump:
            return f"the dump {self.dump.path} of {iso(self.dump.time)}"
        plan = cast(Plan, self.plan)  # one of both
        return f"the backup {plan.choice.backup.label} at {plan.wanted}"

    def describe(self) -> str:
        """For people, one sentence."""
        what = f"the rows of {', '.join(self.tables)} of {self.database}" if self.tables else self.database
        way = "" if self.dump else ", by way of a scratch cluster"
        return f"load {what} from {self.source} into the new database {self.name}{way}"


def from_dump(
    settings: BackupSettings, database: str, tables: Sequence[str], given_name: str, wanted_dump: str
) -> SidePlan:
    """From a nightly dump: the newest, or the one of this time or path. Raises :class:`RingstandError`."""
    cluster, name = _beside(settings, given_name, database)
    dump = choose_dump(backup_dumps.dumps(settings.dumps_dir), database, wanted_dump)
    reason = backup_dumps.damage(dump.path)
    if reason:
        raise RingstandError(f"Failed to restore from the dump {dump.path}: {reason}. Choose another one with --dump")
    live = _sizes(cluster).get(database, 0)
    restore_plan.check_space(os.path.dirname(cluster.data_dir), live or dump.size * _GROWTH, f"the database {database}")
    return SidePlan(settings, cluster, database, name, tables, dump=dump)


def from_backup(
    settings: BackupSettings, database: str, tables: Sequence[str], given_name: str, plan: Plan
) -> SidePlan:
    """At a moment, from the backup of the whole cluster. Raises :class:`RingstandError`."""
    cluster, name = _beside(settings, given_name, database)
    return SidePlan(settings, cluster, database, name, tables, plan=plan, sizes=_sizes(cluster))


def choose_dump(dumps: Sequence[Dump], database: str, wanted: str) -> Dump:
    """The newest dump of a database, or the one whose path or time (as in its name) is ``wanted``."""
    ours = [dump for dump in dumps if dump.database == database]
    if not ours:
        others = ", ".join(sorted({dump.database for dump in dumps})) or "none"
        raise RingstandError(
            f"Failed to restore the database {database!r}: it has no dump; there are those of {others}. "
            "Nothing was changed. From the backup of the whole cluster: add --to latest, or a time"
        )
    if not wanted:
        return max(ours, key=lambda dump: dump.time)
    for dump in ours:
        if wanted in (dump.path, os.path.basename(dump.path), os.path.basename(dump.path).partition(".")[0]):
            return dump
    there = ", ".join(os.path.basename(dump.path).partition(".")[0] for dump in ours)
    raise RingstandError(f"Failed to find the dump {wanted!r} of {database}: there are {there}. Nothing was changed")


def perform(wanted: SidePlan, steps: Steps) -> dict[str, Any]:
    """Load it; returns what is where. Raises :class:`RingstandError`; nothing is left then."""
    if wanted.dump:
        steps.step(f"loading {wanted.source} into {wanted.name}")
        loaded = side_database.load(wanted.cluster, wanted.dump.path, wanted.name, wanted.tables)
        until = iso(wanted.dump.time)
    else:
        loaded, until = _by_scratch_cluster(wanted, steps)
    return {
        "database": wanted.database, "side_database": loaded.name, "source": wanted.source, "recovered_to": until,
        "tables": loaded.tables, "bytes": loaded.size, "rows": loaded.rows, "problems": loaded.problems,
        "changed": True, "kept": "",
    }


def _by_scratch_cluster(wanted: SidePlan, steps: Steps) -> tuple[side_database.Loaded, str]:
    plan = cast(Plan, wanted.plan)  # or else there is a dump
    others = sum(size for name, size in wanted.sizes.items() if name not in (wanted.database, "postgres", "template1"))
    own = wanted.sizes.get(wanted.database, 0)
    expected = max(plan.choice.backup.size - others, own) + 2 * own
    with scratch_cluster.restored(plan, steps, only=wanted.database, size=expected) as (cluster, until):
        there = side_database.names(cluster)
        if wanted.database not in there:
            known = ", ".join(sorted(set(there) - {"template0", "template1"}))
            raise RingstandError(f"Failed to find the database {wanted.database!r} at {until}: there were {known}")
        path = os.path.join(os.path.dirname(cluster.data_dir), "database.dump")
        steps.step(f"loading {wanted.database} as of {until} into {wanted.name}")
        with open(path, "wb") as stream:
            os.chmod(path, 0o600)
            side_database.dump(cluster, wanted.database, stream)
        return side_database.load(wanted.cluster, path, wanted.name, wanted.tables), until


def _beside(settings: BackupSettings, given_name: str, database: str) -> tuple[Cluster, str]:
    cluster = settings.find_cluster()
    if not cluster.running:
        raise RingstandError(
            f"Failed to restore {database!r} into a database beside: the cluster {cluster} is not running. "
            f"Start it: systemctl start {cluster.unit}"
        )
    return cluster, side_database.choose_name(database, given_name, side_database.names(cluster), time.time())


def _sizes(cluster: Cluster) -> dict[str, int]:
    return {str(name): int(size) for name, size in cluster.query(_SIZES_SQL).items()}

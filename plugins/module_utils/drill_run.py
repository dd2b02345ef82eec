# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A restore drill: the newest backup is really restored, looked at from all sides, and thrown away.

The cluster goes into a scratch cluster, with all WAL up to now. There pg_amcheck reads every page, rows are compared
with those counted before the backup and now, the rows of our own are looked for, and one dump is restored into a
database of its own. One set of files is restored and read back. Places, dumps and sets take turns, and dumps and sets
that failed are tried again each time.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

from . import (
    backup_canary,
    backup_dumps,
    backup_space,
    drill_clients,
    drill_dumps,
    drill_expectations,
    restic,
    restore_plan,
    restore_replay,
    scratch_cluster,
)
from .backup_problems import Problem
from .backup_settings import BackupSettings
from .drill_record import LOCAL, OFFSITE, Record
from .errors import RingstandError
from .import_script import Facts
from .ledger import utc
from .postgresql_cluster import Cluster
from .restore_plan import Plan
from .restore_state import SpokenSteps

_FAILURES = (RingstandError, OSError, ValueError, subprocess.SubprocessError)
_MIB = 2**20
# Beside the restored data: WAL while it is replayed.
_WAL_BYTES = 512 * _MIB
_SHOWN = 20


def files_dir(settings: BackupSettings) -> str:
    """Where a drill restores files to."""
    return os.path.join(settings.directory, "drill")


def clean_up(settings: BackupSettings) -> None:
    """Remove what a drill that was killed has left; for the holder of the lock of drills."""
    shutil.rmtree(files_dir(settings), ignore_errors=True)
    if settings.cluster:
        with contextlib.suppress(RingstandError):
            scratch = scratch_cluster.scratch_of(settings.find_cluster())
            if os.path.lexists(scratch.directory):
                scratch_cluster.destroy(scratch)


class Drill:
    """One drill; what it comes to is in ``details``, ``problems`` and the record of what is proven.

    With ``offsite`` it is the second place's turn, whosever it would be.
    """

    def __init__(
        self, settings: BackupSettings, record: Record, now: float, say: Callable[[str], None], offsite: bool = False
    ) -> None:
        self._places = [LOCAL, OFFSITE] if settings.offsite else [LOCAL]
        self.place = record.next_of("clusters", self._places)
        if settings.offsite and (offsite or not any(record.tried.get(f"clusters/{name}") for name in self._places)
                                 and not record.clusters):
            self.place = OFFSITE  # what nobody has ever read is the least certain
        self._settings = settings.at_offsite() if self.place == OFFSITE else settings
        self._record, self._now, self._say = record, now, say
        self.phases: dict[str, float] = {}
        self.details: dict[str, Any] = {"from": self.place, "phases": self.phases}
        self.problems: list[Problem] = []

    def run(self) -> None:
        """Run all of it; whatever goes wrong is a problem, and only an interruption is raised."""
        clean_up(self._settings)
        try:
            self._record.tried[f"clusters/{self.place}"] = self._now
            if self._settings.cluster:
                self._guarded(self._cluster)
                self._others()
            elif self._settings.elsewhere:
                self._only_read("The dumps are only read back, when they are made: this host has no cluster for them")
            self._guarded(self._files)
        finally:
            clean_up(self._settings)

    def _guarded(self, part: Callable[[], None]) -> None:
        try:
            part()
        except _FAILURES as error:
            details = error.details if isinstance(error, RingstandError) else {}
            segment = str(details.get("segment", ""))
            self._problem(segment, str(error), bool(segment))
            if details.get("output"):
                self._say(str(details["output"]))

    def _problem(self, file: str, reason: str, corruption: bool = True) -> None:
        problem = Problem("drill", file, reason, corruption)
        self.problems.append(problem)
        self._say(str(problem))

    def _only_read(self, text: str) -> None:
        self.details.setdefault("only_read", []).append(text)

    def _others(self) -> None:
        """What the last drill from another place has found stays a problem until a drill from there is good."""
        for place in self._places:
            if place != self.place and self._record.failed("clusters", place):
                when = utc(self._record.tried[f"clusters/{place}"])
                self._problem("", f"the drill of {when} from {place} failed; the next one is from there again", False)

    @contextlib.contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        self._say(f"{name} …")
        began = time.monotonic()
        try:
            yield
        finally:
            self.phases[name] = round(self.phases.get(name, 0.0) + time.monotonic() - began, 2)

    # The cluster

    def _cluster(self) -> None:
        live = self._settings.find_cluster()
        if not live.running:
            raise RingstandError(f"Failed to drill: the cluster {live} is not running, so there is nothing to compare")
        with self._phase("count"):
            before = drill_expectations.look(live)
            canary = backup_canary.write(live)
        with self._phase("archive"):
            plan = restore_plan.aside(self._settings, None, flush=self.place == LOCAL)
        backup = plan.choice.backup
        self.details.update(
            label=backup.label, backup=utc(backup.finished), bytes=backup.size, segments=len(plan.choice.segments)
        )
        need = backup.size * 21 // 20 + _WAL_BYTES
        require_space(os.path.dirname(live.data_dir), need, f"the backup {backup.label}")
        began = time.monotonic()
        with scratch_cluster.restored(plan, _Timed(self._say, self.phases), idle=True) as (scratch, recovered):
            self.details["recovered_to"] = recovered
            self.phases["replay"] = round(time.monotonic() - began - self.phases.get("restore", 0.0), 2)
            self._compare(plan, live, scratch, before, canary)
            self._pages(scratch)
            found = len(self.problems)
            if not found:
                self._record.clusters[self.place] = {"label": backup.label, "at": self._now}
            self._dumps(scratch)

    def _compare(
        self, plan: Plan, live: Cluster, scratch: Cluster, before: drill_expectations.Databases,
        canary: backup_canary.Canary,
    ) -> None:
        with self._phase("compare"):
            earlier = drill_expectations.of_backup(drill_expectations.known(live), plan.choice.backup.started)
            # What has gone elsewhere may lag behind; it must have all up to where its archive ends.
            lags = canary.segment[8:] > plan.choice.segments[-1][8:]
            tokens = ([] if lags else [canary.token]) + ([str(earlier["token"])] if earlier else [])
            self.details["rows_of_our_own"] = len(tokens)
            for token in backup_canary.missing(scratch, tokens) if tokens else []:
                when = "now" if token == canary.token else f"before the backup {plan.choice.backup.label}"
                self._problem("ringstand.canary", f"the row that was written {when} is not in the restored cluster")
            restored, now = drill_expectations.look(scratch), drill_expectations.look(live, count=False)
            found: dict[str, str] = {}
            references = ([] if lags else [before]) + ([earlier["databases"]] if earlier else [])
            for databases in references:
                found.update(drill_expectations.differences(
                    databases, now, restored,
                    lambda database, table: drill_expectations.recounted(live, database, table),
                ))
            for table, reason in list(found.items())[:_SHOWN]:
                self._problem(table, reason)
            uncounted = drill_expectations.uncounted(restored, references)
            self.details.update(tables_not_counted=len(uncounted), not_counted=uncounted[:_SHOWN])
            self.details["tables"] = sum(len(one["tables"]) for one in restored.values())
            self.details["databases"] = len(restored)

    def _pages(self, scratch: Cluster) -> None:
        with self._phase("promote"):
            restore_replay.promote(scratch)
        with self._phase("amcheck"):
            for line in drill_clients.check_pages(scratch):
                self._problem("pg_amcheck", line)

    # Dumps

    def _dumps(self, scratch: Cluster) -> None:
        newest = {dump.database: dump for dump in backup_dumps.dumps(self._settings.dumps_dir)}
        readable: dict[str, Facts] = {}
        with self._phase("dump"):
            for database, dump in newest.items():
                try:
                    readable[database] = drill_dumps.examine(dump)
                except RingstandError as error:
                    self._problem(dump.path, error.message)
        for database in self._record.due("dumps", newest):
            self._record.tried[f"dumps/{database}"] = self._now
            if database in readable:
                self._dump(scratch, newest[database], readable[database])

    def _dump(self, scratch: Cluster, dump: backup_dumps.Dump, facts: Facts) -> None:
        self.details.setdefault("dumps", []).append(dump.path)
        try:
            with self._phase("dump"):
                require_space(scratch.data_dir, dump.size * 4, f"the dump {dump.path}")  # its compression
                limit = drill_dumps.restore(scratch, dump, facts)
        except RingstandError as error:
            self._problem(dump.path, error.message)
            return
        if limit:
            self._only_read(f"The dump {dump.path} was read and not restored: {limit}")
        self.details["dump_tables"] = self.details.get("dump_tables", 0) + len(facts.tables)
        self._record.dumps[dump.database] = {"path": dump.path, "at": self._now}

    # Sets of files

    def _files(self) -> None:
        repository = self._settings.repository
        prefix = f"{self.place}/"
        newest = {prefix + snapshot.name: snapshot for snapshot in restic.snapshots(repository)}
        for name in self._record.due("files", newest):
            self._record.tried[f"files/{name}"] = self._now
            self.details.setdefault("files", []).append(newest[name].name)
            self._guarded(lambda name=name: self._set(name, newest[name]))  # type: ignore[misc]

    def _set(self, name: str, snapshot: restic.Snapshot) -> None:
        repository, directory = self._settings.repository, files_dir(self._settings)
        with self._phase("files"):
            need = restic.restored_bytes(repository, snapshot.id)
            require_space(self._settings.directory, need, f"the files of {snapshot.name!r}")
            shutil.rmtree(directory, ignore_errors=True)
            os.mkdir(directory, 0o700)
            try:
                restic.restore(repository, snapshot.id, directory, verify=True)
            except RingstandError as error:
                self._problem(f"the files of {snapshot.name!r}", error.message)
                return
        self._record.files[name] = {"id": snapshot.id, "at": self._now}


class _Timed(SpokenSteps):
    """Tells the restoring of files from the replay of WAL, which begins with the second step."""

    def __init__(self, say: Callable[[str], None], phases: dict[str, float]) -> None:
        super().__init__(say)
        self._phases, self._began = phases, 0.0

    def step(self, text: str) -> None:
        """The first step begins to restore, the next one to replay."""
        super().step(text)
        if not self._began:
            self._began = time.monotonic()
        else:
            self._phases.setdefault("restore", round(time.monotonic() - self._began, 2))


def require_space(directory: str, need: int, what: str) -> None:
    """Raise :class:`RingstandError` when ``need`` bytes and a reserve do not fit on the disk of ``directory``."""
    usage = shutil.disk_usage(directory)
    kept = backup_space.reserve(usage.total)
    if usage.free < need + kept:
        raise RingstandError(
            f"Failed to drill the restore of {what}: {directory} has {usage.free // _MIB} MB free, it needs "
            f"{-(-need // _MIB)} MB, and {kept // _MIB} MB are kept free. A real restore needs that room as well"
        )

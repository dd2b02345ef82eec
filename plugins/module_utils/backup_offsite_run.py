# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The nightly backup to the second place: of the cluster, of files, and whether what is there is still good.

Files are read a second time instead of being copied from the first repository: what happens to one of the two, a full
disk or a damaged pack, then never reaches the other. All of it is looked at by name and size every night, and the
cluster's manifests, info and history files by their contents. Of the other contents a seventh of the files' is read
each night, and the cluster's whenever a full backup was made: what is elsewhere is read through a network, which may
cost money.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from . import (
    backup_checksums,
    backup_owner,
    backup_redis,
    backup_shipping,
    drill_record,
    drill_unit,
    pgbackrest,
    restic,
)
from .backup_due import backup_kind
from .backup_offsite import Offsite
from .backup_problems import FAILURES, Problem
from .backup_settings import KEY_PATH, STATE_DIR, BackupSettings
from .backup_ssh import DIRECTORY
from .errors import RingstandError
from .ledger import utc
from .pgbackrest import Stanza

RECORD_PATH = os.path.join(STATE_DIR, "offsite.json")
SHARES = 7
# Small files that are read; each is a process that waits for the network for most of its time.
AT_ONCE = 4
DUMPS = "dumps"
Say = Callable[[str], None]


def run(settings: BackupSettings, now: float, say: Say, details: dict[str, Any], before: Mapping[str, Any],
        verify_only: bool = False, full: bool = False) -> list[Problem]:
    """Back up to the second place and look at it; returns what is wrong. One step that fails keeps none from running.

    ``before`` are the details of the last time: while something is damaged, everything is read every night.
    """
    if settings.offsite is None:
        return []
    where = details["where"] = settings.offsite.where
    before = before if before.get("where", where) == where else {}
    details["verified"] = before.get("verified")
    try:
        backup_owner.check_own(settings)
    except backup_owner.NotOursError as error:
        return [Problem("offsite", "", error.message)]
    job = _Job(settings.at_offsite(), settings.offsite, now, full, details)
    everything = verify_only or bool(before.get("damaged"))
    steps: list[tuple[str, Callable[[], list[Problem]]]] = []
    # Files first: they say whose the place is, and the cluster may take hours.
    steps += [] if verify_only else [("files", job.files)]
    if settings.cluster:
        steps += [] if verify_only else [("the cluster", job.cluster)]
    steps.append(("what is there", lambda: job.verify(everything)))
    problems: list[Problem] = []
    for what, step in steps:
        say(f"offsite: {what} …")
        try:
            problems += step()
        except FAILURES as error:
            problems.append(Problem("offsite", "", str(error)))
    if all(problem in job.ended for problem in problems) and not verify_only:
        job.prune()
    return problems


class _Job:
    def __init__(
        self, settings: BackupSettings, offsite: Offsite, now: float, full: bool, details: dict[str, Any]
    ) -> None:
        self._settings, self._offsite, self._now, self._full, self._details = settings, offsite, now, full, details
        # What is wrong, but with nothing that a restore may need from now on: the retention removes it.
        self.ended: list[Problem] = []

    def cluster(self) -> list[Problem]:
        stanza = self._settings.stanza
        information = pgbackrest.information(stanza)
        if not information.exists:
            pgbackrest.create(stanza)
        elif pgbackrest.lags(information, pgbackrest.information(Stanza(stanza.name, ""))):
            pgbackrest.upgrade(stanza)
            backup_shipping.begin_anew()
        fulls = [float(backup.finished) for backup in information.good if backup.kind == "full"]
        kind = "full" if self._full else backup_kind(self._now, self._settings.hour, max(fulls, default=None))
        backup, problems = pgbackrest.back_up(stanza, kind)
        self._details.update(label=backup.label, kind=backup.kind, bytes=backup.repository_size)
        return [Problem("offsite", item.file, item.reason, item.corruption) for item in problems]

    def files(self) -> list[Problem]:
        settings, repository, problems = self._settings, self._settings.repository, []
        if not restic.ensure(repository):
            restic.unlock(repository)
        with backup_redis.snapshot(settings.redis_dir) as redis:
            for name, paths in self._sets(redis):
                try:
                    found = restic.back_up(repository, name, paths, [KEY_PATH, DIRECTORY], backup_owner.mark())
                    problems += [Problem("offsite", item.file, item.reason, item.corruption) for item in found]
                except FAILURES as error:
                    problems.append(Problem("offsite", name, str(error)))
        return problems

    def _sets(self, redis: list[str]) -> Iterator[tuple[str, list[str]]]:
        settings = self._settings
        yield from sorted(settings.paths.items())
        if redis:
            yield backup_redis.SET, redis
        if self._offsite.dumps:
            yield DUMPS, [settings.dumps_dir, settings.globals_dir]

    def verify(self, everything: bool) -> list[Problem]:
        known = backup_checksums.load(RECORD_PATH, self._offsite.where)
        found = {name: value for name, value in known.items() if name.startswith("snapshot/")}
        problems: list[Problem] = []
        judged: list[Problem] = []
        if self._settings.cluster:
            compared, judged, information = self._verify_cluster(known, everything)
            of_the_cluster, ended = backup_checksums.split(compared.problems + judged, information)
            problems += of_the_cluster + ended
            self.ended = [Problem("offsite", item.file, item.reason, item.corruption) for item in ended]
            found.update(compared.trusted({name: value for name, value in known.items() if name not in found}, judged))
        snapshots = self._snapshots()
        for name in sorted(found.keys() - snapshots.keys()):
            if name.startswith("snapshot/"):
                problems.append(Problem("offsite", name, f"this snapshot of {found[name]!r} is missing", True))
        share = "" if everything else f"{int(self._now // 86_400) % SHARES + 1}/{SHARES}"
        of_the_files = restic.check(self._settings.repository, share)
        problems += of_the_files
        self._details["damaged"] = bool(judged or of_the_files)
        backup_checksums.save(RECORD_PATH, self._offsite.where, {**found, **snapshots})
        return [Problem("offsite", item.file, item.reason, item.corruption) for item in problems]

    def _verify_cluster(
        self, known: Mapping[str, str], everything: bool
    ) -> tuple[backup_checksums.Comparison, list[Problem], pgbackrest.Information]:
        stanza = self._settings.stanza
        information = pgbackrest.information(stanza)
        if not information.good:
            raise RingstandError(f"Failed to verify {stanza.repository}: it has no complete backup")
        cluster = {name: size for name, size in known.items() if not name.startswith("snapshot/")}
        listed = self._listing()
        compared = backup_checksums.compare_listing({**listed, **self._sums(listed)}, cluster, information)
        compared.problems.extend(backup_checksums.gaps(compared.files, information))
        judged: list[Problem] = []
        if everything or self._details.get("kind") == "full" or not self._details.get("verified"):
            judged += pgbackrest.verify(stanza) or []
            self._details["verified"] = utc(time.time())
        return compared, judged, information

    def _listing(self) -> dict[str, str]:
        stanza = self._settings.stanza
        found: dict[str, str] = {}
        for part in ("archive", "backup"):
            for name, item in pgbackrest.listing(stanza, f"{part}/{stanza.name}").items():
                if not name.endswith(".pgbackrest.tmp"):
                    found[f"{part}/{stanza.name}/{name}"] = str(item["size"])
        return found

    def _sums(self, names: Iterable[str]) -> dict[str, str]:
        """Of the small files that pgBackRest's verify passes over, each of which is asked for by itself."""
        asked = sorted(filter(backup_checksums.unverified, names))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            digests = pool.map(lambda name: pgbackrest.digest(self._settings.stanza, name), asked)
            return {f"sum/{name}": digest for name, digest in zip(asked, digests)}

    def _snapshots(self) -> dict[str, str]:
        """restic's, as the record of what there is has them."""
        return {f"snapshot/{item.id}": item.name for item in restic.snapshots(self._settings.repository)}

    def prune(self) -> None:
        if drill_unit.holder():
            return  # it could lose what it restores
        proven, stanza = drill_record.load(), self._settings.stanza
        if self._settings.cluster:
            label = str(proven.clusters.get(drill_record.OFFSITE, {}).get("label", ""))
            backups = pgbackrest.information(stanza).backups
            pgbackrest.expire(stanza, drill_record.full_count(backups, label, self._offsite.full_count))
        kept = [proof["id"] for proof in proven.files.values()]
        restic.forget(self._settings.repository, self._offsite.files_days, kept)
        known = backup_checksums.load(RECORD_PATH, self._offsite.where)
        others = {name: value for name, value in known.items() if not name.startswith("snapshot/")}
        backup_checksums.save(RECORD_PATH, self._offsite.where, {**others, **self._snapshots()})

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One run of the backup: every part in its turn, each problem recorded, and only then the removal of what is old.

A part that fails never keeps the next from running. Nothing is removed unless the new backup is there and everything
in its repository that a restore may need from now on has been read back without a fault: the last verified backup is
never the one that goes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import (
    backup_archiving,
    backup_checksums,
    backup_dumps,
    backup_elsewhere,
    backup_offsite_run,
    backup_redis,
    backup_shipping,
    backup_space,
    backup_status,
    backup_watch,
    drill_expectations,
    drill_record,
    drill_run,
    drill_unit,
    pgbackrest,
    restic,
)
from .backup_due import backup_kind, due_parts
from .backup_problems import FAILURES, NIGHTLY, WATCHED, Problem
from .backup_settings import KEY_PATH, STATE_DIR, BackupSettings
from .backup_ssh import DIRECTORY as OFFSITE_DIR

CHECKSUMS_PATH = os.path.join(STATE_DIR, "checksums.json")
FILES_RECORD_PATH = os.path.join(STATE_DIR, "files.json")
Say = Callable[[str], None]


def parts_of(settings: BackupSettings) -> list[str]:
    """The parts that a host has: not every one has a cluster or a second place for its backups."""
    lacking = {"archive", "postgresql"} if not settings.cluster else set()
    lacking |= {"dumps"} if not (settings.cluster or settings.elsewhere) else set()
    lacking |= {"offsite"} if not settings.offsite else set()
    return [part for part in (*WATCHED, *NIGHTLY) if part not in lacking]


def evidence(settings: BackupSettings, status: Mapping[str, Any]) -> tuple[dict[str, float | None], float | None]:
    """When each part was last done, and the last full backup, from the backups themselves as far as they tell it.

    A backup with damaged pages counts: another one an hour later would find them as well, and fill the disk.
    """
    # What failed is tried again in an hour; reading everything back again would only find the same damage.
    last: dict[str, float | None] = {part: backup_status.good_at(status, part) for part in ("dumps", "files")}
    last["verify"] = backup_status.finished_at(status, "verify")
    found = [item for item in status.get("problems") or [] if item.get("part") == "offsite"]
    only_damage = bool(found) and all(item.get("corruption") for item in found)
    last["offsite"] = (backup_status.finished_at if only_damage else backup_status.good_at)(status, "offsite")
    moved = settings.offsite and backup_status.of_another_place(status, settings.offsite.where)
    if moved or (backup_status.failed(status, "offsite") and not only_damage):
        last["offsite"] = None
    backups = pgbackrest.information(settings.stanza).backups if settings.cluster else []
    last["postgresql"] = float(backups[-1].finished) if backups else None
    for part in ("postgresql", "dumps", "files"):
        damaged = part == "postgresql" and backups and backups[-1].error
        if backup_status.failed(status, part) and not damaged:
            last[part] = None
    full = [float(backup.finished) for backup in backups if backup.kind == "full"]
    return last, max(full, default=None)


def run(
    settings: BackupSettings, now: float, say: Say, if_due: bool = False, verify_only: bool = False, full: bool = False
) -> dict[str, Any]:
    """Run what is due, everything, or only the verification; returns the status, which is in the status file as well.

    The caller holds the lock. The archiver and the room for backups are looked at in every run.
    """
    os.makedirs(STATE_DIR, mode=0o750, exist_ok=True)
    before = backup_status.load()
    known = parts_of(settings)
    everything = [part for part in known if part in NIGHTLY]
    kind = "full"
    try:
        last, last_full = evidence(settings, before)
        parts = [part for part in due_parts(now, settings.hour, last) if part in known]
        kind = "full" if full else backup_kind(now, settings.hour, last_full)
    except FAILURES as error:
        say(f"what is due cannot be told: {error}")
        parts = everything
    if verify_only:
        parts = [part for part in ("verify", "offsite") if part in known]
    elif not if_due:
        parts = everything
    runner = _Runner(settings, now, kind, say)
    runner.earlier = before.get("parts") or {}
    runner.offsite_options = {"verify_only": verify_only, "full": full}
    for part in known:
        news = part == "verify" and any(runner.parts[name]["result"] == "ok" for name in parts if name in runner.parts)
        if part in parts or news or (part in WATCHED and not verify_only):
            runner.run_part(part)
    if not drill_unit.holder():
        drill_run.clean_up(settings)
        if parts:
            runner.prune(parts)
    return backup_status.update(runner.parts, runner.problems, time.time())


class _Runner:
    """Collects what the parts of one run come to."""

    def __init__(self, settings: BackupSettings, now: float, kind: str, say: Say) -> None:
        self._settings, self._now, self._kind, self._say = settings, now, kind, say
        self._proven = drill_record.load()
        self._unsound: set[str] = set()
        self.parts: dict[str, dict[str, Any]] = {}
        self.problems: list[Problem] = []
        self.earlier: Mapping[str, Mapping[str, Any]] = {}
        self.offsite_options: dict[str, bool] = {}

    def run_part(self, part: str) -> None:
        """Run one part; whatever it raises is a problem of this part alone."""
        self._say(f"{part} …")
        began = time.monotonic()
        details: dict[str, Any] = {}
        try:
            found = getattr(self, f"_{part}")(details)
        except FAILURES as error:
            found = [Problem(part, "", str(error))]
        for problem in found:
            self._say(str(problem))
        self.problems += found
        seconds = round(time.monotonic() - began, 2)
        self.parts[part] = {"result": "failed" if found else "ok", "seconds": seconds, **details}

    def _archive(self, details: dict[str, Any]) -> list[Problem]:
        if not self._settings.cluster:
            return []
        cluster, before = self._settings.find_cluster(), self.earlier.get("archive") or {}
        found, problems = backup_watch.look(cluster, self._settings.stanza, before, self._now)
        details.update(found)
        if self._settings.offsite:
            problems += backup_shipping.problems(backup_shipping.load(), time.time())
        return problems

    def _space(self, details: dict[str, Any]) -> list[Problem]:
        backups = pgbackrest.information(self._settings.stanza).backups if self._settings.cluster else []
        found, problems = backup_space.watch(self._settings.directory, backups)
        details.update(found)
        if self._settings.offsite:
            elsewhere, more = backup_space.watch_elsewhere(self._settings.offsite, backups)
            details.update(elsewhere)
            problems += more
        return problems

    def _offsite(self, details: dict[str, Any]) -> list[Problem]:
        earlier, options = self.earlier.get("offsite") or {}, self.offsite_options
        return backup_offsite_run.run(self._settings, self._now, self._say, details, earlier, **options)

    def _postgresql(self, details: dict[str, Any]) -> list[Problem]:
        settings = self._settings
        cluster = settings.find_cluster()
        backups = pgbackrest.information(settings.stanza).backups
        need = backup_space.needed(backups, self._kind, cluster.data_dir)
        backup_space.require_space(settings.directory, need, "the cluster")
        try:
            drill_expectations.record(cluster)
        except FAILURES as error:  # a backup that nothing can be compared with is better than none
            self._say(f"rows are not counted: {error}")
        backup, problems = pgbackrest.back_up(settings.stanza, self._kind)
        details.update(label=backup.label, kind=backup.kind, bytes=backup.repository_size)
        return problems

    def _dumps(self, details: dict[str, Any]) -> list[Problem]:
        settings, problems = self._settings, []
        done: dict[str, str] = {}
        older = {dump.database: dump.size for dump in backup_dumps.dumps(settings.dumps_dir)}
        cluster = settings.find_cluster() if settings.cluster else None
        if cluster:
            try:
                backup_space.require_space(settings.directory, 1 << 20, "the roles")
                backup_dumps.dump_globals(settings, cluster, self._now)
            except FAILURES as error:
                problems.append(Problem("dumps", "", str(error)))
        here = backup_dumps.databases(settings, cluster) if cluster else []
        for name in [*here, *map(backup_elsewhere.folder, settings.elsewhere)]:
            try:
                backup_space.require_space(settings.directory, older.get(name, 0), f"the database {name!r}")
                if cluster and name in here:
                    done[name] = backup_dumps.dump(settings, cluster, name, self._now).path
                else:
                    app = name[: -len(backup_elsewhere.SUFFIX)]
                    done[name] = backup_elsewhere.dump(settings, app, self._now).path
            except FAILURES as error:
                problems.append(Problem("dumps", name, str(error)))
        details["paths"] = done
        return problems

    def _files(self, details: dict[str, Any]) -> list[Problem]:
        settings, problems = self._settings, []
        repository = settings.repository
        if not restic.ensure(repository):
            restic.unlock(repository)
        known = {snapshot.name for snapshot in restic.snapshots(repository)}
        with backup_redis.snapshot(settings.redis_dir) as redis:
            for name, paths in [*sorted(settings.paths.items()), (backup_redis.SET, redis)]:
                try:
                    size = 0 if name in known else sum(backup_space.tree_bytes(path) for path in paths)
                    backup_space.require_space(settings.directory, size, f"the files of {name!r}")
                    problems += restic.back_up(repository, name, paths, [KEY_PATH, OFFSITE_DIR])
                except FAILURES as error:
                    problems.append(Problem("files", name, str(error)))
        details["sets"] = sorted(settings.paths)
        return problems

    def _verify(self, details: dict[str, Any]) -> list[Problem]:
        problems: list[Problem] = []
        steps: list[tuple[str, Callable[[dict[str, Any]], tuple[list[Problem], list[Problem]]]]] = []
        steps += [("postgresql", self._verify_repository)] if self._settings.cluster else []
        steps += [("dumps", self._verify_dumps)] if self._settings.cluster or self._settings.elsewhere else []
        for part, step in (*steps, ("files", self._verify_files)):
            try:
                found, ended = step(details)
            except FAILURES as error:
                found, ended = [Problem("verify", "", str(error))], []
            problems += found + ended
            self._unsound |= {part} if found else set()
        details["sound"] = not self._unsound
        return problems

    # Each returns what is wrong, and what is wrong but concerns nothing that a restore may need from now on.

    def _verify_repository(self, details: dict[str, Any]) -> tuple[list[Problem], list[Problem]]:
        stanza, known = self._settings.stanza, backup_checksums.load(CHECKSUMS_PATH, self._settings.stanza.repository)
        information = pgbackrest.information(stanza)
        if not information.exists:
            reason = f"the repository has no backups of {stanza.name!r}: {information.message}"
            return [Problem("verify", "", reason)], []
        compared = backup_checksums.compare(stanza.repository, known, information)
        gaps = backup_checksums.gaps(compared.files, information, self._segments_per_log())
        problems = compared.problems + gaps
        judged = pgbackrest.verify(stanza)
        details["pgbackrest_verify"] = "not in this version" if judged is None else "done"
        backup_checksums.save(CHECKSUMS_PATH, stanza.repository, compared.trusted(known, judged or []))
        # What the sums have found, verify finds again under the names of the files inside.
        named = {problem.file for problem in problems}
        news = [
            problem for problem in judged or []
            if not any(problem.file and problem.file.split("/")[0] in name for name in named)
        ]
        found, ended = (
            [Problem(item.part, self._full_path(item.file), item.reason, item.corruption) for item in items]
            for items in backup_checksums.split(problems + news, information)
        )
        return found, ended

    def _full_path(self, name: str) -> str:
        for below in ("", f"backup/{self._settings.cluster}", f"archive/{self._settings.cluster}"):
            path = os.path.join(self._settings.stanza.repository, below, name)
            if name and (os.path.exists(path) or not below and name.startswith(("backup/", "archive/"))):
                return path
        return name

    def _segments_per_log(self) -> int:
        cluster = self._settings.find_cluster()
        if not cluster.running:
            return backup_checksums.SEGMENTS_PER_LOG
        return 2**32 // int(backup_archiving.archiver(cluster)["segment_bytes"])

    def _verify_dumps(self, _details: dict[str, Any]) -> tuple[list[Problem], list[Problem]]:
        newest = (self.parts.get("dumps") or {}).get("paths") or (self.earlier.get("dumps") or {}).get("paths") or {}
        found = backup_dumps.verify(self._settings, newest.values())
        ended = backup_dumps.superseded(found)
        return [problem for problem in found if problem not in ended], ended

    def _verify_files(self, _details: dict[str, Any]) -> tuple[list[Problem], list[Problem]]:
        repository = self._settings.repository
        known = backup_checksums.load(FILES_RECORD_PATH, repository.directory)
        judged = restic.check(repository)
        problems = restic.differing(known, repository, not judged)
        # What is gone stays recorded, so that every run reports it.
        record = {**restic.recorded(repository), **{item.file: known[item.file] for item in problems}}
        backup_checksums.save(FILES_RECORD_PATH, repository.directory, record)
        # That restic finds the repository at fault says nothing more once a file of it has been named.
        return problems + [item for item in judged if item.file != repository.directory or not problems], []

    def _forget_files(self, days: int) -> None:
        repository = self._settings.repository
        restic.forget(repository, days, [proof["id"] for proof in self._proven.files.values()])
        backup_checksums.save(FILES_RECORD_PATH, repository.directory, restic.recorded(repository))

    def prune(self, parts: Sequence[str]) -> None:
        """Remove what is older than the retention, of those parts whose new backup is there and verified.

        What a drill has proven last stays, however old. No drill may be under way: it could lose what it restores.
        """
        if "verify" not in self.parts or "sound" not in self.parts["verify"]:
            return
        retention = self._settings.retention
        for part, remove in (
            ("postgresql", self._expire),
            ("dumps", lambda: self._prune_dumps(retention.dump_days)),
            ("files", lambda: self._forget_files(retention.files_days)),
        ):
            if part not in parts or part in self._unsound or self.parts[part]["result"] != "ok":
                continue
            try:
                remove()
            except FAILURES as error:
                self.parts[part]["result"] = "failed"
                self.problems.append(Problem(part, "", f"what is old was not removed: {error}"))

    def _expire(self) -> None:
        stanza, wanted = self._settings.stanza, self._settings.retention.full_count
        label = str(self._proven.clusters.get(drill_record.LOCAL, {}).get("label", ""))
        pgbackrest.expire(stanza, drill_record.full_count(pgbackrest.information(stanza).backups, label, wanted))

    def _prune_dumps(self, days: int) -> None:
        settings, dumped = self._settings, self.parts["dumps"]["paths"]
        for database in dumped:
            keep = str(self._proven.dumps.get(database, {}).get("path", ""))
            backup_dumps.prune(os.path.join(settings.dumps_dir, database), "dump", days, self._now, keep)
        backup_dumps.prune_gone(settings, dumped, days, self._now)
        if settings.cluster:
            backup_dumps.prune(settings.globals_dir, "sql", days, self._now)

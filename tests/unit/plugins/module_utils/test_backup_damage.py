"""Damage that lies before a newer full backup is reported, and keeps no retention from removing it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import (
    backup_checksums,
    backup_dumps,
    backup_offsite,
    backup_offsite_run,
    backup_run,
    backup_settings,
    pgbackrest,
    restic,
)
from ansible_collections.ringstand.flask.plugins.module_utils.backup_problems import Problem
from ansible_collections.ringstand.flask.plugins.module_utils.pgbackrest import Backup, Information

SUM = "-" + "0" * 40 + ".zst"


def wal(number: int, timeline: int = 2, identity: int = 1, above: str = "archive/main/") -> str:
    return f"{above}17-{identity}/{timeline:08X}00000000/{timeline:08X}{number:016X}{SUM}"


def backup(label: str, start: int, stop: int, error: bool = False) -> Backup:
    kind = "diff" if "_" in label else "full"
    lines = [f"00000002{number:016X}" for number in (start, stop)]
    return Backup(label, kind, 1, 1_796_083_200, error, 9, 9, *lines)


OLD, OLD_DIFF, NEW, NEW_DIFF = "20261121-120000F", "20261121-120000F_20261122-120000D", "20261128-120000F", (
    "20261128-120000F_20261129-120000D")
INFORMATION = Information(True, "", [backup(OLD, 3, 4), backup(OLD_DIFF, 6, 6), backup(NEW, 9, 10),
                                     backup(NEW_DIFF, 14, 14)])


def gap(first: int, last: int = 0) -> str:
    return f"archive: ????????{first:016X}" + (f" to ????????{last:016X}" if last else "")


@pytest.mark.parametrize(("files", "ended"), [
    ([wal(5), wal(8), wal(11)], [wal(5), wal(8)]),
    ([wal(5, above=""), wal(5, 1)], [wal(5, above=""), wal(5, 1)]),  # as verify has it; a timeline that was left
    ([wal(99, identity=0)], [wal(99, identity=0)]),  # of the version before an upgrade
    ([gap(5), gap(6, 8), gap(12)], [gap(5), gap(6, 8)]),
    ([wal(9)], []),  # the newest full backup is damaged, and this is not before the one before
    ([wal(9), wal(2)], [wal(2)]),
    ([gap(8, 9), wal(2)], [wal(2)]),
    ([f"backup/main/{OLD}/bundle/1", f"{OLD_DIFF}/backup.manifest", OLD], [
        f"backup/main/{OLD}/bundle/1", f"{OLD_DIFF}/backup.manifest", OLD]),
    ([f"backup/main/{NEW_DIFF}/bundle/1", wal(5)], [wal(5)]),
    ([f"backup/main/{NEW}/bundle/1", wal(5), wal(2)], [wal(2)]),
    (["archive/main/17-1/00000001.history", "archive/main/17-1/00000002.history"],
     ["archive/main/17-1/00000001.history"]),
    ([f"backup/main/backup.history/2026/{NEW}.manifest.zst"], [f"backup/main/backup.history/2026/{NEW}.manifest.zst"]),
    (["archive/main/archive.info", "backup/main/backup.info.copy", "", "17-1"], []),
])
def test_what_lies_before_the_newest_sound_full_backup(files: list[str], ended: list[str]) -> None:
    problems = [Problem("verify", name, "it is damaged", True) for name in files]
    found, closed = backup_checksums.split(problems, INFORMATION)
    assert [item.file for item in closed] == ended
    assert [item.file for item in found] == [name for name in files if name not in ended]
    assert all("before 2026-12-01T00:00:00Z, cannot be" in item.reason or "no restore needs it" in item.reason
               for item in closed)


def test_nothing_lies_before_no_sound_full_backup() -> None:
    problem = Problem("verify", wal(1), "", True)
    for backups in ([], [backup(NEW, 9, 10, error=True)], [backup(OLD_DIFF, 6, 6)]):
        assert backup_checksums.split([problem], Information(True, "", backups)) == ([problem], [])


MANIFEST, HISTORY, INFO = f"backup/main/{NEW}/backup.manifest", "archive/main/17-1/00000002.history", (
    "backup/main/backup.info")


@pytest.mark.parametrize("damaged", [MANIFEST, f"{MANIFEST}.copy", HISTORY, INFO, f"{INFO}.copy",
                                     "archive/main/archive.info"])
def test_damage_that_keeps_the_size_is_found_elsewhere_in_every_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, damaged: str
) -> None:
    names = [MANIFEST, HISTORY, INFO, "archive/main/archive.info"]
    names += [f"{name}.copy" for name in names if name != HISTORY]
    names += [f"backup/main/{NEW}/bundle/1", "backup/main/backup.history/2026/x.manifest.zst"]
    contents = {name: name.replace(".copy", "") for name in names}
    read: list[str] = []

    def digest(_stanza: pgbackrest.Stanza, name: str) -> str:
        read.append(name)
        return f"digest of {contents[name]}"

    place = backup_offsite.parse(backup_offsite.describe({"type": "path", "path": str(tmp_path)}, "vm1", 2, 30))
    assert place
    settings = backup_settings.BackupSettings(offsite=place).at_offsite()
    information = Information(True, "", [backup(NEW, 9, 10)])
    listing = {name: {"size": 9} for name in contents}
    monkeypatch.setattr(backup_offsite_run, "RECORD_PATH", str(tmp_path / "offsite.json"))
    monkeypatch.setattr(pgbackrest, "information", lambda _stanza: information)
    monkeypatch.setattr(pgbackrest, "listing", lambda _stanza, part: {
        name.removeprefix(f"{part}/"): item for name, item in listing.items() if name.startswith(f"{part}/")})
    monkeypatch.setattr(pgbackrest, "digest", digest)
    monkeypatch.setattr(pgbackrest, "verify", lambda _stanza: [])
    monkeypatch.setattr(restic, "snapshots", lambda _repository: [])
    monkeypatch.setattr(restic, "check", lambda *_of: [])

    def verify() -> list[str]:
        job = backup_offsite_run._Job(settings, place, 0.0, False, {"verified": "yes"})
        found = job.verify(False)
        assert not job.ended and {problem.part for problem in found} <= {"offsite"}
        return [problem.file for problem in found]

    # A record from before there were sums.
    backup_checksums.save(str(tmp_path / "offsite.json"), place.where, dict.fromkeys(contents, "9"))
    assert (verify(), verify()) == ([], [])
    assert set(read) == set(names[:-2])
    contents[damaged] = "something else of the same size"
    assert (verify(), verify()) == ([damaged], [damaged])
    contents[damaged] = damaged.replace(".copy", "")
    assert verify() == []
    # A new backup changes the info file, and its copy.
    contents[INFO] = contents[f"{INFO}.copy"] = "new"
    assert (verify(), verify()) == ([], [])
    if damaged.startswith(MANIFEST):  # and what expires is not missed
        information.backups[0] = backup("20261205-120000F", 19, 20)
        for name in (MANIFEST, f"{MANIFEST}.copy", f"backup/main/{NEW}/bundle/1"):
            del listing[name]
        assert verify() == []
        assert f"sum/{MANIFEST}" not in backup_checksums.load(str(tmp_path / "offsite.json"), place.where)


def test_a_damaged_dump_goes_once_there_is_a_newer_one(tmp_path: Path) -> None:
    settings = backup_settings.BackupSettings(directory=str(tmp_path))
    folder = tmp_path / "dumps" / "shop"
    folder.mkdir(parents=True)
    names = [f"2026110{day}T020000Z.dump" for day in (1, 2, 3)]
    for name in names:
        (folder / name).write_text("x")
        (folder / f"{name}.sha256").write_text(f"{restic.file_sha256(str(folder / name))}  {name}\n")
    (folder / names[0]).unlink()
    (folder / names[1]).write_text("y")
    found = backup_dumps.verify(settings)
    assert len(found) == 2 and backup_dumps.superseded(found) == found
    backup_dumps.prune(str(folder), "dump", 1, 1_796_083_200)
    assert sorted(path.name for path in folder.iterdir()) == [names[2], f"{names[2]}.sha256"]
    (folder / names[2]).write_text("z")
    assert backup_dumps.superseded(backup_dumps.verify(settings)) == []


def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file: str, files: list[Problem]) -> tuple[list[str], Any]:
    """What one run of verification and retention removes, with a damaged file in the cluster's repository."""
    settings = backup_settings.BackupSettings(directory=str(tmp_path))
    comparison = backup_checksums.Comparison({}, [Problem("verify", file, "it is damaged", True)])
    monkeypatch.setattr(pgbackrest, "information", lambda _stanza: INFORMATION)
    monkeypatch.setattr(pgbackrest, "verify", lambda _stanza: [])
    monkeypatch.setattr(backup_checksums, "compare", lambda *_of: comparison)
    monkeypatch.setattr(backup_checksums, "load", lambda *_of: {})
    monkeypatch.setattr(backup_checksums, "save", lambda *_of: None)
    monkeypatch.setattr(backup_run._Runner, "_segments_per_log", lambda _runner: 256)
    monkeypatch.setattr(backup_run._Runner, "_verify_files", lambda _runner, _details: (files, []))
    removed: list[str] = []
    for part, name in (("postgresql", "_expire"), ("dumps", "_prune_dumps"), ("files", "_forget_files")):
        monkeypatch.setattr(backup_run._Runner, name, lambda *_of, part=part: removed.append(part))
    runner = backup_run._Runner(settings, 1_796_083_200, "diff", lambda _text: None)
    runner.parts = {part: {"result": "ok"} for part in ("postgresql", "dumps", "files")}
    runner.run_part("verify")
    runner.prune(["postgresql", "dumps", "files", "verify"])
    assert [problem.file for problem in runner.problems] == [
        f"{tmp_path}/pgbackrest/{file}", *(problem.file for problem in files)]
    return removed, runner.parts["verify"]["sound"]


def test_damage_keeps_only_its_own_repository_and_not_for_ever(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pack = Problem("verify", "restic/data/00/00ff", "it is damaged", True)
    assert run(monkeypatch, tmp_path, wal(5), []) == (["postgresql", "dumps", "files"], True)
    assert run(monkeypatch, tmp_path, wal(12), []) == (["dumps", "files"], False)
    assert run(monkeypatch, tmp_path, wal(5), [pack]) == (["postgresql", "dumps"], False)

"""The judgement of backups: when one is due, what the engines' words mean, and which file is damaged."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import (
    backup_checksums,
    backup_dumps,
    backup_host,
    backup_settings,
    backup_status,
    pgbackrest,
    restic,
)
from ansible_collections.ringstand.flask.plugins.module_utils.backup_due import backup_kind, due_parts, last_slot
from ansible_collections.ringstand.flask.plugins.module_utils.backup_host import choose_key
from ansible_collections.ringstand.flask.plugins.module_utils.backup_problems import Problem
from ansible_collections.ringstand.flask.plugins.module_utils.backup_space import require_space
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.plugin_utils import key_escrow

HOUR, DAY = 3600, 86_400
ALL_PARTS = ["postgresql", "dumps", "files", "verify", "offsite"]


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


MIDNIGHT = 1_795_219_200  # 2026-11-21T00:00:00Z


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (MIDNIGHT + 2 * HOUR, MIDNIGHT + 2 * HOUR),
        (MIDNIGHT + 2 * HOUR - 1, MIDNIGHT - DAY + 2 * HOUR),
        (MIDNIGHT + 23 * HOUR, MIDNIGHT + 2 * HOUR),
        (MIDNIGHT + HOUR, MIDNIGHT - DAY + 2 * HOUR),
    ],
)
def test_the_last_slot(now: float, expected: float) -> None:
    assert last_slot(now, 2) == expected


def test_a_slot_follows_the_clock_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    assert last_slot(MIDNIGHT + 12 * HOUR, 2) == MIDNIGHT + HOUR
    # The day with 25 hours: 03:00 of 2026-10-25 is at 02:00 UTC, that of the day before was at 01:00 UTC.
    assert last_slot(1_792_918_800, 3) == 1_792_893_600
    assert last_slot(1_792_893_600 - 1, 3) == 1_792_893_600 - 25 * HOUR


@pytest.mark.parametrize(
    ("now", "done", "due"),
    [
        (MIDNIGHT + 3 * HOUR, None, True),  # never: at once
        (MIDNIGHT + 12 * HOUR, MIDNIGHT + 3 * HOUR, False),
        (MIDNIGHT + HOUR, MIDNIGHT - DAY + 3 * HOUR, False),  # not before the hour
        (MIDNIGHT + 2 * HOUR + 60, MIDNIGHT - DAY + 3 * HOUR, True),
        (MIDNIGHT + 2 * HOUR + 60, MIDNIGHT - 60, True),  # one by hand in the evening does not replace the night's
        (MIDNIGHT + 20 * HOUR, MIDNIGHT - 3 * DAY, True),  # the host was off
        (MIDNIGHT + 12 * HOUR, MIDNIGHT + 700 * DAY, True),  # made under a clock that was years ahead
        (MIDNIGHT + 12 * HOUR, MIDNIGHT + 12 * HOUR + 60, False),  # set back by a minute
    ],
)
def test_a_part_is_due(now: float, done: float | None, due: bool) -> None:
    assert due_parts(now, 2, dict.fromkeys(ALL_PARTS, done)) == (ALL_PARTS if due else [])


def test_a_full_backup_is_due_every_seventh_night() -> None:
    first = MIDNIGHT + 2 * HOUR + 60
    kinds = [backup_kind(first + day * DAY, 2, first) for day in range(1, 9)]
    assert kinds == ["diff"] * 6 + ["full"] * 2
    assert backup_kind(first, 2, None) == "full"


CLEAN = """INFO: verify command begin 2.55.1: --stanza=main
stanza: main
status: ok
  archiveId: 17-1, total WAL checked: 6, total valid WAL: 6
    missing: 0, checksum invalid: 0, size invalid: 0, other: 0
  backup: 20261121-120317F, status: valid, total files checked: 1261, total valid files: 1261
    missing: 0, checksum invalid: 0, size invalid: 0, other: 0
INFO: verify command end: completed successfully (127ms)"""
# As pgBackRest 2.55 and 2.45 write it; each of them ends with 0.
WAL_255 = """INFO: invalid result 17-1/0000000100000000/000000010000000000000003-0db4.zst: [29] raised from local-1
      [FormatError] on 2 retries from 11-15015ms: zst error: [-70] Destination buffer is too small
INFO: stanza: main
      status: error
        archiveId: 17-1, total WAL checked: 6, total valid WAL: 5
          other: 1"""
BUNDLE_255 = """INFO: invalid checksum '20261121-120317F/bundle/1'
INFO: stanza: main
      status: error
        backup: 20261121-120317F, status: invalid, total files checked: 1261, total valid files: 1260
          checksum invalid: 1"""
MISSING_245 = """INFO: file missing '20261121-121307F/pg_data/base/1/112.zst'
        backup: 20261121-121307F, status: invalid, total files checked: 961, total valid files: 960
          missing: 1"""
UNNAMED = """stanza: main
status: error
  backup: 20261121-120317F, status: invalid, total files checked: 1261, total valid files: 960
    missing: 301, checksum invalid: 0, size invalid: 0, other: 0"""


@pytest.mark.parametrize(
    ("text", "files"),
    [
        (CLEAN, []),
        ("INFO: verify command end: completed successfully (127ms)", []),
        (WAL_255, ["17-1/0000000100000000/000000010000000000000003-0db4.zst"]),
        (BUNDLE_255, ["20261121-120317F/bundle/1"]),
        (MISSING_245, ["20261121-121307F/pg_data/base/1/112.zst"]),
        (UNNAMED, ["20261121-120317F"]),
        ("  backup: 20261121-120317F, status: manifest missing, total files checked: 0", ["20261121-120317F"]),
        ("ERROR: [055]: unable to load info file", [""]),
    ],
)
def test_the_words_of_verify(text: str, files: list[str]) -> None:
    problems = pgbackrest.parse_verify(text)
    assert [problem.file for problem in problems] == files
    assert all(problem.corruption for problem in problems)


def test_a_thousand_files_are_told_in_short() -> None:
    text = "\n".join(f"INFO: file missing '20261121-121307F/pg_data/base/1/{number}.zst'" for number in range(1000))
    problems = pgbackrest.parse_verify(text)
    assert len(problems) == pgbackrest.SHOWN_PROBLEMS + 1
    assert problems[-1].reason == "and 980 files more"


def info(*labels: str, wal_start: str = "000000010000000000000002", error: bool = False) -> pgbackrest.Information:
    backups = [pgbackrest.Backup(label, "full", 1, 2, error, 10, 5, wal_start, wal_start) for label in labels]
    return pgbackrest.Information(True, "ok", backups, {})


def test_information_is_read_from_json() -> None:
    text = (
        '[{"archive":[{"database":{"id":1,"repo-key":1},"id":"17-1","max":"000000010000000000000005","min":'
        '"000000010000000000000001"}],"backup":[{"archive":{"start":"000000010000000000000002","stop":'
        '"000000010000000000000003"},"database":{"id":1,"repo-key":1},"error":true,"info":{"delta":1,"repository":'
        '{"delta":2,"size":2},"size":3},"label":"20261121-120317F","prior":null,"timestamp":{"start":4,"stop":5},'
        '"type":"full"}],"name":"main","status":{"code":0,"message":"ok"}}]'
    )
    found = pgbackrest.parse_information(text, "main")
    assert found.archives == {"17-1": ("000000010000000000000001", "000000010000000000000005")}
    assert (found.backups[0].label, found.backups[0].error, found.good) == ("20261121-120317F", True, [])
    assert not pgbackrest.parse_information(text, "other").exists
    missing = '[{"archive":[],"backup":[],"name":"main","status":{"code":1,"message":"missing stanza path"}}]'
    assert pgbackrest.parse_information(missing, "main") == pgbackrest.Information(False, "missing stanza path")
    with pytest.raises(RingstandError, match="Failed to understand"):
        pgbackrest.parse_information("nothing", "main")


WAL = "archive/main/17-1/0000000100000000/00000001000000000000000{}-" + "a" * 40 + ".zst"
MANIFEST = "backup/main/20261121-120317F/backup.manifest"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for name in (*(WAL.format(number) for number in range(1, 6)), MANIFEST, f"{MANIFEST}.copy"):
        path = tmp_path / "repository" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    for name in ("archive/main/archive.info", "backup/main/backup.info"):
        for copy in ("", ".copy"):
            (tmp_path / "repository" / f"{name}{copy}").write_text(name)
    return tmp_path / "repository"


def judge(repository: Path, known: dict[str, str], information: pgbackrest.Information) -> list[str]:
    compared = backup_checksums.compare(str(repository), known, information)
    return [problem.file for problem in compared.problems + backup_checksums.gaps(compared.files, information)]


@pytest.mark.parametrize(
    "name", [WAL.format(3), WAL.format(5), MANIFEST, f"{MANIFEST}.copy", "backup/main/backup.info"]
)
@pytest.mark.parametrize("how", ["flip", "truncate", "empty", "remove"])
def test_damage_is_found_and_named_in_every_run(repository: Path, name: str, how: str) -> None:
    known = backup_checksums.compare(str(repository), {}, info("20261121-120317F")).trusted({}, [])
    assert judge(repository, known, info("20261121-120317F")) == []
    path = repository / name
    content = path.read_bytes()
    if how == "remove":
        path.unlink()
    else:
        damaged = {"flip": bytes([content[0] ^ 1]) + content[1:], "truncate": content[:-1], "empty": b""}
        path.write_bytes(damaged[how])
    for _run in range(2):
        compared = backup_checksums.compare(str(repository), known, info("20261121-120317F"))
        assert name in [problem.file for problem in compared.problems]
        known = compared.trusted(known, [])


def test_what_expires_is_not_missing(repository: Path) -> None:
    known = backup_checksums.compare(str(repository), {}, info("20261121-120317F")).trusted({}, [])
    for name in (WAL.format(1), WAL.format(2), WAL.format(3), MANIFEST, f"{MANIFEST}.copy"):
        (repository / name).unlink()
    later = info("20261128-120317F", wal_start="000000010000000000000004")
    assert judge(repository, known, later) == []


def test_a_gap_in_the_archive_is_named(repository: Path) -> None:
    (repository / WAL.format(4)).unlink()
    assert judge(repository, {}, info("20261121-120317F")) == ["archive: ????????0000000000000004"]
    (repository / WAL.format(3)).unlink()
    assert judge(repository, {}, info("20261121-120317F")) == [
        "archive: ????????0000000000000003 to ????????0000000000000004"
    ]
    (repository / WAL.format(1)).unlink()  # older than the oldest backup
    assert len(judge(repository, {}, info("20261121-120317F"))) == 1


def test_a_gap_is_filled_by_another_timeline(repository: Path) -> None:
    old = repository / WAL.format(4)
    new = repository / "archive/main/17-1/0000000200000000" / old.name.replace("00000001", "00000002", 1)
    new.parent.mkdir()
    old.rename(new)
    assert judge(repository, {}, info("20261121-120317F")) == []


def test_a_new_file_that_verify_suspects_is_not_recorded(repository: Path) -> None:
    compared = backup_checksums.compare(str(repository), {}, info("20261121-120317F"))
    suspect = Problem("verify", WAL.format(5).removeprefix("archive/main/"), "invalid checksum", True)
    assert compared.files.keys() - compared.trusted({}, [suspect]).keys() == {WAL.format(5)}


def test_the_record_is_of_one_repository(tmp_path: Path) -> None:
    path = str(tmp_path / "checksums.json")
    backup_checksums.save(path, "/one", {"a": "b"})
    assert backup_checksums.load(path, "/one") == {"a": "b"}
    assert backup_checksums.load(path, "/other") == {}
    assert os.stat(path).st_mode & 0o077 == 0


def test_a_status_keeps_the_parts_that_did_not_run() -> None:
    dumps = Problem("dumps", "shop", "it failed")
    status = backup_status.merge({}, {"dumps": {"result": "failed"}, "files": {"result": "ok"}}, [dumps], 1000)
    assert (status["result"], status["problems"]) == ("failed", [dumps.as_dict()])
    assert backup_status.good_at(status, "files") == 1000 and backup_status.good_at(status, "dumps") is None
    later = backup_status.merge(status, {"files": {"result": "ok"}}, [], 2000)
    assert (later["result"], later["problems"]) == ("failed", [dumps.as_dict()])
    good = backup_status.merge(later, {"dumps": {"result": "ok"}}, [], 3000)
    assert (good["result"], good["problems"]) == ("ok", [])
    assert backup_status.good_at(good, "files") == 2000


def test_exit_codes() -> None:
    failed, damaged = Problem("dumps", "", "x").as_dict(), Problem("verify", "f", "x", True).as_dict()
    assert [backup_status.exit_code(found) for found in ([], [failed], [failed, damaged])] == [0, 1, 3]


def dump(folder: Path, name: str, text: str = "x") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    (folder / f"{name}.sha256").write_text(f"{restic.file_sha256(str(folder / name))}  {name}\n")
    return folder / name


def test_damaged_dumps_are_named(tmp_path: Path) -> None:
    settings = backup_settings.BackupSettings(directory=str(tmp_path))
    paths = [dump(tmp_path / "dumps" / "shop", f"2026112{day}T020000Z.dump") for day in range(5)]
    assert backup_dumps.verify(settings, map(str, paths)) == []
    paths[0].write_text("y")
    paths[1].write_text("")
    paths[2].unlink()
    Path(f"{paths[3]}.sha256").unlink()
    paths[4].unlink()
    Path(f"{paths[4]}.sha256").unlink()
    found = backup_dumps.verify(settings, [str(paths[4])])
    assert sorted(problem.file for problem in found) == [str(path) for path in paths]


def test_old_dumps_go_but_never_the_newest(tmp_path: Path) -> None:
    names = ["20261001T020000Z.dump", "20261102T020000Z.dump", "20261120T020000Z.dump"]
    paths = [dump(tmp_path, name) for name in names]
    removed = backup_dumps.prune(str(tmp_path), "dump", 14, MIDNIGHT)
    assert removed == [str(paths[0]), str(paths[1])]
    assert sorted(os.listdir(tmp_path)) == [names[2], f"{names[2]}.sha256"]
    assert backup_dumps.prune(str(tmp_path), "dump", 14, MIDNIGHT + 365 * DAY) == []


def test_what_a_killed_dump_left_behind_is_no_damage(tmp_path: Path) -> None:
    settings = backup_settings.BackupSettings(directory=str(tmp_path))
    path = dump(tmp_path / "dumps" / "shop", "20261120T020000Z.dump")
    path.rename(f"{path}.new")
    assert backup_dumps.verify(settings) == []
    backup_dumps.remove_leftovers(str(path.parent))
    assert os.listdir(path.parent) == []


def test_two_at_once_are_refused_with_the_holders_name(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    with backup_settings.only_one("restore", 0, path):
        refused = pytest.raises(RingstandError, match=rf"restore, process {os.getpid()}, since 1970-01-01T00:00:00Z")
        with refused, backup_settings.only_one("backup", 0, path):
            raise AssertionError
        assert backup_settings.holder(path).startswith("restore")
    assert backup_settings.holder(path) == ""
    with backup_settings.only_one("backup", 0, path):
        pass


KEY, OTHER = "k" * 20, "o" * 20


@pytest.mark.parametrize(("own", "copies", "found"), [
    (KEY, [OTHER, None], KEY),
    (None, [None, None], ""),
    (None, [KEY, None], KEY),
    ("\n", [None, KEY], KEY),  # the disk was full
    (None, [KEY, KEY], KEY),
    (None, [KEY, OTHER], None),
])
def test_a_lost_key_is_taken_from_what_holds_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str | None, copies: list[str | None], found: str | None
) -> None:
    paths = [tmp_path / "one", tmp_path / "two"]
    for path, key in zip(paths, copies):
        if key:
            path.write_text(f"# Written\n[global]\nrepo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass={key}\n")
    if own:
        (tmp_path / "key").write_text(own)
    read = backup_host.read_key
    monkeypatch.setattr(backup_host, "read_key", lambda: read(str(tmp_path / "key")))
    monkeypatch.setattr(backup_host, "KEY_COPIES", [str(path) for path in paths])
    if found is not None:
        assert backup_host.find_key() == found
        return
    with pytest.raises(RingstandError, match="hold different ones. Nothing was changed") as caught:
        backup_host.find_key()
    assert KEY not in caught.value.message and OTHER not in caught.value.message


@pytest.mark.parametrize("check", [False, True])
def test_no_key_is_made_beside_backups_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, check: bool
) -> None:
    wanted = backup_host.Wanted(str(tmp_path), "", "", 2, {}, False)
    monkeypatch.setattr(backup_host, "find_key", lambda: "")
    assert backup_host.ensure(wanted, "", False)[0]["key"] == "missing"
    (tmp_path / "restic").mkdir()
    assert backup_host.ensure(wanted, "", False)[0]["key"] == "missing"
    (tmp_path / "restic" / "config").touch()
    with pytest.raises(RingstandError, match=r"the backups in .*/restic can be read .* set backup_key\. To begin anew"):
        backup_host.ensure(wanted, "", check)
    # Whoever has moved both away has another key; beside backups that is refused.
    monkeypatch.setattr(backup_host, "find_key", lambda: KEY)
    monkeypatch.setattr(backup_host, "read_key", lambda: "")
    monkeypatch.setattr(backup_host, "entries", lambda _wanted, key, _config: pytest.fail(key))
    with pytest.raises(RingstandError, match="this host has another one"):
        backup_host.ensure(wanted, OTHER, False)
    anew = backup_host.Wanted(str(tmp_path / "anew"), "", "", 2, {}, False)
    with pytest.raises(pytest.fail.Exception, match=OTHER):
        backup_host.ensure(anew, OTHER, False)
    monkeypatch.setattr(backup_host, "find_key", lambda: "")
    recover = backup_host.Wanted(str(tmp_path / "none"), "", "", 2, {}, False, recover=True)
    with pytest.raises(RingstandError, match="set backup_key$"):
        backup_host.ensure(recover, "", check)


def test_a_key_is_never_replaced() -> None:
    assert choose_key("", "host") == "host"
    assert choose_key("given", "") == "given"
    assert choose_key("same", "same") == "same"
    with pytest.raises(RingstandError, match="this host has another one") as caught:
        choose_key("given-secret", "host-secret")
    assert "secret" not in caught.value.message


def test_an_escrow_is_closed_and_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "vm1.key"
    assert key_escrow.read(str(path)) == ""
    key = key_escrow.generate()
    key_escrow.write(str(path), key)
    assert key_escrow.read(str(path)) == key
    assert [entry.stat().st_mode & 0o777 for entry in (path, path.parent)] == [0o600, 0o700]
    assert sorted(os.listdir(path.parent)) == [".gitignore", "vm1.key"]
    with pytest.raises(RingstandError, match="File exists"):
        key_escrow.write(str(path), key_escrow.generate())
    assert key_escrow.read(str(path)) == key
    path.chmod(0o644)
    with pytest.raises(RingstandError, match="others may read this key"):
        key_escrow.read(str(path))
    with pytest.raises(RingstandError, match="not an absolute path"):
        key_escrow.read("keys/vm1.key")


def test_a_disk_that_is_too_full_is_refused(tmp_path: Path) -> None:
    require_space(str(tmp_path), 0, "the cluster")
    with pytest.raises(RingstandError, match="Failed to start the backup of the cluster: .* MB free"):
        require_space(str(tmp_path), 2**60, "the cluster")


def test_a_snapshot_that_is_gone_is_missed(tmp_path: Path) -> None:
    repository = restic.Repository(str(tmp_path), "/key")
    for name in ("config", "index/a", "snapshots/b"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    known = restic.recorded(repository)
    assert restic.differing(known, repository, True) == []
    for name in ("index/a", "snapshots/b"):
        (tmp_path / name).unlink()
    (tmp_path / "config").write_text("changed")

    def found(consistent: bool) -> list[str]:
        return [os.path.relpath(item.file, tmp_path) for item in restic.differing(known, repository, consistent)]

    assert found(False) == ["config", "index/a", "snapshots/b"]
    assert found(True) == ["config", "snapshots/b"]

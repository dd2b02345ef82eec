"""When a restore is drilled, what it is compared with, what it has proven, and what retention leaves because of it."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import (
    backup_canary,
    backup_dumps,
    backup_offsite,
    backup_settings,
    backup_space,
    backup_ssh,
    backup_status,
    backup_watch,
    drill_dumps,
    drill_expectations,
    drill_record,
    drill_run,
    drill_unit,
    restic,
    transient_unit,
)
from ansible_collections.ringstand.flask.plugins.module_utils.backup_due import drill_due
from ansible_collections.ringstand.flask.plugins.module_utils.commands import Result
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.import_script import Facts
from ansible_collections.ringstand.flask.plugins.module_utils.pgbackrest import Backup, Information, Stanza

HOUR, DAY = 3600, 86_400
MIDNIGHT = 1_795_219_200  # 2026-11-21T00:00:00Z
NIGHT = MIDNIGHT + 2 * HOUR + 60


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("now", "since", "last", "failed", "due"),
    [
        (NIGHT, None, None, False, False),  # no backup yet
        (NIGHT + HOUR, NIGHT, None, False, False),  # the first one has just been made
        (NIGHT + DAY, NIGHT, None, False, True),
        (NIGHT + 6 * DAY, 0, NIGHT + 60, False, False),
        (NIGHT + 7 * DAY + 60, 0, NIGHT + 60, False, True),
        (NIGHT + HOUR, 0, NIGHT + 60, True, False),  # failed this night
        (NIGHT + DAY, 0, NIGHT + 60, True, True),
        (NIGHT, 0, NIGHT + 700 * DAY, False, True),  # made under a clock that was years ahead
    ],
)
def test_a_drill_is_due(now: float, since: float | None, last: float | None, failed: bool, due: bool) -> None:
    assert drill_due(now, 2, 7, since, last, failed) is due
    assert not drill_due(now, 2, 0, since, last, failed)


def test_never_drilled_is_found_after_some_days_only() -> None:
    status = backup_status.merge({}, {"dumps": {"result": "ok"}}, [], MIDNIGHT)

    def found(days: int, drill_days: int) -> list[str]:
        fresh = backup_status.merge(status, {"dumps": {"result": "ok"}}, [], MIDNIGHT + days * DAY)
        return backup_status.faults(fresh, MIDNIGHT + days * DAY, drill_days)

    assert found(8, 7) == [] and found(100, 0) == []
    assert found(10, 7)[0].startswith("drill: never done")
    status = backup_status.merge(status, {"drill": {"result": "ok"}}, [], MIDNIGHT + 8 * DAY)
    assert found(16, 7) == []
    assert found(18, 7)[0].startswith("drill: last done at 2026-11-29T")


def test_a_backup_and_a_drill_do_not_lose_each_others_result(tmp_path: Path) -> None:
    path = str(tmp_path / "status.json")
    backup_status.update({"dumps": {"result": "ok"}}, [], 1, path)
    backup_status.update({"drill": {"result": "ok"}}, [], 2, path)
    assert set(backup_status.load(path)["parts"]) == {"dumps", "drill"}


def table(rows: int | None, inserted: int, deleted: int, node: str = "1") -> dict[str, Any]:
    found = {"name": "public.orders", "node": node, "bytes": 1, "inserted": inserted, "deleted": deleted}
    return {**found, **({} if rows is None else {"rows": rows})}


def database(one: dict[str, Any] | None, reset: str | None = None) -> drill_expectations.Databases:
    return {"shop": {"reset": reset, "tables": {"16384": one} if one else {}}}


@pytest.mark.parametrize(
    ("now", "restored", "latest", "reason"),
    [
        (table(None, 10, 0), table(10, 0, 0), 10, ""),
        (table(None, 10, 0), table(9, 0, 0), 10, "it has 9 rows and should have 10"),
        (table(None, 10, 0), table(0, 0, 0), 10, "it has 0 rows and should have 10"),
        (table(None, 15, 3), table(12, 0, 0), 12, ""),
        (table(None, 15, 3), table(16, 0, 0), 12, "it has 16 rows and should have between 7 and 15"),
        (table(None, 10, 0), table(11, 0, 0), 11, ""),  # the statistics were late
        (table(None, 10, 0), table(11, 0, 0), None, ""),
        (table(None, 10, 0, "2"), table(0, 0, 0), 0, ""),  # emptied by TRUNCATE
        (table(None, 2, 0), table(0, 0, 0), 0, ""),  # the statistics began anew
        (table(None, 10, 0), None, 10, "the table is not there"),
        (None, None, None, ""),  # dropped
    ],
)
def test_rows_are_compared(now: Any, restored: Any, latest: int | None, reason: str) -> None:
    found = drill_expectations.differences(
        database(table(10, 10, 0)), database(now), database(restored), lambda _database, _table: latest
    )
    assert [text for _table, text in found] == ([reason] if reason else [])
    assert all(name == "shop: public.orders" for name, _text in found)


def test_what_is_not_counted_is_named() -> None:
    def three(*rows: int | None) -> drill_expectations.Databases:
        tables = {str(n): {**table(rows[n], 0, 0), "name": f"t{n}", "bytes": n} for n in range(len(rows))}
        return {"shop": {"reset": None, "tables": tables}}

    uncounted = drill_expectations.uncounted
    assert uncounted(three(1, 2, 3), [three(1, 2, 3)]) == []
    assert uncounted(three(1, 2, None), [three(1, None, None)]) == ["shop: t2", "shop: t1"]
    assert uncounted(three(1, 2, 3), [three(1, None)]) == ["shop: t1"]  # the third is new
    assert uncounted(three(1, 2), [three(None, 2), three(1, 2)]) == []  # of two moments one will do
    assert uncounted(three(1, None), []) == ["shop: t1"]


def test_a_drill_says_what_it_has_not_counted() -> None:
    part = {"result": "ok", "finished": "2026-11-21T03:00:00Z", "seconds": 9.0, "label": "F", "from": "local"}
    assert "not counted" not in drill_record.describe(part)
    said = drill_record.describe({**part, "tables_not_counted": 7, "not_counted": [f"shop: t{n}" for n in range(7)]})
    assert said.endswith("Read but not counted, being large or not read in time: "
                         "shop: t0, shop: t1, shop: t2, shop: t3, shop: t4 and 2 more")


def test_a_database_that_is_not_there_is_named() -> None:
    before = database(table(10, 10, 0))
    assert drill_expectations.differences(before, before, {}, lambda *_names: 0) == [
        ("shop", "the database is not there")
    ]
    assert drill_expectations.differences(before, {}, {}, lambda *_names: 0) == []
    assert drill_expectations.differences(before, database(table(1, 1, 1), "x"), database(None), lambda *_n: 0) == []


def test_small_tables_are_counted_first_and_huge_ones_not() -> None:
    sizes = {"1": 3 * 2**30, "2": 10, "3": 200 * 2**20, "4": 100 * 2**20}
    assert list(drill_expectations.chunks({oid: {"bytes": size} for oid, size in sizes.items()})) == [["2", "4"], ["3"]]


def test_a_backup_is_compared_with_what_was_counted_before_it() -> None:
    entries = [{"written": 10}, {"written": 20}, {"written": 30}]
    assert drill_expectations.of_backup(entries, 25) == {"written": 20}
    assert drill_expectations.of_backup(entries, 5) is None


def test_places_and_dumps_take_turns(tmp_path: Path) -> None:
    record = drill_record.load(str(tmp_path / "none"))
    assert record.due("dumps", ["shop", "blog"]) == ["blog"]
    record.dumps["blog"] = {"path": "/b", "at": 5}
    assert record.due("dumps", ["shop", "blog"]) == ["shop"]
    record.dumps["shop"] = {"path": "/s", "at": 9}
    drill_record.save(record, str(tmp_path / "drills.json"))
    record = drill_record.load(str(tmp_path / "drills.json"))
    assert record.due("dumps", ["shop", "blog"]) == ["blog"]
    assert record.due("dumps", []) == []
    record.tried["dumps/blog"] = 5.0  # of the same drill that has proven it
    assert record.due("dumps", ["shop", "blog"]) == ["blog"]


def test_what_failed_is_tried_again_and_keeps_no_other_from_its_turn() -> None:
    record = drill_record.Record(dumps={"shop": {"path": "/s", "at": 5}, "blog": {"path": "/b", "at": 6}})
    record.tried["dumps/gone"] = 7.0
    assert record.due("dumps", ["shop", "blog", "gone"]) == ["shop", "gone"]
    record.dumps["shop"]["at"] = 8
    assert record.due("dumps", ["shop", "blog", "gone"]) == ["blog", "gone"]
    assert record.due("dumps", ["shop", "blog"]) == ["blog"]  # its last dump has expired
    assert record.due("dumps", ["gone"]) == ["gone"]


def test_a_record_without_tries_keeps_its_proofs(tmp_path: Path) -> None:
    path = tmp_path / "drills.json"
    path.write_text('{"clusters": {"local": {"label": "1F", "at": 3}}, "dumps": {}, "files": {}}')
    assert drill_record.load(str(path)).clusters == {"local": {"label": "1F", "at": 3}}
    for broken in ("[]", '"x"', "{", '{"clusters": [1]}'):
        path.write_text(broken)
        assert drill_record.load(str(path)) == drill_record.Record()


def new_drill(cluster: str, record: drill_record.Record) -> drill_run.Drill:
    place = backup_offsite.parse(backup_offsite.describe({"type": "path", "path": "/mnt"}, "vm1", 2, 30))
    settings = backup_settings.BackupSettings(cluster=cluster, elsewhere=["shop"], offsite=place)
    return drill_run.Drill(settings, record, 50, lambda _text: None)


@pytest.mark.parametrize("cluster", ["main", ""])
def test_a_place_that_fails_keeps_the_other_from_nothing(monkeypatch: pytest.MonkeyPatch, cluster: str) -> None:
    record = drill_record.Record()

    def fail(_drill: drill_run.Drill) -> None:
        raise RingstandError("no route to host")

    monkeypatch.setattr(drill_run, "clean_up", lambda _settings: None)
    monkeypatch.setattr(drill_run.Drill, "_cluster", fail)
    monkeypatch.setattr(drill_run.Drill, "_files", lambda _drill: None)
    first = new_drill(cluster, record)
    first.run()
    second = new_drill(cluster, record)
    assert (first.place, second.place) == ("offsite", "local")
    if not cluster:
        assert first.problems == [] and "this host has no cluster" in first.details["only_read"][0]
        return
    monkeypatch.setattr(drill_run.Drill, "_cluster", lambda _drill: None)
    second.run()
    (problem,) = second.problems
    assert not problem.corruption
    assert problem.reason == "the drill of 1970-01-01T00:00:50Z from offsite failed; the next one is from there again"


def test_one_dump_that_cannot_be_restored_is_named_and_the_next_ones_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dumps = [backup_dumps.Dump(name, 9, f"/{name}.dump", 1) for name in ("blog", "broken", "newer", "shop")]
    monkeypatch.setattr(backup_dumps, "dumps", lambda _directory: dumps)

    def examine(dump: backup_dumps.Dump) -> Facts:
        if dump.database == "newer":
            raise RingstandError("Failed to read /newer.dump: unsupported version")
        return Facts(17, {}, {"public.orders": None})

    def restore(_cluster: Any, dump: backup_dumps.Dump, _facts: Facts) -> str:
        if dump.database == "broken":
            raise RingstandError("Failed to restore it")
        return "it is of PostgreSQL 18" if dump.database == "shop" else ""

    monkeypatch.setattr(drill_dumps, "examine", examine)
    monkeypatch.setattr(drill_dumps, "restore", restore)
    record = drill_record.Record()
    scratch: Any = SimpleNamespace(data_dir=str(tmp_path))
    tried = []
    for now in range(1, 6):
        drill = drill_run.Drill(backup_settings.BackupSettings(), record, now, lambda _text: None)
        drill._dumps(scratch)
        tried.append(drill.details.get("dumps", []))
        assert "/newer.dump" in [problem.file for problem in drill.problems]
    assert tried == [["/blog.dump"], ["/broken.dump"], ["/broken.dump"], ["/shop.dump", "/broken.dump"],
                     ["/blog.dump", "/broken.dump"]]
    assert set(record.dumps) == {"blog", "shop"}


@pytest.mark.parametrize(("facts", "version", "available", "reason"), [
    (Facts(15), "17", [], ""),
    (Facts(17), "17", None, ""),
    (Facts(18), "17", None, "it is of PostgreSQL 18, and the cluster here is 17"),
    (Facts(None, {"plpgsql": "pg_catalog", "citext": "public"}), "17", ["citext"], ""),
    (Facts(17, {"postgis": "public"}), "17", ["citext"], "it needs the extensions postgis, which are not"
     " installed here"),
    (Facts(17, {"postgis": "public"}), "17", None, ""),  # of this host: then something is wrong
])
def test_a_dump_that_this_cluster_cannot_take_is_none_of_its_faults(
    facts: Facts, version: str, available: list[str] | None, reason: str
) -> None:
    assert drill_dumps.unfit(facts, version, available) == reason


def test_a_drill_makes_a_database_that_any_host_can_make() -> None:
    script = ("CREATE DATABASE shop WITH TEMPLATE = template0 ENCODING = 'LATIN1' LOCALE_PROVIDER = libc "
              "LOCALE = 'de_DE' TABLESPACE = fast;\n")
    options, plain = drill_dumps.create_options(script, "17")
    assert options == "TEMPLATE = template0 ENCODING = 'LATIN1' LOCALE_PROVIDER = libc LOCALE = 'de_DE'"
    assert plain == "TEMPLATE = template0 ENCODING = 'LATIN1' LOCALE = 'C' LOCALE_PROVIDER = libc"
    assert drill_dumps.create_options("", "14")[1] == "TEMPLATE = template0 ENCODING = 'UTF8' LOCALE = 'C'"


def backup(label: str) -> Backup:
    return Backup(label, "diff" if "_" in label else "full", 1, 2, False, 10, 5, "0" * 24, "0" * 24)


def test_retention_leaves_what_a_drill_has_proven() -> None:
    backups = [backup(label) for label in ("1F", "1F_2D", "3F", "4F")]
    counts = [drill_record.full_count(backups, proven, 2) for proven in ("", "4F", "3F", "1F_2D", "gone")]
    assert counts == [2, 2, 2, 3, 2]


def test_a_proven_dump_stays(tmp_path: Path) -> None:
    names = ["20261001T020000Z.dump", "20261002T020000Z.dump", "20261120T020000Z.dump"]
    for name in names:
        (tmp_path / name).write_text("x")
    removed = backup_dumps.prune(str(tmp_path), "dump", 14, MIDNIGHT, str(tmp_path / names[1]))
    assert removed == [str(tmp_path / names[0])]


def test_dumps_of_a_database_that_is_gone_go_after_the_retention(tmp_path: Path) -> None:
    settings = backup_settings.BackupSettings(directory=str(tmp_path))
    for path in ("shop/20261001T020000Z", "gone/20261001T020000Z", "purged/20261001T020000Z",
                 "purged/20261120T020000Z"):
        (tmp_path / "dumps" / path).parent.mkdir(parents=True, exist_ok=True)
        for end in (".dump", ".dump.sha256"):
            Path(f"{tmp_path}/dumps/{path}{end}").write_text("x")
    backup_dumps.prune_gone(settings, ["shop"], 14, MIDNIGHT)
    assert [dump.path.partition("dumps/")[2] for dump in backup_dumps.dumps(settings.dumps_dir)] == [
        "purged/20261120T020000Z.dump", "shop/20261001T020000Z.dump"]
    backup_dumps.prune_gone(settings, ["shop"], 14, MIDNIGHT + 15 * DAY)
    assert sorted(path.name for path in (tmp_path / "dumps").iterdir()) == ["shop"]


def test_a_name_whose_proven_snapshot_is_old_is_left_alone() -> None:
    days = {"a": ("host", "01"), "b": ("host", "30"), "c": ("shop", "29"), "d": ("shop", "30")}
    there = [restic.Snapshot(key, name, f"2026-11-{day}T02:00:00.123456789+02:00", []) for key, (name, day)
             in days.items()]
    assert restic.names_held(there, 14, ["a", "c"]) == {"host"}
    assert restic.names_held(there, 14, ["b", "d", "gone"]) == set()


def test_a_drill_without_room_says_how_much_it_needs(tmp_path: Path) -> None:
    with pytest.raises(RingstandError, match=r"the restore of the backup 1F: .* \d+ MB free, it needs \d+ MB"):
        drill_run.require_space(str(tmp_path), 2**60, "the backup 1F")


NOW, BEFORE, VOID = "row of now", "row of before the backup", "row of what a restore has undone"


def compare(
    monkeypatch: pytest.MonkeyPatch, there: set[str], rows: int = 10, segment: str = "000000010000000000000005"
) -> list[tuple[str, str]]:
    """The problems of a drill whose restored cluster has these rows of ours, and so many in a table of 10."""
    live, scratch = object(), object()
    entries = [
        {"written": 5, "token": BEFORE, "databases": database(table(10, 10, 0))},
        {"written": 6, "token": VOID, "databases": database(table(99, 10, 0))},
    ]
    has = {live: {NOW, BEFORE}, scratch: there}
    monkeypatch.setattr(drill_expectations, "load", lambda _path: entries)
    monkeypatch.setattr(backup_canary, "missing", lambda cluster, tokens: [one for one in tokens if one not in
                                                                           has[cluster]])
    monkeypatch.setattr(drill_expectations, "look", lambda cluster, count=True: database(
        table(rows if cluster is scratch else None, 10, 0)))
    monkeypatch.setattr(drill_expectations, "recounted", lambda *_names: 10)
    plan: Any = SimpleNamespace(choice=SimpleNamespace(
        backup=SimpleNamespace(label="1F", started=7), segments=["000000010000000000000005"]))
    drill = drill_run.Drill(backup_settings.BackupSettings(), drill_record.Record(), 8, lambda _text: None)
    canary = backup_canary.Canary(NOW, segment, 8)
    drill._compare(plan, live, scratch, database(table(10, 10, 0)), canary)  # type: ignore[arg-type]
    return [(problem.file, problem.reason) for problem in drill.problems]


def test_what_was_restored_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    assert compare(monkeypatch, {NOW, BEFORE}) == []
    assert compare(monkeypatch, {NOW}) == [
        ("ringstand.canary", "the row that was written before the backup 1F is not in the restored cluster")
    ]
    assert compare(monkeypatch, {BEFORE}) == [
        ("ringstand.canary", "the row that was written now is not in the restored cluster")
    ]
    # What is elsewhere may lag behind.
    assert compare(monkeypatch, {BEFORE}, segment="000000010000000000000006") == []
    assert compare(monkeypatch, {NOW, BEFORE}, rows=9) == [
        ("shop: public.orders", "it has 9 rows and should have 10")
    ]


def test_one_drill_at_a_time_and_none_beside_a_restore(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drill_unit, "LOCK_PATH", str(tmp_path / "drill"))
    real = backup_settings.only_one

    def here(what: str, now: float, path: str = str(tmp_path / "main")) -> Any:
        return real(what, now, path)

    monkeypatch.setattr(backup_settings, "only_one", here)
    with drill_unit.only_drill(0):
        assert drill_unit.holder().startswith("drill")
        with here("backup", 0):
            pass
        with pytest.raises(RingstandError, match="another one is under way"), drill_unit.only_drill(0):
            raise AssertionError
    stopped: list[bool] = []
    monkeypatch.setattr(drill_unit, "stop", lambda: stopped.append(True))
    with drill_unit.only_restore(0):
        assert stopped
        with pytest.raises(RingstandError, match="another one is under way .restore"), drill_unit.only_drill(0):
            raise AssertionError


CANARY = {"token": "t", "segment": "000000010000000000000005", "written": 1000}


def archived(last: str) -> Information:
    return Information(True, "", [], {"17-1": ("000000010000000000000001", last)})


def test_what_was_written_an_hour_ago_must_be_in_the_repository() -> None:
    state = {"last_archived": "000000010000000000000004"}
    assert backup_watch.stale(CANARY, archived("000000020000000000000005"), state) == []
    (problem,) = backup_watch.stale(CANARY, archived("000000010000000000000004"), state)
    assert "what was written at 1970-01-01T00:16:40Z" in problem.reason
    assert "archive-push-queue-max" not in problem.reason
    (problem,) = backup_watch.stale(CANARY, Information(True), {"last_archived": "000000010000000000000007"})
    assert "archive-push-queue-max" in problem.reason


def test_failures_to_archive_are_counted_from_run_to_run() -> None:
    assert [backup_watch.failures(before, 5) for before in (None, 3, 5, 9)] == [0, 2, 0, 0]


def test_a_gap_since_the_newest_backup_is_found_by_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_watch, "SETTLE_SECONDS", 0)
    folder = tmp_path / "archive/main/17-1/0000000100000000"
    folder.mkdir(parents=True)
    for number in (1, 3, 4, 6):
        (folder / f"00000001000000000000000{number}-{'a' * 40}.zst").write_text("")
    one = Backup("1F", "full", 1, 2, False, 10, 5, "000000010000000000000003", "000000010000000000000003")
    found = backup_watch.lacking(Stanza("main", str(tmp_path)), Information(True, "", [one]), 256)
    assert [problem.file for problem in found] == ["archive: ????????0000000000000005"]


def test_room_for_the_next_full_backup_is_watched(tmp_path: Path) -> None:
    details, problems = backup_space.watch(str(tmp_path), [])
    assert problems == [] and details["free_bytes"] <= details["size_bytes"]
    huge = Backup("1F", "full", 1, 2, False, 2**60, 2**60, "0" * 24, "0" * 24)
    details, (problem,) = backup_space.watch(str(tmp_path), [huge])
    assert (details["backups_bytes"], problem.part, problem.file) == (2**60, "space", str(tmp_path))
    assert "MB are free, and the next full backup needs" in problem.reason


@pytest.mark.parametrize(("given", "path"), [
    ({"type": "path", "path": "/mnt/backup"}, "/mnt/backup/vm1"),
    ({"type": "ssh", "path": "/b", "host": "h", "user": "u"}, backup_ssh.MOUNT_DIR),
    ({"type": "sftp", "path": "/b", "host": "h", "user": "u"}, ""),
])
@pytest.mark.parametrize("mounted", [True, False])
def test_room_in_the_second_place_is_watched_where_it_is_seen(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], path: str, mounted: bool
) -> None:
    place = backup_offsite.parse(backup_offsite.describe(given, "vm1", 2, 30))
    assert place
    asked: list[str] = []

    def run(command: list[str], **_options: Any) -> Result:
        asked.append(command[-1])
        return Result(0, "4096 1000000 75000\n", "") if mounted else Result(1, "", "stat: cannot read")

    monkeypatch.setattr(backup_space, "run", run)
    monkeypatch.setattr(backup_ssh, "is_mounted", lambda: mounted)
    details, problems = backup_space.watch_elsewhere(place, [])
    assert asked == ([path] if path and (mounted or place.type == "path") else [])
    assert details == ({"offsite_free_bytes": 307_200_000, "offsite_size_bytes": 4_096_000_000} if path and mounted
                       else {})
    assert problems == []
    one = Backup("1F", "full", 1, 2, False, 10, 100_000_000, "0" * 24, "0" * 24)
    found = backup_space.watch_elsewhere(place, [one])[1]
    assert [problem.file for problem in found] == ([place.where] if path and mounted else [])


def test_the_last_words_are_the_programs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "restoring\nringstand: Failed to drill: it was stopped\nringstand-drill.service: Consumed 3.670s CPU time."
    monkeypatch.setattr(transient_unit, "journal_tail", lambda *_of: said)
    assert transient_unit.last_words("x.service", 0, "", 1) == "Failed to drill: it was stopped"
    assert transient_unit.last_words("x.service", 0, "Unit x.service already exists.", 1).startswith("Unit x.service")

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import pgbackrest, restore_repository
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.pgbackrest import Backup, Information, Stanza
from ansible_collections.ringstand.flask.plugins.module_utils.restore_target import choose

STANZA = Stanza("main", "/backups")


def backup(label: str, database_id: int, number: int, finished: int) -> Backup:
    wal = f"00000001000000000000{number:04X}"
    return Backup(label, "full", finished - 1, finished, False, 3, 2, wal, wal, None, database_id)


def segment(number: int, archived: float) -> tuple[str, dict[str, Any]]:
    return f"0000000100000000/00000001000000000000{number:04X}-{'a' * 40}.zst", {"time": archived}


# There, back, and there again.
SYSTEMS = {"15-1": "old", "17-2": "first", "15-3": "old", "17-4": "second"}
LISTINGS = {
    "15-1": [segment(1, 100), segment(2, 200)],
    "17-2": [segment(1, 300), segment(2, 310)],
    "15-3": [segment(3, 400), segment(4, 410)],
    "17-4": [segment(1, 500), segment(2, 510)],
}
BACKUPS = [backup("A", 1, 1, 100), backup("B", 2, 1, 300), backup("C", 3, 3, 400), backup("D", 4, 1, 500)]


def read(monkeypatch: pytest.MonkeyPatch, version: str, until: int, backups: list[Backup]) -> Any:
    names = list(SYSTEMS)[:until]
    found = Information(True, "ok", backups, dict.fromkeys(names, ("", "")), names[-1],
                        {name: SYSTEMS[name] for name in names})
    monkeypatch.setattr(pgbackrest, "information", lambda _stanza: found)
    monkeypatch.setattr(pgbackrest, "listing", lambda _stanza, folder: dict(LISTINGS[folder.split("/")[-1]]))
    return restore_repository.read(STANZA, version)


@pytest.mark.parametrize(
    ("version", "until", "target", "label"),
    [
        ("15", 1, None, "A"),
        ("17", 2, None, "B"),
        pytest.param("15", 3, None, "C", id="the latest after the way back, and not the newest of all"),
        pytest.param("15", 3, 150.0, "A", id="a moment before the upgrade, after the way back"),
        pytest.param("17", 4, None, "D", id="there again, which is another cluster"),
    ],
)
def test_what_is_restored(
    monkeypatch: pytest.MonkeyPatch, version: str, until: int, target: float | None, label: str
) -> None:
    repository = read(monkeypatch, version, until, BACKUPS[:until])
    assert choose(repository, target, complete=True).backup.label == label


def test_wal_goes_on_where_it_was_before_the_upgrade(monkeypatch: pytest.MonkeyPatch) -> None:
    repository = read(monkeypatch, "15", 3, BACKUPS[:2])  # no backup since the way back
    chosen = choose(repository, None, complete=True)
    assert (chosen.backup.label, len(chosen.segments)) == ("A", 4)


def test_no_backup_of_this_version_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RingstandError, match="Make one: ringstand backup --full"):
        read(monkeypatch, "17", 2, BACKUPS[:1])


def test_the_backups_of_another_cluster_of_this_version_are_not_those(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RingstandError, match="Make one"):
        read(monkeypatch, "17", 4, BACKUPS[:3])


def test_which_cluster_an_archive_is_of() -> None:
    text = (
        '[{"archive":[],"backup":[],"db":[{"id":2,"system-id":72,"version":"17"},{"id":10,"system-id":71,"version":"15"},'
        '{"id":1,"system-id":71,"version":"15"}],"name":"main","status":{"code":2,"message":"no valid backups"}}]'
    )
    found = pgbackrest.parse_information(text, "main")
    assert (found.archive, found.system) == ("15-10", "71")
    assert found.systems == {"15-1": "71", "17-2": "72", "15-10": "71"}

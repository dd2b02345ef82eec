"""The second place of the backups after a major upgrade, which makes another cluster for pgBackRest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import (
    backup_offsite,
    backup_offsite_host,
    backup_offsite_run,
    backup_settings,
    backup_shipping,
    pgbackrest,
    upgrade_archive,
)
from ansible_collections.ringstand.flask.plugins.module_utils.backup_settings import BackupSettings
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.pgbackrest import Backup, Information, Stanza
from ansible_collections.ringstand.flask.plugins.module_utils.postgresql_cluster import Cluster

BEFORE, AFTER = "/var/lib/postgresql/15/main", "/var/lib/postgresql/17/main"
NEW = Cluster("17", "main", 5432, True, "postgres", AFTER)
OF_15 = Information(True, "ok", [], {}, "15-1", {"15-1": "71"})
OF_17 = Information(True, "ok", [], {}, "17-2", {"15-1": "71", "17-2": "72"})


class Engine:
    """Stands for pgBackRest in both places; records its calls as "verb here" or "verb there"."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, here: Information, there: Information) -> None:
        self.here, self.there, self.calls, self.away = here, there, list[str](), False
        monkeypatch.setattr(pgbackrest, "information", self.information)
        for verb in ("create", "adopt", "upgrade", "check"):
            monkeypatch.setattr(pgbackrest, verb, lambda stanza, verb=verb: self._called(verb, stanza))
        monkeypatch.setattr(backup_shipping, "begin_anew", lambda: self.calls.append("ship"))
        made = Backup("F", "full", 0, 0, False, 1, 1, "", "")
        monkeypatch.setattr(pgbackrest, "back_up", lambda stanza, kind: self._called(kind, stanza) or (made, []))

    def _called(self, verb: str, stanza: Stanza) -> None:
        self.calls.append(f"{verb} {'there' if stanza.config else 'here'}")

    def information(self, stanza: Stanza) -> Information:
        if stanza.config and self.away:
            raise RingstandError("Failed to read the backups of 'main': no route to host")
        return self.there if stanza.config else self.here


def described(tmp_path: Path) -> dict[str, Any]:
    found = backup_offsite.describe({"type": "path", "path": str(tmp_path)}, "vm1", 2, 30)
    assert found is not None
    return found


def settings(tmp_path: Path) -> BackupSettings:
    return BackupSettings(directory="/b", cluster="main", offsite=backup_offsite.parse(described(tmp_path)))


@pytest.mark.parametrize(
    ("here", "there", "calls"),
    [
        (OF_15, OF_15, []),
        (OF_17, OF_15, ["upgrade there"]),
        (OF_15, Information(False), ["create there"]),
        pytest.param(Information(False), OF_15, [], id="this host's own has none yet"),
    ],
)
def test_site_yml_lets_it_follow(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, here: Information, there: Information, calls: list[str]
) -> None:
    engine = Engine(monkeypatch, here, there)
    state: dict[str, Any] = {"changes": [], "warnings": []}
    backup_offsite_host.ensure(described(tmp_path), "main", "/nowhere/data", state, False, False)
    assert engine.calls == calls
    assert len(state["changes"]) == len(calls)


@pytest.mark.parametrize(
    ("there", "calls"), [(OF_15, ["upgrade there", "ship", "diff there"]), (OF_17, ["diff there"])]
)
def test_the_next_backup_lets_it_follow(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, there: Information, calls: list[str]
) -> None:
    engine = Engine(monkeypatch, OF_17, there)
    monkeypatch.setattr(backup_offsite_run, "backup_kind", lambda *_arguments: "diff")
    ours = settings(tmp_path)
    assert ours.offsite is not None
    backup_offsite_run._Job(ours.at_offsite(), ours.offsite, 0, False, {}).cluster()
    assert engine.calls == calls


def test_wal_waits_until_it_has_followed_and_is_then_compared_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    engine = Engine(monkeypatch, OF_15, OF_15)
    monkeypatch.setattr(backup_shipping.backup_owner, "check_own", lambda _settings: None)
    shipped: list[str] = []
    monkeypatch.setattr(backup_shipping.Shipper, "_ship_one", lambda _self, name: shipped.append(name) or "")
    name = "000000010000000000000001"
    there: dict[str, Any] = {f"15-1/0000000100000000/{name}-{'0' * 40}.zst": {}}
    monkeypatch.setattr(pgbackrest, "listing", lambda *_arguments: there)

    def archive(version: str) -> None:
        log = tmp_path / f"pgbackrest/archive/main/{version}/0000000100000000"
        log.mkdir(parents=True)
        (log / f"{name}-{'0' * 40}.zst").touch()

    archive("15-1")
    ours = BackupSettings(directory=str(tmp_path), cluster="main", offsite=settings(tmp_path).offsite)
    shipper = backup_shipping.Shipper(ours)
    assert shipper.round()["reason"] == "" and shipped == []
    archive("17-2")  # in which the WAL begins with the same names
    engine.here = OF_17
    assert "knows the cluster from before an upgrade" in shipper.round()["reason"] and shipped == []
    engine.there = OF_17
    assert shipper.round()["reason"] == "" and shipped == [name]


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """What leads to both places: their configurations, and the settings of the backups."""
    for name in ("here.conf", "there.conf"):
        (tmp_path / name).write_text(f"[global]\n[main]\npg1-path={BEFORE}\npg1-port=5432\n")
        (tmp_path / name).chmod(0o640)
    (tmp_path / "settings.json").write_text(json.dumps({"version": "15"}))
    monkeypatch.setattr(upgrade_archive, "CONFIG_PATH", str(tmp_path / "here.conf"))
    monkeypatch.setattr(backup_offsite, "CONFIG_PATH", str(tmp_path / "there.conf"))
    monkeypatch.setattr(upgrade_archive, "SETTINGS_PATH", str(tmp_path / "settings.json"))
    monkeypatch.setattr(backup_settings, "load", lambda: settings(tmp_path))
    return tmp_path


def test_both_places_follow_the_upgrade(monkeypatch: pytest.MonkeyPatch, host: Path) -> None:
    engine = Engine(monkeypatch, OF_15, OF_15)
    for _again in range(2):
        upgrade_archive.follow(BEFORE, NEW)
    assert engine.calls == ["upgrade here", "check here", "upgrade there", "ship"] * 2
    for name in ("here.conf", "there.conf"):
        assert f"pg1-path={AFTER}\n" in (host / name).read_text()
        assert (host / name).stat().st_mode & 0o777 == 0o640
    assert json.loads((host / "settings.json").read_text())["version"] == "17"
    assert sorted(path.name for path in host.iterdir()) == ["here.conf", "settings.json", "there.conf"]


def test_one_that_is_away_keeps_the_other_from_nothing(monkeypatch: pytest.MonkeyPatch, host: Path) -> None:
    engine = Engine(monkeypatch, OF_15, OF_15)
    engine.away = True
    with pytest.raises(RingstandError, match="no route to host. The next backup tries it again"):
        upgrade_archive.follow(BEFORE, NEW)
    assert engine.calls == ["upgrade here", "check here"]
    assert f"pg1-path={AFTER}\n" in (host / "there.conf").read_text()

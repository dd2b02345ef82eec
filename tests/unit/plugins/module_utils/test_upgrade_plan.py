from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import upgrade_plan, upgrade_run
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.postgresql_cluster import Cluster, Host

OLD = Cluster("15", "main", 5432, True, "postgres", "/var/lib/postgresql/15/main")


@pytest.mark.parametrize("version", ["15", "14", "", "new", "17.2"])
def test_only_a_newer_version(version: str) -> None:
    with pytest.raises(RingstandError, match="name a newer major version"):
        upgrade_plan.judge_versions(OLD, version)


def test_extensions_that_the_new_version_lacks(tmp_path: Path) -> None:
    (tmp_path / "citext.control").touch()
    assert upgrade_plan.missing(["citext", "postgis"], str(tmp_path)) == ["postgis"]


@pytest.mark.parametrize(
    ("host", "words"),
    [
        (Host([]), "there has to be one cluster 'main', and there is none"),
        (Host([OLD, Cluster("17", "main", 5433, True, "postgres", "/d")]), "15/main, 17/main"),
        (Host([OLD, Cluster("15", "main_before_17", 5433, False, "postgres", "/d")]), "from an earlier upgrade"),
        (Host([Cluster("15", "main", 5432, False, "postgres", "/d")]), "it does not run"),
    ],
)
def test_refused(monkeypatch: pytest.MonkeyPatch, host: Host, words: str) -> None:
    monkeypatch.setattr(upgrade_plan.Host, "read", lambda _name: host)
    with pytest.raises(RingstandError, match=words):
        upgrade_plan.make("17", "main", check=True)


def test_a_host_is_named_before_anything_happens() -> None:
    with pytest.raises(RingstandError, match="Nothing was changed"):
        upgrade_plan.require_confirmation("another", "upgrade")


def test_there_is_no_way_back_without_an_upgrade(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upgrade_run.Host, "read", lambda _name: Host([OLD]))
    with pytest.raises(RingstandError, match="no cluster that was kept"):
        upgrade_run.roll_back("main", print)


def test_nothing_is_changed_when_the_backup_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Any] = []

    def refuse(what: str, *command: str) -> None:
        ran.append(command)
        raise RingstandError(f"Failed to {what}")

    monkeypatch.setattr(upgrade_run, "_must", refuse)
    with pytest.raises(RingstandError, match="nothing was changed"):
        upgrade_run.perform(upgrade_plan.UpgradePlan(OLD, "17"), True, print)
    assert [command[1:] for command in ran] == [("backup",)]


def test_settings_follow_the_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kept, new = tmp_path / "etc/postgresql/15/main_before_17", tmp_path / "etc/postgresql/17/main"
    (kept / "conf.d").mkdir(parents=True)
    new.mkdir(parents=True)
    (new / "postgresql.conf").write_text("the new one's\n")
    (kept / "postgresql.conf").write_text("the old one's\n")
    (kept / "conf.d/50-ringstand.conf").write_text("ssl_key_file = '/etc/postgresql/15/main/server.key'\n")
    monkeypatch.setattr(upgrade_run, "CONFIG_ROOT", str(tmp_path / "etc/postgresql"))
    monkeypatch.setattr(upgrade_run.os, "chown", lambda *_args, **_kwargs: None)
    upgrade_run._take_settings(OLD, "main_before_17", Cluster("17", "main", 5432, True, "postgres", "/d"))
    assert (new / "postgresql.conf").read_text() == "the new one's\n"
    text = (new / "conf.d/50-ringstand.conf").read_text()
    assert text == "ssl_key_file = '/etc/postgresql/17/main/server.key'\n"

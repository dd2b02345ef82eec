from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import upgrade_archive, upgrade_plan
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
    monkeypatch.setattr(upgrade_plan.upgrade_archive, "check", lambda _version: None)
    with pytest.raises(RingstandError, match=words):
        upgrade_plan.make("17", "main", check=True)


def test_a_host_is_named_before_anything_happens() -> None:
    with pytest.raises(RingstandError, match="Nothing was changed"):
        upgrade_plan.require_confirmation("another", "upgrade")


@pytest.mark.parametrize(
    ("version", "installed", "words"),
    [
        ("15", (2, 45), ""),
        ("16", (2, 45), "pgBackRest 2.45 on this host does not know it.*takes 2.46 or newer"),
        ("17", (2, 51), "takes 2.52"),
        ("17", (2, 54, 2), ""),
        ("20", (2, 58, 1), "takes 2.59"),
        ("20", (2, 60), ""),
    ],
)
def test_a_pgbackrest_that_does_not_know_the_version(version: str, installed: tuple[int, ...], words: str) -> None:
    if words:
        with pytest.raises(RingstandError, match=words):
            upgrade_archive.check_possible(version, installed)
    else:
        upgrade_archive.check_possible(version, installed)


def test_it_is_found_out_before_the_first_change(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "pgbackrest.conf").touch()
    monkeypatch.setattr(upgrade_plan.Host, "read", lambda _name: Host([OLD]))
    monkeypatch.setattr(upgrade_archive, "CONFIG_PATH", str(tmp_path / "pgbackrest.conf"))
    monkeypatch.setattr(upgrade_archive.pgbackrest, "version", lambda: (2, 45))
    with pytest.raises(RingstandError, match="does not know it"):
        upgrade_plan.make("17", "main", check=True)

"""What goes with an absent app, what with a purge, and what of its neighbours stays."""

from __future__ import annotations

import fnmatch
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import decommission, postgresql_programs, purge
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.postgresql_cluster import Cluster, identifier

OF_SHOP = [
    "etc/systemd/system/ringstand-shop@.service",
    "etc/systemd/system/ringstand-shop@.socket",
    "etc/systemd/system/ringstand-shop@blue.service.d/by-hand.conf",
    "etc/systemd/system/ringstand-shop.worker@.service",
    "etc/tmpfiles.d/ringstand-shop.conf",
    "etc/ringstand/gunicorn/shop.py",
    "etc/ringstand/environment/shop.env",
    "etc/ringstand/environment/shop.build.env",
    "etc/ringstand/environment/shop.migration.env",
    "etc/ringstand/maintenance/shop.on",
    "etc/ringstand/certificates/shop/fullchain.pem",
    "etc/ringstand/apps/shop.json",
    "run/shop/live.sock",
]
OF_OTHERS = [
    "etc/systemd/system/ringstand-shop-api@.service",
    "etc/systemd/system/ringstand-shop2@.service",
    "etc/systemd/system/ringstand-boot.service",
    "etc/ringstand/maintenance/default.html",
    "etc/ringstand/apps/shop-api.json",
    "etc/ringstand/certificates/shop-api/fullchain.pem",
    "srv/shop/shared/upload",
    "var/lib/ringstand/shop/ledger.jsonl",
]


def test_only_what_is_of_the_app_goes_and_its_settings_last(tmp_path: Path) -> None:
    for name in OF_SHOP + OF_OTHERS:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = decommission.files("shop", str(tmp_path))
    assert found[-1].endswith("/apps/shop.json")
    for path in found:
        decommission.delete(path)
        decommission.delete(path)
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert left == sorted(OF_OTHERS)


@pytest.mark.parametrize(
    ("unit", "ours"),
    [
        ("ringstand-shop@blue.service", True),
        ("ringstand-shop@green.socket", True),
        ("ringstand-shop.worker@1.service", True),
        ("ringstand-activation-shop.service", True),
        ("ringstand-activation-migrate.shop.0123abcd.service", True),
        ("ringstand-database.shop.0123abcd.service", True),
        ("ringstand-shop-api@blue.service", False),
        ("ringstand-activation-shop-api.service", False),
        ("ringstand-run.shop-api.0123abcd.service", False),
        ("ringstand-boot.service", False),
        ("ringstand-backup.service", False),
    ],
)
def test_only_units_of_the_app_are_stopped(unit: str, ours: bool) -> None:
    assert any(fnmatch.fnmatchcase(unit, pattern) for pattern in decommission.unit_patterns("shop")) is ours


def test_an_app_that_is_set_up_is_not_purged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decommission, "app_names", lambda: ["shop"])
    with pytest.raises(RingstandError, match="state: absent"):
        purge.plan("shop")


def test_what_bears_a_name_but_was_not_made_for_an_app_is_not_purged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decommission, "app_names", list)
    monkeypatch.setattr(purge.pwd, "getpwnam", lambda _name: SimpleNamespace(pw_gecos="backup", pw_dir="/var/backups"))
    nothing = {"databases": [], "role": False, "paths": [], "user": False}
    assert purge.plan("backup") == nothing
    assert purge.purge("backup", True, 0, print) == {**nothing, "dumps": []}


def test_what_keeps_a_database_from_going_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    told = []

    def psql(_command: list[str], **options: str) -> SimpleNamespace:
        told.append(options["input"])
        return SimpleNamespace(returncode=3, stdout="", stderr="ERROR:  canceling statement due to statement timeout")

    monkeypatch.setattr(postgresql_programs.subprocess, "run", psql)
    with pytest.raises(RingstandError, match=r"statement timeout\. Mend that .*300 s.*purge again"):
        purge._drop(Cluster("17", "main", 5432, True, "postgres", "/data"), 'DATABASE "shop"')
    assert told == ["SET statement_timeout = '300s';\nDROP DATABASE \"shop\""]


def test_the_kept_are_those_whose_user_is_still_there(monkeypatch: pytest.MonkeyPatch) -> None:
    users = [("shop", "Flask app shop"), ("blog", "Flask app blog,,,"), ("ann", "Ann"), ("odd", "Flask app other")]
    entries = [SimpleNamespace(pw_name=name, pw_gecos=comment) for name, comment in users]
    monkeypatch.setattr(decommission.pwd, "getpwall", lambda: entries)
    assert decommission.kept(["shop"]) == ["blog"]


@pytest.mark.parametrize(("name", "quoted"), [("shop", '"shop"'), ('a"b', '"a""b"')])
def test_identifiers_are_quoted(name: str, quoted: str) -> None:
    assert identifier(name) == quoted

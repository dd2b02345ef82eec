from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import backup_dumps, backup_elsewhere
from ansible_collections.ringstand.flask.plugins.module_utils.app_items import backup_elsewhere as apps_elsewhere
from ansible_collections.ringstand.flask.plugins.module_utils.app_unit import AppUnit
from ansible_collections.ringstand.flask.plugins.module_utils.backup_run import parts_of
from ansible_collections.ringstand.flask.plugins.module_utils.backup_settings import BackupSettings
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError

LISTING = """\
;
; Archive created at 2026-11-21 23:30:11 UTC
;     dbname: far
2; 3079 16385 EXTENSION - pg_stat_statements
3495; 0 0 COMMENT - EXTENSION pg_stat_statements
221; 1259 16420 TABLE public orders far
4; 2615 2200 SCHEMA - extension_data far
"""
APP = {"domains": ["shop.example.com"], "source": {"path": "/shop"}}


def test_extensions_are_the_servers() -> None:
    kept = backup_elsewhere.without_extensions(LISTING)
    assert "pg_stat_statements" not in kept
    assert [line.split()[3] for line in kept.splitlines() if not line.startswith(";")] == ["TABLE", "SCHEMA"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"database_url": "postgresql+psycopg://u:p@db.example.com/shop"}, ["shop"]),
        ({"database_url": "postgres://u:p@db.example.com/shop", "backup": False}, []),
        ({"database_url": "mysql://u:p@db.example.com/shop"}, []),
        ({}, []),
    ],
)
def test_which_apps_are_dumped(changes: dict[str, Any], expected: list[str]) -> None:
    assert apps_elsewhere({"shop": {**APP, **changes}}) == expected


@pytest.mark.parametrize(
    ("settings", "has"),
    [
        (BackupSettings(cluster="", elsewhere=["shop"]), {"dumps": True, "postgresql": False, "archive": False}),
        (BackupSettings(cluster=""), {"dumps": False, "postgresql": False}),
        (BackupSettings(), {"dumps": True, "postgresql": True}),
    ],
)
def test_the_parts_of_a_host(settings: BackupSettings, has: dict[str, bool]) -> None:
    assert {part: part in parts_of(settings) for part in has} == has


def answer(monkeypatch: pytest.MonkeyPatch, code: int, stderr: str) -> list[list[str]]:
    """Have every unit end like this; returns the commands."""
    ran: list[list[str]] = []

    def pretend(command: list[str], **streams: Any) -> subprocess.CompletedProcess[str]:
        ran.append(command)
        if hasattr(streams["stdout"], "write"):
            streams["stdout"].write(b"PGDMP")
        return subprocess.CompletedProcess(command, code, "", stderr)

    monkeypatch.setattr(backup_elsewhere, "load_settings", lambda app: app)
    unit = AppUnit("shop", "shop", "shop", "/srv/shop/shared", environment_file="/etc/ringstand/shop/env")
    monkeypatch.setattr(backup_elsewhere, "shell_unit", lambda _settings: unit)
    monkeypatch.setattr(backup_elsewhere.subprocess, "run", pretend)
    return ran


def test_the_url_is_in_no_argument(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ran = answer(monkeypatch, 0, "")
    dump = backup_elsewhere.dump(BackupSettings(directory=str(tmp_path)), "shop", 1_790_000_000)
    assert dump.database == "shop@elsewhere"
    assert backup_dumps.damage(dump.path) == ""
    assert "--program=pg_dump" in ran[0] and "EnvironmentFile=/etc/ringstand/shop/env" in " ".join(ran[0])
    assert "--program=pg_restore" in ran[1]


def test_an_older_client_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answer(monkeypatch, 1, "pg_dump: error: aborting because of server version mismatch\n")
    with pytest.raises(RingstandError, match="Install a postgresql-client of the server's version or newer"):
        backup_elsewhere.dump(BackupSettings(directory=str(tmp_path)), "shop", 1_790_000_000)
    assert list((tmp_path / "dumps/shop@elsewhere").iterdir()) == []


def test_a_damaged_dump_is_not_restored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ran = answer(monkeypatch, 0, "")
    dump = backup_elsewhere.dump(BackupSettings(directory=str(tmp_path)), "shop", 1_790_000_000)
    Path(dump.path).write_bytes(b"PGDMQ")
    ran.clear()
    with pytest.raises(RingstandError, match="Nothing was changed"):
        backup_elsewhere.restore("shop", dump.path)
    assert ran == []

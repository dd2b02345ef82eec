# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where a scratch cluster lives, what it is told, and that nothing of it is left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import (
    restore_plan,
    restore_recovery,
    scratch_cluster,
)
from ansible_collections.ringstand.flask.plugins.module_utils.backup_settings import BackupSettings
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.pgbackrest import Backup
from ansible_collections.ringstand.flask.plugins.module_utils.postgresql_cluster import Cluster
from ansible_collections.ringstand.flask.plugins.module_utils.restore_plan import Plan
from ansible_collections.ringstand.flask.plugins.module_utils.restore_state import SpokenSteps
from ansible_collections.ringstand.flask.plugins.module_utils.restore_target import Choice

CONTROL_DATA = """pg_control version number:            1700
wal_level setting:                    replica
max_connections setting:              120
max_worker_processes setting:         8
max_wal_senders setting:              10
max_prepared_xacts setting:           5
max_locks_per_xact setting:           64
track_commit_timestamp setting:       off
"""
BACKUP = Backup("20261121-030000F", "full", 1, 2, False, 1000, 500, "000000010000000000000004",
                "000000010000000000000004")
CHOICE = Choice(BACKUP, 1, ["000000010000000000000004"], 3.0)


def plan(tmp_path: Path, target: float | None = None, point: str = "") -> Plan:
    cluster = Cluster("17", "main", 5432, True, "postgres", str(tmp_path / "main"))
    return Plan(BackupSettings(), cluster, target, CHOICE, True, point=point)


def test_what_replay_needs_is_read() -> None:
    assert scratch_cluster.parse_control_data(CONTROL_DATA) == {
        "max_connections": 120, "max_worker_processes": 8, "max_wal_senders": 10, "max_prepared_transactions": 5,
        "max_locks_per_transaction": 64,
    }


@pytest.mark.parametrize(("target", "point", "expected"), [
    (None, "", ["--type=default"]),
    (1_800_000_000.5, "", ["--type=time", "--target=2027-01-15 08:00:00.500000+00"]),
    (1_800_000_000.0, "release-1", ["--type=name", "--target=release-1"]),
])
def test_what_pgbackrest_is_told(tmp_path: Path, target: float | None, point: str, expected: list[str]) -> None:
    always = ["--set=20261121-030000F", "--target-timeline=1"]
    assert restore_recovery.options(plan(tmp_path, target, point)) == [*always, *expected]


def test_a_restore_point_that_is_not_in_the_wal_is_a_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(restore_recovery.restore_replay, "follow", lambda *_arguments: ("then", False))
    wanted = plan(tmp_path, 1_800_000_000.0, "release-1")
    with pytest.raises(RingstandError, match="release-1 of 2027-01-15T08:00:00Z: it is not in the WAL"):
        restore_recovery.recover(wanted, SpokenSteps(str), str)
    by_time = plan(tmp_path, 1_800_000_000.0)
    assert restore_recovery.recover(by_time, SpokenSteps(str), str) == ("then", False)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """No systemd, no pgBackRest; returns what is asked of them."""
    found: list[Any] = []

    def unpack(made: Plan, arguments: list[str]) -> None:
        Path(made.cluster.data_dir).mkdir()
        found.append(arguments)
        if "--db-include=late" in arguments:
            raise RingstandError("database to include 'late' does not exist", rc=80)
        if "--db-include=broken" in arguments:
            raise RingstandError("it is broken", rc=25)

    monkeypatch.setattr(restore_recovery, "unpack", unpack)
    monkeypatch.setattr(restore_recovery, "recover", lambda *_arguments: ("then", True))
    monkeypatch.setattr(restore_plan, "check_space", lambda *arguments: found.append(arguments))
    monkeypatch.setattr(scratch_cluster, "stop", lambda _cluster: None)
    monkeypatch.setattr(scratch_cluster, "journal_tail", lambda *_arguments: "the log")
    monkeypatch.setattr(scratch_cluster.shutil, "chown", lambda *_arguments: None)
    monkeypatch.setattr(Cluster, "query", lambda *_arguments: True)
    return found


@pytest.mark.parametrize(("only", "restored"), [("", [[]]), ("shop", [["--db-include=shop"]]),
                                                ("late", [["--db-include=late"], []])])
def test_it_is_beside_the_cluster_and_gone_afterwards(
    tmp_path: Path, calls: list[Any], only: str, restored: list[list[str]]
) -> None:
    (tmp_path / "ringstand-scratch" / "data").mkdir(parents=True)
    (tmp_path / "main").mkdir()
    with scratch_cluster.restored(plan(tmp_path), SpokenSteps(str), only) as (cluster, until):
        assert (cluster.data_dir, until) == (f"{tmp_path}/ringstand-scratch/data", "then")
        assert cluster.socket_dir == "/run/ringstand-scratch"
        assert "max_" not in (tmp_path / "ringstand-scratch/postgresql.conf").read_text(encoding="utf-8")
    assert [entry.name for entry in tmp_path.iterdir()] == ["main"]
    assert calls[0] == (str(tmp_path), 1000, "into a scratch cluster")
    assert [arguments[2:] for arguments in calls[1:]] == restored
    assert all(f"--pg1-path={cluster.data_dir}" in arguments for arguments in calls[1:])


def test_it_is_gone_after_a_failure_too(tmp_path: Path, calls: list[Any]) -> None:
    broken = scratch_cluster.restored(plan(tmp_path), SpokenSteps(str), "broken")
    with pytest.raises(RingstandError, match="it is broken") as caught, broken:
        raise AssertionError("not reached")
    assert caught.value.details["output"] == "the log"
    with pytest.raises(KeyboardInterrupt), scratch_cluster.restored(plan(tmp_path), SpokenSteps(str)):
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_nothing_of_the_restored_data_overrules_its_isolation() -> None:
    settings = scratch_cluster._SETTINGS
    assert (settings["listen_addresses"], settings["archive_mode"]) == ("", "off")
    assert settings["shared_preload_libraries"] == "" and settings["max_logical_replication_workers"] == "0"

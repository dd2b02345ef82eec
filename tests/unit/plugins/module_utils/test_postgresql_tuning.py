from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.postgresql_tuning import (
    conf_value,
    connections_for,
    kept_size,
    memory_for,
    same_value,
    sized_settings,
    steady,
)


@pytest.mark.parametrize(
    ("memory_mb", "cpus", "connections", "expected"),
    [
        # pgtune.leopard.in.ua, type web, SSD, PostgreSQL 17: 4 GB, 4 CPUs, 100 connections
        (4096, 4, 100, {"shared_buffers": "1024MB", "effective_cache_size": "3072MB", "maintenance_work_mem": "256MB",
                        "work_mem": "10082kB", "max_worker_processes": 4, "max_parallel_workers": 4,
                        "max_parallel_workers_per_gather": 2}),
        (512, 1, 100, {"shared_buffers": "128MB", "maintenance_work_mem": "32MB", "work_mem": "4096kB"}),
        (128, 2, 20, {"shared_buffers": "64MB", "effective_cache_size": "96MB", "work_mem": "4096kB"}),
        (65536, 32, 300, {"shared_buffers": "16384MB", "maintenance_work_mem": "2048MB",
                          "max_parallel_workers_per_gather": 4}),
    ],
)  # fmt: skip
def test_sizes(memory_mb: int, cpus: int, connections: int, expected: dict[str, Any]) -> None:
    settings = sized_settings(memory_mb, cpus, connections)
    assert settings["max_connections"] == connections
    assert {name: settings.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("storage", "disk_mb", "expected"),
    [
        ("ssd", 0, {"random_page_cost": 1.1, "effective_io_concurrency": 200, "max_wal_size": "4GB"}),
        ("hdd", 0, {"random_page_cost": 4.0, "effective_io_concurrency": 2}),
        ("ssd", 500_000, {"max_wal_size": "4GB", "min_wal_size": "1GB"}),
        ("ssd", 20_000, {"max_wal_size": "1920MB", "min_wal_size": "480MB"}),
        ("ssd", 1_000, {"max_wal_size": "256MB", "min_wal_size": "64MB"}),
    ],
)
def test_the_disk(storage: str, disk_mb: int, expected: dict[str, Any]) -> None:
    settings = sized_settings(1024, 2, 100, storage, disk_mb)
    assert {name: settings[name] for name in expected} == expected


@pytest.mark.parametrize(("cpus", "version", "workers"), [(32, "18", 8), (32, "17", None), (8, "18", None)])
def test_processes_for_reading_where_the_server_has_them(cpus: int, version: str, workers: int | None) -> None:
    assert sized_settings(65536, cpus, 100, version=version).get("io_workers") == workers


@pytest.mark.parametrize(("expected", "allowed"), [(0, 100), (87, 100), (88, 150), (137, 150), (138, 200)])
def test_connections_come_in_steps_and_leave_room(expected: int, allowed: int) -> None:
    assert connections_for(expected) == allowed


@pytest.mark.parametrize(
    ("machine", "reserved", "left"), [(4096, None, 2048), (4096, 728, 2856), (1024, 2000, 256), (4096, 0, 3584)]
)
def test_memory_is_what_others_leave(machine: int, reserved: int | None, left: int) -> None:
    assert memory_for(machine, reserved) == left


def test_few_cpus_keep_the_servers_own_parallelism() -> None:
    assert "max_worker_processes" not in sized_settings(1024, 3, 100)


def test_a_new_kernels_few_megabytes_change_nothing() -> None:
    assert sized_settings(3930, 2, 100) == sized_settings(3905, 2, 100)


@pytest.mark.parametrize(
    ("wanted", "running", "kept"),
    [
        ("512MB", "65536", None),  # 512 MB: the same
        ("480MB", "65536", "512MB"),
        ("410MB", "65536", "512MB"),
        ("409MB", "65536", None),
        ("682MB", "65536", "512MB"),
        ("683MB", "65536", None),
        ("512MB", "65000", "520000kB"),
        ("nonsense", "65536", None),
    ],
)
def test_a_size_that_runs_is_kept_when_the_computed_one_is_near(wanted: str, running: str, kept: str | None) -> None:
    assert kept_size(wanted, {"setting": running, "unit": "8kB"}) == kept


@pytest.mark.parametrize(("memory_mb", "expected"), [(128, 128), (143, 128), (144, 144), (4096, 4096), (24105, 22528)])
def test_steady(memory_mb: int, expected: int) -> None:
    assert steady(memory_mb) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 2, 100), "postgresql_memory_mb is 0; give it 128 or more"),
        ((127, 2, 100), "postgresql_memory_mb is 127"),
        ((1024, 0, 100), "0 CPUs"),
        ((1024, 2, 0), "postgresql_settings.max_connections of 0"),
        ((1024, 2, 100, "tape"), "postgresql_storage is 'tape'"),
    ],
)
def test_refused(arguments: Any, message: str) -> None:
    with pytest.raises(RingstandError) as caught:
        sized_settings(*arguments)
    assert caught.value.message.startswith("Failed to size PostgreSQL: ")
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (True, "on"),
        (False, "off"),
        (100, "100"),
        (0.9, "0.9"),
        ("4GB", "'4GB'"),
        ("it's", "'it''s'"),
        ("a\\b", "'a\\\\b'"),
        (["shop", "public"], "'shop, public'"),
        ("", "''"),
    ],
)
def test_conf_value(value: Any, written: str) -> None:
    assert conf_value(value) == written


def test_a_value_of_two_lines_is_refused() -> None:
    with pytest.raises(RingstandError, match="single line"):
        conf_value("on\nfsync = off")


@pytest.mark.parametrize(
    ("wanted", "setting", "unit", "kind", "same"),
    [
        (True, "on", None, "bool", True),
        ("yes", "on", None, "bool", True),
        (False, "on", None, "bool", False),
        ("1GB", "131072", "8kB", "integer", True),
        ("1 GB", "1048576", "kB", "integer", True),
        (131072, "131072", "8kB", "integer", True),
        ("1000MB", "131072", "8kB", "integer", False),
        ("5min", "300", "s", "integer", True),
        ("300s", "300000", "ms", "integer", True),
        (1.1, "1.1", None, "real", True),
        ("a few", "100", None, "integer", False),
        ("Replica", "replica", None, "enum", True),
        ("localhost", "*", None, "string", False),
        (["a", "b"], "a, b", None, "string", True),
    ],
)
def test_a_value_is_compared_as_the_server_does(wanted: Any, setting: str, unit: str, kind: str, same: bool) -> None:
    assert same_value(wanted, {"setting": setting, "unit": unit, "type": kind}) is same

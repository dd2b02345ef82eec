"""What the checks of ``ringstand doctor`` make of what they read."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import (
    doctor,
    doctor_activation,
    doctor_disk,
    doctor_files,
    doctor_memory,
    doctor_postgresql,
    doctor_processes,
    doctor_redis,
)
from ansible_collections.ringstand.flask.plugins.module_utils.doctor_findings import Finding
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.ledger import append_line, utc
from settings_below import Settings  # type: ignore[import-not-found]


def whats(findings: Any) -> list[str]:
    return [finding.what for finding in findings]


def fine() -> Iterator[Finding]:
    yield Finding("host", "one", "do")


def breaks() -> Iterator[Finding]:
    yield Finding("host", "lost", "do")
    raise ZeroDivisionError("by zero")


def refuses() -> Iterator[Finding]:
    raise RingstandError("Failed to look")


def hangs() -> Iterator[Finding]:
    time.sleep(5)
    yield Finding("host", "late", "do")


def test_no_check_keeps_the_others_from_being_told() -> None:
    checks = [("host", check.__name__, check) for check in (breaks, hangs, refuses, fine)]
    found = doctor.run_all(checks, 0.3)
    assert [(finding.check, finding.what) for finding in found] == [
        ("breaks", "this could not be checked: ZeroDivisionError: by zero"),
        ("hangs", "no answer within 0.3 s"),
        ("refuses", "this could not be checked: Failed to look"),
        ("fine", "one"),
    ]


def disk(size: int, free: int, inodes: int = 100, inodes_free: int = 50) -> Any:
    return SimpleNamespace(f_blocks=size, f_frsize=1024**2, f_bavail=free, f_files=inodes, f_favail=inodes_free)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (disk(100_000, 20_000), []),
        (disk(1_000_000, 6_000), []),
        (disk(10_000, 900), ["/srv is 91% full: 900 MB are free"]),
        (disk(100_000, 20_000, inodes_free=5), ["/srv has few inodes left: 5 of 100"]),
        (disk(0, 0, inodes=0), []),
    ],
)
def test_disk(found: Any, expected: list[str]) -> None:
    assert whats(doctor_disk.judge("/srv", found)) == expected


def test_memory() -> None:
    text = "MemTotal:        1000000 kB\nMemFree: 1 kB\nMemAvailable:     {} kB\n"
    assert whats(doctor_memory.judge(text.format(60_000))) == []
    assert whats(doctor_memory.judge(text.format(40_000))) == ["only 39 of 976 MB of memory are available"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"used": 81}, ["81 of 97 connections of 17/main are in use"]),
        ({"idle": [{"user": "shop", "minutes": 20}]}, ["a transaction of shop has been open and idle for 20 minutes"]),
        ({"age": 1_500_000_000}, ["the oldest transaction id of 17/main is 1500 million transactions old"]),
    ],
)
def test_postgresql(changes: dict[str, Any], expected: list[str]) -> None:
    found = {"used": 10, "max": 97, "idle": [], "age": 5, **changes}
    assert whats(doctor_postgresql.judge("17/main", found)) == expected


@pytest.mark.parametrize("url", ["", "mysql://db.example.com/x", "postgresql://shop@/shop?host=/run/postgresql"])
def test_only_a_database_elsewhere_is_called(url: str) -> None:
    assert whats(doctor_postgresql.check_elsewhere("shop", url)) == []


def test_a_database_that_nobody_serves() -> None:
    found = whats(doctor_postgresql.check_elsewhere("shop", "postgresql+psycopg://u:secret@127.0.0.1:1/db"))
    assert found == ["its database server 127.0.0.1:1 cannot be reached: Connection refused"]


QUEUE = {"used_memory": "95", "maxmemory": "100", "maxmemory_policy": "noeviction"}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (QUEUE, ["R is 95% full and forgets nothing: new jobs will be refused"]),
        ({**QUEUE, "used_memory": "50"}, []),
        ({**QUEUE, "maxmemory_policy": "allkeys-lru", "evicted_keys": "9"}, []),
        ({"aof_last_write_status": "err"}, ["R cannot write to its disk"]),
        ({"rejected_connections": "3"}, ["R has refused 3 connections since its start"]),
    ],
)
def test_redis(found: dict[str, str], expected: list[str]) -> None:
    assert whats(doctor_redis.judge("shop", "R", found)) == expected


@pytest.mark.parametrize(
    ("uid", "mode", "good"), [(0, 0o600, True), (0, 0o640, False), (0, 0o604, False), (1000, 0o600, False)]
)
def test_files_with_secrets(uid: int, mode: int, good: bool) -> None:
    info = os.stat_result((0o100000 | mode, 1, 1, 1, uid, 0, 1, 0, 0, 0))
    assert (whats(doctor_files.judge("shop", "/f", info)) == []) is good


WORKER = {"process": "worker", "kind": "worker", "count": 2, "running": 2, "release": "r2", "planned": True}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"running": 1}, ["worker worker: 1 of 2 run"]),
        ({"planned": False}, ["worker worker is not what the settings ask for, or older than them"]),
        ({"release": "r1"}, ["worker worker runs release r1, but r2 serves"]),
    ],
)
def test_processes(changes: dict[str, Any], expected: list[str]) -> None:
    assert whats(doctor_processes.judge("shop", "r2", [{**WORKER, **changes}])) == expected


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_activation, "holder", lambda _layout: "")


START = {"event": "start", "kind": "deploy", "by": "ann", "at": "2026-11-21T09:00:00Z"}


def test_a_last_activation_that_went_well(settings: Settings, idle: None) -> None:
    assert whats(doctor_activation.check(settings)) == []
    append_line(settings.layout.progress, START)
    append_line(settings.layout.progress, {"event": "result", "result": "ok"})
    append_line(settings.layout.ledger, {"kind": "deploy", "result": "failed", "reason": "old"})
    append_line(settings.layout.ledger, {"kind": "deploy", "result": "ok"})
    assert whats(doctor_activation.check(settings)) == []


def test_a_last_activation_that_failed(settings: Settings, idle: None) -> None:
    entry = {"kind": "deploy", "version": "v2", "result": "failed", "reason": "no postgresql://u:secret@h/db"}
    append_line(settings.layout.ledger, entry)
    found = whats(doctor_activation.check(settings))
    assert found == ["the last deploy (v2) failed: no postgresql://u:***@h/db"]
    append_line(settings.layout.ledger, {"kind": "restart", "version": None, "result": "failed", "reason": "early"})
    assert whats(doctor_activation.check(settings)) == ["the last restart failed: early"]


def test_a_last_activation_that_was_killed(settings: Settings, idle: None) -> None:
    append_line(settings.layout.progress, START)
    found = whats(doctor_activation.check(settings))
    assert found == ["the deploy of 2026-11-21T09:00:00Z by ann was ended from outside"]


@pytest.mark.parametrize(
    ("seconds", "step", "told"),
    [(60, "gate", False), (1200, "gate", True), (1200, "migrate", False), (1200, "hook after_switch", False)],
)
def test_an_activation_that_takes_long(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, seconds: int, step: str, told: bool
) -> None:
    monkeypatch.setattr(doctor_activation, "holder", lambda _layout: "deploy by ann")
    append_line(settings.layout.progress, {**START, "at": utc(time.time() - seconds)})
    append_line(settings.layout.progress, {"event": "phase", "phase": step})
    assert bool(whats(doctor_activation.check(settings))) is told

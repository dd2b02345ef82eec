"""Memory for one slot only: when that is so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import in_place, slot_memory
from ansible_collections.ringstand.flask.plugins.module_utils.layout import AppSettings


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A machine with so much memory left, and a slot that uses so much."""
    group = tmp_path / "cgroup/system.slice/slot"
    group.mkdir(parents=True)
    monkeypatch.setattr(slot_memory, "CGROUP_DIR", str(tmp_path / "cgroup"))
    monkeypatch.setattr(slot_memory, "MEMINFO", str(tmp_path / "meminfo"))
    monkeypatch.setattr(slot_memory, "unit_properties", lambda *_names: {"ControlGroup": "/system.slice/slot"})

    def make(available_mb: int, used_mb: int, cgroup_limit_mb: int | None = None) -> None:
        (tmp_path / "meminfo").write_text(f"MemTotal: 1 kB\nMemAvailable: {available_mb * 1024} kB\n")
        (group / "memory.stat").write_text(f"anon {used_mb * 2**20}\nfile 5\n")
        if cgroup_limit_mb:
            (tmp_path / "cgroup/memory.max").write_text(f"{cgroup_limit_mb * 2**20}\n")
            (tmp_path / "cgroup/memory.current").write_text(f"{200 * 2**20}\n")
            (tmp_path / "cgroup/memory.stat").write_text(f"inactive_file {50 * 2**20}\n")

    return make


@pytest.mark.parametrize(
    ("available", "used", "limit", "fits"),
    [
        pytest.param(500, 100, None, True, id="room for two"),
        pytest.param(169, 100, None, True, id="just room: 120 and the reserve"),
        pytest.param(167, 100, None, False, id="just none"),
        pytest.param(130, 100, 80, True, id="its limit is lower"),
    ],
)
def test_room_for_a_second_slot(machine: Any, available: int, used: int, limit: int | None, fits: bool) -> None:
    machine(available, used)
    reason = slot_memory.lack_of_memory("slot.service", limit)
    assert (reason == "") is fits
    assert fits or f"{available} MB of memory are free" in reason


def test_a_container_counts_what_it_may_use(machine: Any) -> None:
    machine(5000, 100, cgroup_limit_mb=260)  # 200 in use, of which 50 can be given back
    assert "110 MB of memory are free" in slot_memory.lack_of_memory("slot.service", None)


def test_what_nobody_knows_is_no_lack(machine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(1, 100)
    monkeypatch.setattr(slot_memory, "unit_properties", lambda *_names: {})
    assert slot_memory.lack_of_memory("slot.service", None) == ""


@pytest.mark.parametrize(
    ("wanted", "slot", "reason"),
    [
        pytest.param("auto", "blue", "no memory", id="auto"),
        pytest.param("two_slots", "blue", "", id="two slots at any price"),
        pytest.param("in_place", "blue", "switch is in_place", id="in place"),
        pytest.param("in_place", None, "", id="the first deploy has no place"),
    ],
)
def test_when_it_is_done(monkeypatch: pytest.MonkeyPatch, wanted: str, slot: str | None, reason: str) -> None:
    monkeypatch.setattr(in_place, "lack_of_memory", lambda *_arguments: "no memory")
    assert in_place.reason_for(AppSettings("shop", "shop:app", {}, switch=wanted), slot) == reason

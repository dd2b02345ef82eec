"""What runs beside the web: the plan, its units, the order of a move, and what is kept of the numbers."""

from __future__ import annotations

import contextlib
import fnmatch
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import (
    process_moves,
    process_plan,
    process_state,
    releases,
)
from ansible_collections.ringstand.flask.plugins.module_utils.app_unit import activation_pattern
from ansible_collections.ringstand.flask.plugins.module_utils.apps import process_settings
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.gunicorn_items import (
    gunicorn_scaled,
    gunicorn_units,
    gunicorn_unsettled,
)
from ansible_collections.ringstand.flask.plugins.module_utils.layout import AppSettings, Layout
from ansible_collections.ringstand.flask.plugins.module_utils.program_processes import scaled
from ansible_collections.ringstand.flask.plugins.module_utils.units import Unit
from settings_below import Settings  # type: ignore[import-not-found]

ONE, TWO = "20261121T120000Z-1111111", "20261121T130000Z-2222222"


@pytest.fixture
def shop(settings: Settings) -> Settings:
    layout = settings.layout
    for name in (ONE, TWO):
        os.makedirs(layout.release_dir(name))
        processes = {"worker": "rq worker high", "clock": "flask clock"}
        releases.write_manifest(layout, name, {"id": name, "procfile": {"wsgi": None, "processes": processes}})
    return settings


@pytest.mark.parametrize(
    ("name", "command", "kind"),
    [
        ("worker", "rq worker high", "worker"),
        ("clock", "python jobs.py", "scheduler"),
        ("beat", "x", "scheduler"),
        ("jobs", "rqscheduler --url $REDIS_URL", "scheduler"),
        ("jobs", "celery -A shop beat", "scheduler"),
        ("jobs", "celery -A shop worker -B", "scheduler"),
        ("jobs", "celery -A shop worker -l info", "worker"),
        ("jobs", "heartbeat", "worker"),
    ],
)
def test_what_makes_appointments_is_a_scheduler(name: str, command: str, kind: str) -> None:
    assert process_settings(name, command)["kind"] == kind
    assert process_settings(name, {"command": command, "kind": "worker"})["kind"] == "worker"


def test_without_settings_the_procfile_of_each_release_is_the_plan(shop: Settings) -> None:
    plan = process_plan.wanted(shop, ONE)
    assert list(plan.instances(shop.layout)) == ["ringstand-shop.clock@1.service", "ringstand-shop.worker@1.service"]
    assert process_plan.release_in(plan.processes[1].text) == ONE


@pytest.mark.parametrize("processes", [{}, {"mail": process_settings("mail", {"command": "x", "count": 2})}])
def test_settings_replace_the_procfile(shop: Settings, processes: dict[str, Any]) -> None:
    settings = Settings("shop", shop.health, processes=processes)
    assert [item.process for item in process_plan.wanted(settings, ONE).processes] == list(processes)


def test_no_app_has_a_unit_of_another() -> None:
    assert Layout("shop").process_unit("worker", 1) != Layout("shop-worker").service_unit("1")
    names = [Layout(app).process_unit("worker", 1) for app in ("shop", "shop-worker", "shop_x")]
    assert fnmatch.filter(names, Layout("shop").process_unit("*", "*")) == names[:1]
    assert fnmatch.filter(names, activation_pattern("worker")) == []


def test_units_of_an_app_whose_name_begins_alike_are_not_its_own(shop: Settings) -> None:
    for name in ("ringstand-shop.worker@.service", "ringstand-shop-b.worker@.service", "ringstand-shop@.service"):
        Path(shop.layout.units_dir, name).write_text("text", encoding="utf-8")
    assert list(process_plan.units_on_disk(shop.layout)) == ["worker"]


@pytest.mark.skipif(not Path("/usr/bin/systemd-analyze").exists(), reason="this machine has no systemd-analyze")
def test_systemd_accepts_the_unit(shop: Settings, tmp_path: Path) -> None:
    command = "cd . && echo \"100% $HOME\" 'a\\b' | cat"
    settings = Settings("root", shop.health, processes={"x": process_settings("x", {"command": command})})
    os.makedirs(settings.layout.release_dir(ONE))
    path = tmp_path / "ringstand-root.x@1.service"
    path.write_text(process_plan.wanted(settings, ONE).processes[0].text, encoding="utf-8")
    done = subprocess.run(["systemd-analyze", "verify", str(path)], capture_output=True, text=True, check=False)
    assert "Failed to" not in done.stderr
    assert "nknown" not in done.stderr
    assert "100%% $$HOME" in path.read_text(encoding="utf-8")


class Systemd:
    """Notes what is asked of systemd; what is started runs, unless it is broken."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.running: set[str] = set()
        self.broken: set[str] = set()

    def systemctl(self, verb: str, *names: str, **_options: Any) -> subprocess.CompletedProcess[str]:
        listed = "".join(f"{name} loaded active running x\n" for name in sorted(self.running))
        if verb == "stop":
            self.running -= set(names)
        elif verb in ("start", "restart"):
            self.running |= set(names)
        if verb in ("stop", "start", "restart"):
            self.asked.append(f"{verb} {' '.join(name[len('ringstand-shop.'):-len('.service')] for name in names)}")
        return subprocess.CompletedProcess([], 0, listed if verb == "list-units" else "", "")

    def show(self, names: list[str]) -> list[Unit]:
        return [Unit({"Id": name, "LoadState": "loaded", "ActiveState": self.state(name), "Result": "exit-code"})
                for name in names]

    def state(self, name: str) -> str:
        return "failed" if name in self.broken else "active" if name in self.running else "inactive"


@pytest.fixture
def systemd(monkeypatch: pytest.MonkeyPatch) -> Systemd:
    fake = Systemd()
    for module in (process_moves, process_state):
        monkeypatch.setattr(module, "systemctl", fake.systemctl)
        monkeypatch.setattr(module.units, "show", fake.show)
    monkeypatch.setattr(process_moves, "journal_tail", lambda *_: "")
    return fake


class Steps:
    """Stands for the progress of an activation."""

    def __init__(self) -> None:
        self.notices: list[str] = []
        self.about: dict[str, Any] = {}

    def phase(self, _name: str) -> Any:
        return contextlib.nullcontext()

    def notice(self, text: str) -> None:
        self.notices.append(text)


def moved(settings: AppSettings, release: str, **options: Any) -> Steps:
    steps = Steps()
    move = process_moves.Move(settings, steps)  # type: ignore[arg-type]
    try:
        move.to(release, **options)
    except RingstandError:
        move.back()
        raise
    return steps


def test_old_schedulers_end_first_and_new_ones_start_last(shop: Settings, systemd: Systemd) -> None:
    moved(shop, ONE)
    assert systemd.asked == ["restart worker@1", "start clock@1"]
    systemd.asked.clear()
    moved(shop, TWO)
    assert systemd.asked == ["stop clock@1", "restart worker@1", "start clock@1"]
    assert process_plan.releases_in_use(shop.layout) == {TWO}


def test_what_is_as_planned_goes_on_running(shop: Settings, systemd: Systemd) -> None:
    moved(shop, ONE)
    systemd.asked.clear()
    moved(shop, ONE)
    assert systemd.asked == []
    moved(shop, ONE, restart_all=True)
    assert systemd.asked == ["stop clock@1", "restart worker@1", "start clock@1"]


def test_one_that_fails_moves_all_back(shop: Settings, systemd: Systemd) -> None:
    moved(shop, ONE)
    systemd.asked.clear()
    systemd.broken = {"ringstand-shop.clock@1.service"}

    def show(names: list[str], was=systemd.show) -> list[Unit]:
        text = Path(shop.layout.units_dir, "ringstand-shop.clock@.service").read_text(encoding="utf-8")
        systemd.broken = {"ringstand-shop.clock@1.service"} if TWO in text else set()
        return was(names)

    process_moves.units.show = show  # restored by the fixture's monkeypatch
    with pytest.raises(RingstandError, match="Failed to run process clock of"):
        moved(shop, TWO)
    assert systemd.asked[-2:] == ["restart worker@1", "start clock@1"]
    assert {process_plan.release_in(text) for text in process_plan.units_on_disk(shop.layout).values()} == {ONE}
    assert process_plan.last_good(shop.layout).release == ONE


def test_back_is_to_what_serves_even_after_a_killed_activation(shop: Settings, systemd: Systemd) -> None:
    moved(shop, ONE)
    os.symlink(f"../releases/{TWO}", shop.layout.slot_link("blue"))
    os.symlink("slots/blue", shop.layout.live_link)  # which was switched to, and then the activation was killed
    move = process_moves.Move(shop, Steps())  # type: ignore[arg-type]
    move.to(ONE)
    move.back()
    assert process_plan.releases_in_use(shop.layout) == {ONE, TWO}
    assert {process_plan.release_in(text) for text in process_plan.units_on_disk(shop.layout).values()} == {TWO}


def test_one_that_did_not_run_before_either_is_a_notice(shop: Settings, systemd: Systemd) -> None:
    moved(shop, ONE)
    systemd.broken = {"ringstand-shop.worker@1.service"}
    assert "did not before either" in moved(shop, TWO).notices[0]
    with pytest.raises(RingstandError, match="worker"):
        moved(shop, TWO, is_strict=True)


def test_a_removed_process_is_stopped_removed_and_told(shop: Settings, systemd: Systemd) -> None:
    moved(shop, ONE)
    systemd.asked.clear()
    processes = {"clock": process_settings("clock", "flask clock")}
    settings = Settings("shop", shop.health, wsgi=shop.wsgi, processes=processes)
    steps = moved(settings, ONE)
    assert systemd.asked == ["stop worker@1"]
    assert "worker is no process of shop any more" in steps.notices[0]
    assert os.listdir(shop.layout.units_dir) == ["ringstand-shop.clock@.service"]


def test_numbers_are_kept_and_win_over_those_of_the_settings(shop: Settings, systemd: Systemd) -> None:
    moved(shop, ONE)
    process_plan.write_scale(shop.layout, {"worker": 3, "clock": 2, "gone": 1})
    systemd.asked.clear()
    moved(shop, ONE)
    assert systemd.asked == ["restart worker@2 worker@3"]  # and never a second clock
    process_plan.write_scale(shop.layout, {"worker": 0})
    moved(shop, ONE)
    assert systemd.asked[-1] == "stop worker@1 worker@2 worker@3"


PROCESSES = [{"process": "worker", "kind": "worker"}, {"process": "clock", "kind": "scheduler"},
             {"process": "old", "kind": "removed"}]


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        (["clock=2"], "twice"),
        (["web=2"], "workers and threads"),
        (["old=2"], "no process 'old'"),
        (["worker"], "no number"),
        (["worker=-1"], "no number"),
        (["worker=101"], "no number"),
    ],
)
def test_numbers_that_are_refused(shop: Settings, numbers: list[str], words: str) -> None:
    with pytest.raises(RingstandError, match=words):
        scaled(shop, PROCESSES, numbers)


def test_numbers_add_to_those_that_are_kept(shop: Settings) -> None:
    process_plan.write_scale(shop.layout, {"worker": 2})
    assert scaled(shop, PROCESSES, ["clock=0"]) == {"worker": 2, "clock": 0}
    assert scaled(shop, PROCESSES, ["worker=default"]) == {}
    Path(shop.layout.process_scale).write_text("nonsense", encoding="utf-8")
    assert scaled(shop, PROCESSES, []) == {}


def test_prune_keeps_the_release_that_a_process_runs(shop: Settings, systemd: Systemd) -> None:
    moved(shop, ONE)
    assert releases.prune(shop.layout, 1, [], process_plan.releases_in_use(shop.layout)) == []
    assert releases.prune(shop.layout, 1, []) == [ONE]


STATE = {"release": ONE, "slot": "blue", "service": "active", "listener": "active", "linked": True, "activation": ""}
WORKER = {"process": "worker", "planned": True, "units": ["ringstand-shop.worker@1.service"], "running": 0, "count": 1}


def test_a_stopped_worker_is_started_and_a_changed_one_takes_an_activation() -> None:
    stopped = {"shop": {**STATE, "processes": [WORKER]}}
    assert gunicorn_units(stopped)[-1] == {"name": WORKER["units"][0], "masked": False, "state": "started"}
    assert gunicorn_unsettled(stopped, []) == []
    assert gunicorn_unsettled(stopped, ["/etc/ringstand/apps/shop.json"]) == ["shop"]
    changed = {"shop": {**STATE, "processes": [{**WORKER, "planned": False}]}}
    assert WORKER["units"][0] not in json.dumps(gunicorn_units(changed))
    assert gunicorn_unsettled(changed, []) == ["shop"]
    busy = {"shop": {**changed["shop"], "activation": "deploy by ann"}}
    assert gunicorn_unsettled(busy, ["/etc/ringstand/apps/shop.json"]) == []


@pytest.mark.parametrize(
    ("processes", "scale", "found"),
    [
        (None, {}, []),
        (None, {"worker": 3}, [{"app": "shop", "process": "worker", "count": 3, "wanted": 1}]),
        ({"worker": {"command": "x", "count": 3}}, {"worker": 3}, []),
        ({"worker": "x"}, {"worker": 0, "gone": 2}, [{"app": "shop", "process": "worker", "count": 0, "wanted": 1}]),
    ],
)
def test_a_number_set_by_hand_is_reported(processes: Any, scale: dict[str, int], found: list[Any]) -> None:
    assert gunicorn_scaled([{"name": "shop", "processes": processes}], {"shop": {"scale": scale}}) == found

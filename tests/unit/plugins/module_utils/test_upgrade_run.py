"""An upgrade that fails, is stopped, or is killed at each of its steps, and what the next run makes of it."""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import (
    doctor_postgresql,
    maintenance_apps,
    program_upgrade,
    upgrade_archive,
    upgrade_clusters,
    upgrade_plan,
    upgrade_run,
    upgrade_state,
)
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.postgresql_cluster import Cluster, Host
from ansible_collections.ringstand.flask.plugins.module_utils.upgrade_state import BACK, COPYING, SERVING, State

WHY = "upgrade of PostgreSQL to 17"


class Killed(BaseException):
    """What nobody can catch."""


class World:
    """A host with a shop: its clusters by version and name, what runs, and which apps are in maintenance for what."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
        self.clusters = {("15", "main"): "old data"}
        self.ports, self.boots = {("15", "main"): 5432}, {("15", "main"): "auto"}
        self.running = {("15", "main")}
        self.maintenance: dict[str, str] = {}
        self.steps: list[str] = []
        self.forgotten: list[str] = []
        self.at: tuple[str, BaseException] | None = None
        self.path = path
        monkeypatch.setattr(upgrade_state, "STATE_PATH", str(path / "upgrade-state.json"))
        monkeypatch.setattr(upgrade_run, "CONFIG_PATH", str(path))
        monkeypatch.setattr(program_upgrade, "RESULT_PATH", str(path / "upgrade.json"))
        monkeypatch.setattr(program_upgrade, "say", lambda _text: None)
        monkeypatch.setattr(program_upgrade.signal, "signal", lambda *_arguments: None)
        monkeypatch.setattr(upgrade_run.Host, "read", lambda _name: Host(self.listed()))
        monkeypatch.setattr(upgrade_run, "starts_at_boot", self.starts_at_boot)
        monkeypatch.setattr(upgrade_run, "unit_properties", self.properties)
        monkeypatch.setattr(upgrade_run, "server_log", lambda _cluster: "")
        monkeypatch.setattr(upgrade_run.os.path, "exists", self.exists)
        monkeypatch.setattr(upgrade_run, "must", lambda _what, *command: self.step(" ".join(command[1:])))
        monkeypatch.setattr(upgrade_run, "_copy", self.copy)
        monkeypatch.setattr(upgrade_run, "_make_good", lambda _cluster, _say: self.step("make good") or [])
        monkeypatch.setattr(upgrade_archive, "follow", lambda before, cluster: self.step(f"archive {cluster}"))
        monkeypatch.setattr(upgrade_clusters, "forget", self.forget)
        for name in ("find", "start", "stop", "starting", "configure", "rename", "remove_copy", "take_settings"):
            monkeypatch.setattr(upgrade_clusters, name, getattr(self, name))
        monkeypatch.setattr(maintenance_apps, "of_databases", self.of_databases)
        monkeypatch.setattr(maintenance_apps, "end", self.end)
        monkeypatch.setattr(upgrade_plan, "make", self.plan)

    def have(self, *names: str) -> None:
        self.clusters = {(name.split("/")[0], name.split("/")[1]): "data" for name in names}
        self.ports = dict.fromkeys(self.clusters, 1)

    def step(self, words: str) -> None:
        self.steps.append(words)
        if self.at and self.at[0] == words:
            error, self.at = self.at[1], None
            raise error

    def listed(self) -> list[Cluster]:
        return [Cluster(version, name, self.ports[version, name], (version, name) in self.running, "postgres",
                        f"/d/{version}/{name}") for version, name in sorted(self.clusters)]

    def starts_at_boot(self, config_dir: str) -> bool:
        version, name = config_dir.split("/")[-2:]
        return self.boots[version, name] == "auto"

    def exists(self, path: str) -> bool:
        parts = path.split("/")
        return tuple(parts[2:4]) in self.clusters if path.startswith("/d/") else bool(Path(path).parts)

    def properties(self, unit: str, _name: str) -> dict[str, str]:
        version, _dash, name = unit.removeprefix("postgresql@").removesuffix(".service").partition("-")
        return {"ActiveState": "active" if (version, name) in self.running else "inactive"}

    def plan(self, version: str, name: str, check: bool) -> upgrade_plan.UpgradePlan:
        found = [cluster for cluster in self.listed() if cluster.name == name]
        assert len(found) == 1, found
        return upgrade_plan.UpgradePlan(found[0], version)

    def copy(self, plan: upgrade_plan.UpgradePlan) -> None:
        self.running.discard(("15", "main"))
        self.clusters["17", "main"], self.ports["17", "main"] = "half", 5433
        self.boots["17", "main"] = self.boots["15", "main"]
        self.step("copy")
        self.clusters["17", "main"] = "copied"
        self.ports.update({("15", "main"): 5433, ("17", "main"): 5432})

    def find(self, version: str, name: str) -> Cluster:
        return next(one for one in self.listed() if (one.version, one.name) == (version, name))

    def start(self, cluster: Cluster) -> None:
        self.step(f"start {cluster}")
        self.running.add((cluster.version, cluster.name))
        assert len({self.ports[key] for key in self.running}) == len(self.running)
        self.step(f"started {cluster}")

    def stop(self, cluster: Cluster) -> None:
        self.running.discard((cluster.version, cluster.name))

    def starting(self, cluster: Cluster, how: str) -> None:
        self.step(f"{cluster} {how}")
        self.boots[cluster.version, cluster.name] = how

    def configure(self, cluster: Cluster, port: int, how: str) -> None:
        self.ports[cluster.version, cluster.name] = port
        self.starting(cluster, how)

    def rename(self, version: str, before: str, after: str) -> None:
        if (version, before) in self.clusters:
            assert (version, before) not in self.running
            for of in (self.clusters, self.ports, self.boots):
                of[version, after] = of.pop((version, before))  # type: ignore[attr-defined]
        self.step(f"rename {version} {after}")

    def forget(self, version: str, name: str) -> None:
        self.forgotten.append(f"{version}/{name}")

    def remove_copy(self, version: str, name: str) -> None:
        assert self.clusters.get((version, name)) != "served", "what was written since would be gone"
        for of in (self.clusters, self.ports, self.boots):
            of.pop((version, name), None)  # type: ignore[attr-defined]
        self.running.discard((version, name))

    def take_settings(self, *_arguments: Any) -> None:
        self.step("settings")

    @contextlib.contextmanager
    def of_databases(self, why: str, _say: Callable[[str], None]) -> Iterator[None]:
        begun = "shop" not in self.maintenance
        self.maintenance.setdefault("shop", why)
        try:
            yield
        except Killed:
            begun = False
            raise
        finally:
            if begun:
                self.maintenance.clear()

    def end(self, why: str) -> None:
        self.maintenance = {app: reason for app, reason in self.maintenance.items() if reason != why}

    def run(self, *flags: str, to: str = "17") -> dict[str, Any]:
        """The process in the unit; returns its result."""
        (self.path / "upgrade.json").unlink(missing_ok=True)
        options = argparse.Namespace(to=to, cluster="main", no_backup=False, rollback="--rollback" in flags)
        program_upgrade._upgrading(options)
        found: dict[str, Any] = json.loads((self.path / "upgrade.json").read_text())
        return found

    def is_old(self) -> bool:
        """Whether the host is as it was, and nothing is left of what was tried."""
        return (self.clusters, self.ports, self.boots, self.running, self.maintenance, upgrade_state.read()) == (
            {("15", "main"): "old data"}, {("15", "main"): 5432}, {("15", "main"): "auto"}, {("15", "main")}, {}, None)

    def is_new(self) -> bool:
        return (
            set(self.clusters) == {("15", "main_before_17"), ("17", "main")} and self.running == {("17", "main")}
            and self.ports["17", "main"] == 5432 and self.boots["17", "main"] == "auto"
            and self.boots["15", "main_before_17"] == "manual"
            and self.clusters["15", "main_before_17"] == "old data" and not self.maintenance
            and upgrade_state.read() is None and self.steps[-2:] == ["archive 17/main", "backup --full"]
        )


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    (tmp_path / "of_state").touch()
    return World(monkeypatch, tmp_path)


WHILE_IT_COPIES = ["15/main manual", "copy", "rename 15 main_before_17", "settings"]
ONCE_IT_SERVES = ["17/main auto", "start 17/main", "started 17/main", "make good", "archive 17/main", "backup --full"]


def test_there_and_back(world: World) -> None:
    assert world.run()["upgraded"] == "17/main"
    assert world.is_new()
    back = world.run("--rollback")
    assert (back["upgraded"], back["kept"], back["problems"]) == ("15/main", "17/main_rolled_back", [])
    assert world.running == {("15", "main")} and world.ports["15", "main"] == 5432 and not world.maintenance
    assert world.boots == {("15", "main"): "auto", ("17", "main_rolled_back"): "manual"}
    assert world.steps[-2:] == ["archive 15/main", "backup --full"]
    assert world.forgotten == ["15/main_before_17", "17/main_rolled_back"]


def test_nothing_is_changed_when_the_backup_fails(world: World) -> None:
    world.at = "backup", RingstandError("Failed to back up")
    assert world.run()["result"] == "failed"
    assert world.is_old() and world.steps == ["backup"]


@pytest.mark.parametrize("step", [*WHILE_IT_COPIES, "17/main auto", "start 17/main"])
def test_what_fails_is_put_back_at_once(world: World, step: str) -> None:
    world.at = step, RingstandError("Failed to do it")
    assert "The cluster 15/main runs as before" in world.run()["reason"]
    assert world.is_old()


@pytest.mark.parametrize("step", ["backup", *WHILE_IT_COPIES])
def test_what_is_stopped_while_it_copies_is_put_back_at_once(world: World, step: str) -> None:
    world.at = step, KeyboardInterrupt()
    assert "stopped from outside" in world.run()["reason"]
    assert world.is_old()


@pytest.mark.parametrize("step", WHILE_IT_COPIES)
@pytest.mark.parametrize("flags", [(), ("--rollback",)])
def test_what_is_killed_while_it_copies_is_taken_back_by_the_next_run(
    world: World, step: str, flags: tuple[str, ...]
) -> None:
    world.at = step, Killed()
    with pytest.raises(Killed):
        world.run()
    assert world.maintenance == {"shop": WHY}
    assert "auto" not in [how for key, how in world.boots.items() if key[0] == "17"] or step == "15/main manual"
    result = world.run(*flags)
    assert result["result"] == "ok"
    assert (world.is_old() and result["kept"] == "") if flags else world.is_new()


@pytest.mark.parametrize("step", ONCE_IT_SERVES)
@pytest.mark.parametrize("error", [Killed(), KeyboardInterrupt()])
def test_what_is_cut_once_it_serves_is_finished_by_the_next_run(
    world: World, step: str, error: BaseException
) -> None:
    world.at = step, error
    with contextlib.suppress(Killed):
        assert world.run()["result"] == "failed"
    world.clusters["17", "main"] = "served"
    assert world.run()["upgraded"] == "17/main"
    assert world.is_new() and world.clusters["17", "main"] == "served"


@pytest.mark.parametrize("step", ONCE_IT_SERVES)
def test_what_is_killed_once_it_serves_can_also_go_back(world: World, step: str) -> None:
    world.at = step, Killed()
    with pytest.raises(Killed):
        world.run()
    world.clusters["17", "main"] = "served"
    assert world.run("--rollback")["kept"] == "17/main_rolled_back"
    assert world.clusters == {("15", "main"): "old data", ("17", "main_rolled_back"): "served"}
    assert world.running == {("15", "main")} and not world.maintenance and upgrade_state.read() is None


@pytest.mark.parametrize(
    "step",
    ["rename 17 main_rolled_back", "17/main_rolled_back manual", "rename 15 main", "15/main auto", "start 15/main",
     "started 15/main", "archive 15/main", "backup --full"],
)
@pytest.mark.parametrize("error", [Killed(), KeyboardInterrupt(), RingstandError("Failed to do it")])
def test_a_way_back_that_is_cut_goes_on(world: World, step: str, error: BaseException) -> None:
    world.run()
    world.clusters["17", "main"] = "served"
    world.at = step, error
    with contextlib.suppress(Killed):
        world.run("--rollback")
    if upgrade_state.read():
        assert "Finish it first: ringstand upgrade --rollback" in world.run()["reason"]
        assert world.run("--rollback")["result"] == "ok"
    assert world.clusters == {("15", "main"): "old data", ("17", "main_rolled_back"): "served"}
    assert world.running == {("15", "main")} and world.ports["15", "main"] == 5432
    assert not world.maintenance and upgrade_state.read() is None


@pytest.mark.parametrize("step", ["rename 15 main", "15/main auto", "start 15/main", "started 15/main"])
@pytest.mark.parametrize("error", [Killed(), KeyboardInterrupt(), RingstandError("Failed to do it")])
def test_what_is_cut_while_it_is_put_back_is_put_back_by_the_next_run(
    world: World, step: str, error: BaseException
) -> None:
    world.at = "settings", Killed()
    with pytest.raises(Killed):
        world.run()
    world.at = step, error
    with contextlib.suppress(Killed):
        assert world.run("--rollback")["result"] == "failed"
    assert world.run("--rollback")["result"] == "ok"
    assert world.is_old()


def test_a_copy_that_somebody_started_is_left(world: World) -> None:
    world.at = "settings", Killed()
    with pytest.raises(Killed):
        world.run()
    world.running.add(("17", "main"))
    assert "may have been written to. Nothing was changed" in world.run("--rollback")["reason"]
    assert set(world.clusters) == {("15", "main_before_17"), ("17", "main")}


def test_the_copy_is_left_when_the_old_data_is_not_where_it_was(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.at = "copy", Killed()
    with pytest.raises(Killed):
        world.run()
    monkeypatch.setattr(upgrade_run.os.path, "exists", lambda path: not path.startswith("/d/15"))
    assert "Failed to find the data of 15/main" in world.run("--rollback")["reason"]
    assert set(world.clusters) == {("15", "main"), ("17", "main")}


@pytest.mark.parametrize(
    ("phase", "clusters", "settled"),
    [
        (COPYING, ["15/main"], False),
        (COPYING, ["15/main_before_17", "17/main"], False),
        (COPYING, ["17/main"], True),
        (SERVING, ["15/main_before_17", "17/main"], False),
        (SERVING, ["15/main"], True),
        (SERVING, ["17/main"], True),
        (BACK, ["15/main", "17/main_rolled_back"], False),
        (BACK, ["15/main_before_17", "17/main"], False),
        (BACK, ["15/main"], True),
        (BACK, ["17/main"], True),
    ],
)
def test_what_was_settled_by_hand_is_forgotten(world: World, phase: str, clusters: list[str], settled: bool) -> None:
    upgrade_state.write(replace(STATE, phase=phase))
    world.maintenance = {"shop": WHY, "blog": "its owner"}
    world.have(*clusters)
    found = upgrade_run.interrupted(lambda _text: None)
    assert (found is None) == settled == (upgrade_state.read() is None) == ("shop" not in world.maintenance)
    assert "blog" in world.maintenance


def test_doctor_names_what_was_interrupted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_postgresql, "_is_used", lambda: False)
    for active, words in ((True, []), (False, ["the upgrade of 15/main to 17 was interrupted"])):
        upgrade_state.write(STATE)
        monkeypatch.setattr(doctor_postgresql.transient_unit, "is_active", lambda _unit, active=active: active)
        assert [found.what for found in doctor_postgresql.check_host()] == words


def test_there_is_no_way_back_without_an_upgrade(world: World) -> None:
    assert "no cluster that was kept" in world.run("--rollback")["reason"]


def test_a_second_way_back_is_refused_while_the_first_one_is_kept(world: World) -> None:
    world.run()
    world.run("--rollback")
    world.run()
    assert "pg_dropcluster 17 main_rolled_back" in world.run("--rollback")["reason"]
    assert world.running == {("17", "main")} and upgrade_state.read() is None


@pytest.mark.parametrize(
    ("phase", "version", "words"),
    [
        (COPYING, "17", "take back the upgrade of 15/main to 17, which was interrupted, then upgrade to 17"),
        (SERVING, "17", "finish the upgrade of 15/main to 17, which was interrupted"),
        (SERVING, "18", "finish the upgrade of 15/main to 17, which was interrupted, then upgrade to 18"),
    ],
)
def test_what_is_foreseen(world: World, phase: str, version: str, words: str) -> None:
    upgrade_state.write(replace(STATE, phase=phase))
    world.have("15/main_before_17", "17/main")
    found = program_upgrade._foresee(argparse.Namespace(to=version, cluster="main"))
    assert found["would"] == words


def test_a_way_back_is_not_taken_for_an_upgrade(world: World) -> None:
    upgrade_state.write(replace(STATE, phase=BACK))
    world.have("15/main_before_17", "17/main")
    with pytest.raises(RingstandError, match="the way back from 17/main to 15/main was interrupted"):
        program_upgrade._foresee(argparse.Namespace(to="17", cluster="main"))


STATE = State(COPYING, "main", "15", "17", 5432, 0, "/d/15/main", "auto", WHY, True)


def test_a_damaged_state_is_no_traceback(world: World) -> None:
    Path(upgrade_state.STATE_PATH).write_text('{"phase": "copying"}')
    with pytest.raises(RingstandError, match="pg_lsclusters"):
        upgrade_state.read()

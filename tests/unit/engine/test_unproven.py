"""What comes of a release that had the traffic and was not proven yet, when its activation is ended from outside.

With units that are only pretended: molecule/gunicorn kills real ones, and the end-to-end tests cut the power.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import (
    links,
    process_moves,
    program_units,
    schema_of_release,
    switch,
    unproven,
)
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.ledger import Progress, append_line, read_lines
from ansible_collections.ringstand.flask.plugins.module_utils.unproven import Note
from settings_below import Settings  # type: ignore[import-not-found]

OLD, NEW = "20261121T120000Z-1111111", "20261121T130000Z-2222222"


class Host:
    """Units that run or not, and what was asked of them."""

    def __init__(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        self.settings, self.layout = settings, settings.layout
        self.running: set[str] = set()
        self.asked: list[str] = []
        for module in (switch, unproven):
            monkeypatch.setattr(module, "systemctl", self.systemctl)
            monkeypatch.setattr(module, "unit_properties", self.properties)
        monkeypatch.setattr(switch, "wait_empty_queue", lambda *_arguments: True)
        monkeypatch.setattr(process_moves, "run_last_good", lambda _settings: self.asked.append("processes") or "")

    def systemctl(self, verb: str, *units: str, **_options: Any) -> None:
        services = {unit.partition("@")[2].partition(".")[0] for unit in units if unit.endswith(".service")}
        if verb in ("stop", "start", "restart") and services:
            self.asked.append(f"{verb} {','.join(services)}")
            self.running = self.running - services if verb == "stop" else self.running | services

    def properties(self, unit: str, *_names: str) -> dict[str, str]:
        slot = unit.partition("@")[2].partition(".")[0]
        return {"ActiveState": "active" if slot in self.running else "inactive"}

    def serve(self, slot: str, release: str) -> None:
        os.makedirs(self.layout.release_dir(release), exist_ok=True)
        links.point(self.layout.slot_link(slot), f"../releases/{release}")
        switch.set_live(self.layout, slot)
        self.running.add(slot)

    def reaches(self, step: str, proven: bool = False) -> None:
        """An activation that comes to this step, and is killed in it."""
        progress = Progress(self.layout, "deploy", "ann", len)
        progress.about["release"] = NEW
        if proven:
            progress.proven()
        with progress.phase(step):
            pass

    def served(self) -> tuple[str | None, str | None, list[str]]:
        return switch.live_release(self.layout), os.path.basename(self.socket()), sorted(self.running)

    def socket(self) -> str:
        return os.readlink(self.layout.live_socket) if os.path.lexists(self.layout.live_socket) else ""


@pytest.fixture
def host(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(settings, monkeypatch)


def switched(host: Host, **about: Any) -> None:
    """A host on which a new release has just got the traffic of the old one, which runs on."""
    host.serve("blue", OLD)
    host.serve("green", NEW)
    unproven.begin(host.layout, Note("green", NEW, "blue", OLD, **about))
    host.reaches("probation")


def test_what_still_runs_takes_the_traffic_back(host: Host) -> None:
    switched(host, unknown="600d")  # it has served with that schema until a moment ago
    said = unproven.settle(host.settings)
    assert said == f"{NEW} was not proven yet: the traffic went back to {OLD}."
    assert host.served() == (OLD, "blue.sock", ["blue"])
    assert host.asked == ["stop green", "processes"]
    assert unproven.read(host.layout) is None
    assert unproven.settle(host.settings) == ""


def test_at_a_boot_only_links_are_set(host: Host) -> None:
    switched(host)
    host.running.clear()
    assert "went back" in unproven.settle(host.settings, at_boot=True)
    assert host.served() == (OLD, "blue.sock", [])
    assert host.asked == []


@pytest.mark.parametrize("at_boot", [True, False])
def test_what_would_have_to_start_anew_must_know_the_schema(host: Host, at_boot: bool) -> None:
    switched(host, unknown="600d")
    host.running = set() if at_boot else {"green"}
    said = unproven.settle(host.settings, at_boot)
    assert f"{NEW} keeps the traffic although it is not proven; `ringstand restart shop` proves it" in said
    assert f"revision 600d, which {OLD} does not know" in said
    assert host.served()[:2] == (NEW, "green.sock")
    assert unproven.read(host.layout) is None


def test_what_does_not_run_any_more_is_started(host: Host) -> None:
    switched(host)
    host.running = {"green"}
    unproven.settle(host.settings)
    assert host.served() == (OLD, "blue.sock", ["blue"])
    assert host.asked == ["start blue", "stop green", "processes"]


def test_what_cannot_serve_again_leaves_the_traffic_where_it_is(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    switched(host)
    host.running = {"green"}

    def refuses(*_arguments: Any) -> None:
        raise RingstandError("Failed to start it")

    monkeypatch.setattr(switch, "start", refuses)
    assert f"{OLD} cannot serve again: Failed to start it" in unproven.settle(host.settings)
    assert host.served() == (NEW, "green.sock", ["green"])


def test_what_has_served_well_before_keeps_the_traffic(host: Host) -> None:
    """As the target of a rollback: who wants to be rid of a release does not get it back by a power cut."""
    switched(host, has_served=True)
    assert unproven.settle(host.settings) == f"{NEW} keeps the traffic, as it has served well before."
    assert host.served() == (NEW, "green.sock", ["green"])
    assert host.asked == ["stop blue", "processes"]


def test_a_first_release_is_taken_out_of_service(host: Host) -> None:
    host.serve("blue", NEW)
    unproven.begin(host.layout, Note("blue", NEW, None, None))
    host.reaches("observe")
    assert "shop is out of service until the next deploy" in unproven.settle(host.settings)
    assert host.served() == (None, "", [])


@pytest.mark.parametrize("returned", [False, True], ids=["before the switch", "in the return from it"])
def test_what_serves_already_goes_on_and_the_other_ends(host: Host, returned: bool) -> None:
    host.serve("green", NEW)
    host.serve("blue", OLD)
    unproven.begin(host.layout, Note("green", NEW, "blue", OLD))
    host.reaches("processes back" if returned else "gate")
    if returned:  # half of it: what nginx connects to has not been renamed
        os.unlink(host.layout.live_socket)
    assert unproven.settle(host.settings) == ""
    assert host.served() == (OLD, "blue.sock", ["blue"])


@pytest.mark.parametrize("at_boot", [True, False])
@pytest.mark.parametrize(("has_served", "serves"), [(False, OLD), (True, NEW)])
def test_static_files_are_those_of_what_serves(host: Host, at_boot: bool, has_served: bool, serves: str) -> None:
    """Whichever they were: it was killed before, after, or between the files that the switch has put in place."""
    host.settings = replace(host.settings, static={"url": "/static/", "dir": "static"})
    published = Path(host.layout.static_dir)
    published.mkdir()
    for release in (OLD, NEW):
        static = Path(host.layout.release_dir(release), "src", "static")
        static.mkdir(parents=True)
        for name in ("a.css", "b.css"):
            (static / name).write_text(release)
            (published / name).write_text(OLD if name == "a.css" else NEW)
    (published / "a.css.ringstand-new").write_text(NEW)
    switched(host, has_served=has_served)
    unproven.settle(host.settings, at_boot)
    assert switch.live_release(host.layout) == serves
    assert {path.name: path.read_text() for path in published.iterdir()} == {"a.css": serves, "b.css": serves}


@pytest.mark.parametrize("linked", [OLD, NEW])
def test_in_place_the_old_release_starts_again(host: Host, linked: str) -> None:
    """Also when it is linked: then the activation may have died before the restart, and nobody knows what runs."""
    host.serve("blue", OLD)
    host.serve("blue", linked)
    unproven.begin(host.layout, Note("blue", NEW, "blue", OLD))
    host.reaches("gate")
    assert f"went back to {OLD}" in unproven.settle(host.settings)
    assert host.served() == (OLD, "blue.sock", ["blue"])
    assert host.asked == ["restart blue", "processes"]


def test_what_was_killed_before_the_switch_runs_no_longer(host: Host) -> None:
    host.serve("green", NEW)
    host.serve("blue", OLD)
    host.reaches("gate")
    assert unproven.settle(host.settings) == ""
    assert host.served() == (OLD, "blue.sock", ["blue"])


def test_what_was_killed_when_it_was_proven_keeps_the_traffic(host: Host) -> None:
    switched(host)
    unproven.end(host.layout)
    host.reaches("drain", proven=True)
    assert unproven.settle(host.settings) == ""
    assert host.served() == (NEW, "green.sock", ["green"])


def test_without_anything_to_put_right_nothing_is_asked(host: Host) -> None:
    switched(host)
    unproven.end(host.layout)
    append_line(host.layout.progress, {"event": "result", "result": "ok"})
    assert unproven.settle(host.settings) == ""
    assert host.asked == []


def test_a_note_that_cannot_be_read_is_none(host: Host) -> None:
    for text in ("", "[]", '{"slot": "blue"}'):
        Path(host.layout.unproven).write_text(text)
        assert unproven.read(host.layout) is None


REVISION = 'revision: str = "{id}"\ndown_revision = {down}\n'


@pytest.mark.parametrize(
    ("old", "new", "at", "unknown"),
    [
        pytest.param(["a1"], ["a1"], "a1", "", id="nothing new"),
        pytest.param(["a1"], ["a1", "b2"], "b2", "b2", id="one that is new"),
        pytest.param(["a1"], ["a1", "b2", "c3"], "a1,c3", "c3", id="one of several heads"),
        pytest.param(["a1"], ["a1"], "c3", "", id="nobody says where it is from"),
        pytest.param(["a1"], ["a1", "b2"], None, "", id="no migrations"),
        pytest.param([], ["a1"], "a1", "a1", id="the first migrations of the app"),
    ],
)
def test_revisions_that_the_old_code_does_not_know(
    settings: Settings, old: list[str], new: list[str], at: str | None, unknown: str
) -> None:
    for release, revisions in ((OLD, old), (NEW, new)):
        versions = Path(settings.layout.release_dir(release), "src", "migrations", "versions")
        versions.mkdir(parents=True)
        for position, revision in enumerate(revisions):
            down = f'"{revisions[position - 1]}"' if position else "None"
            (versions / f"{position}_x.py").write_text(REVISION.format(id=revision, down=down))
    assert schema_of_release.unknown_revision(settings, NEW, OLD, at) == unknown


def test_the_ledger_has_it_with_its_reason(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """As systemd calls it when the process of the activation has died; while the machine goes down it does nothing."""
    states = ["stopping", "running"]

    class Answer:
        @property
        def stdout(self) -> str:
            return states.pop(0)

    monkeypatch.setattr(program_units, "systemctl", lambda *_arguments, **_options: Answer())
    monkeypatch.setattr(program_units, "load_settings", lambda _app: host.settings)
    switched(host)

    class Options:
        app = "shop"

    assert program_units._ended(Options()) == 0  # type: ignore[arg-type]
    assert read_lines(host.layout.ledger) == []
    assert program_units._ended(Options()) == 0  # type: ignore[arg-type]
    (entry,) = read_lines(host.layout.ledger)
    assert (entry["result"], entry["live"]) == ("failed", OLD)
    assert "ended from outside during 'probation'" in entry["reason"]
    assert entry["reason"].endswith(f"the traffic went back to {OLD}.")

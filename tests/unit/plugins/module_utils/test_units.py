"""From what is wanted and what systemd shows to the actions. What systemd then does is tested in molecule/host."""

from pathlib import Path

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import units
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.unit_control import Control
from ansible_collections.ringstand.flask.plugins.module_utils.unit_times import Clocks

REFUSED = {
    "no name": ({"name": ""}, "not a unit name"),
    "a path": ({"name": "/etc/systemd/system/x.service"}, "not a unit name"),
    "an option": ({"name": "x --now"}, "not a unit name"),
    "a pattern": ({"name": "redis*"}, "not a unit name"),
    "unknown state": ({"name": "x", "state": "running"}, "state is 'running'; use one of started"),
    "a template started": ({"name": "redis-server@.service", "state": "started"}, "name an instance"),
    "masked and started": ({"name": "x", "masked": True, "state": "started"}, "be neither enabled nor started"),
    "masked and enabled": ({"name": "x", "masked": True, "enabled": True}, "be neither enabled nor started"),
    "relative path": ({"name": "x", "restart_if_newer": ["etc/x"]}, "restart_if_newer has 'etc/x'; paths must be abs"),
}


@pytest.mark.parametrize("raw, reason", REFUSED.values(), ids=REFUSED)
def test_refused(raw: dict, reason: str) -> None:
    with pytest.raises(RingstandError) as caught:
        units.parse_wanted(raw)
    assert reason in caught.value.message


@pytest.mark.parametrize(
    "name, full",
    [
        ("nginx", "nginx.service"),
        ("nginx.service", "nginx.service"),
        ("a.b", "a.b.service"),
        ("redis-server@1.2", "redis-server@1.2.service"),
        ("x@blue.socket", "x@blue.socket"),
        (r"dev-disk-by\x2dlabel.swap", r"dev-disk-by\x2dlabel.swap"),
    ],
)
def test_names(name: str, full: str) -> None:
    assert units.parse_wanted({"name": name}).name == full


def test_listed_twice() -> None:
    twice = [units.parse_wanted({"name": "x"}), units.parse_wanted({"name": "x.service"})]
    with pytest.raises(RingstandError, match="listed twice"):
        Control(twice, 1, 1)


RUNNING = {
    "Id": "x.service",
    "LoadState": "loaded",
    "ActiveState": "active",
    "SubState": "running",
    "UnitFileState": "enabled",
    "NeedDaemonReload": "no",
    "Type": "notify",
    "RemainAfterExit": "no",
    "MainPID": "4711",
    "NRestarts": "0",
    "Result": "success",
    "ReloadResult": "success",
    "ActiveEnterTimestampMonotonic": "101000000",
    "InactiveExitTimestampMonotonic": "99000000",
    "ExecMainStartTimestampMonotonic": "100000000",
    "StateChangeTimestampMonotonic": "101000000",
}
STOPPED = {"ActiveState": "inactive", "SubState": "dead", "ActiveEnterTimestampMonotonic": "0", "MainPID": "0"}
MISSING = {**STOPPED, "LoadState": "not-found", "UnitFileState": "", "ExecMainStartTimestampMonotonic": "0"}


@pytest.mark.parametrize(
    "wanted, shown, actions",
    [
        ({"enabled": True}, {}, []),
        ({"enabled": True}, {"UnitFileState": "disabled"}, ["enable"]),
        ({"enabled": True}, {"UnitFileState": "enabled-runtime"}, ["enable"]),
        ({"enabled": True}, {"UnitFileState": "indirect"}, []),
        ({"enabled": True}, {"UnitFileState": "indirect", "Id": "x@a.service"}, ["enable"]),
        ({"enabled": True}, MISSING, ["enable"]),
        ({"enabled": False}, {}, ["disable"]),
        ({"enabled": False}, {"UnitFileState": "static"}, []),
        ({"enabled": False}, MISSING, []),
        ({"masked": True}, {}, ["mask"]),
        ({"masked": True}, {"LoadState": "masked", "UnitFileState": "masked"}, []),
        ({"masked": False, "enabled": True}, {"LoadState": "masked", "UnitFileState": "masked"}, ["unmask", "enable"]),
        ({}, {"NeedDaemonReload": "yes"}, ["daemon-reload"]),
    ],
)
def test_file_actions(wanted: dict, shown: dict, actions: list) -> None:
    one = units.parse_wanted({"name": "x", **wanted})
    assert units.file_actions(one, units.Unit({**RUNNING, **shown})) == actions


def test_a_drop_in_that_is_not_loaded_leads_to_a_reload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "DROP_INS_DIR", str(tmp_path))
    one = units.parse_wanted({"name": "x@a"})
    shown = {**RUNNING, "Id": "x@a.service", "DropInPaths": "/usr/lib/systemd/system/x@.service.d/vendor.conf"}
    for folder, name in (("x@a.service.d", "one.conf"), ("x@.service.d", "all.conf"), ("y.service.d", "other.conf")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).touch()
    (tmp_path / "x@a.service.d/masked.conf").symlink_to("/dev/null")
    assert units.file_actions(one, units.Unit(shown)) == ["daemon-reload"]
    shown["DropInPaths"] += f" {tmp_path}/x@a.service.d/one.conf"
    assert units.file_actions(one, units.Unit(shown)) == ["daemon-reload"]
    shown["DropInPaths"] += f" {tmp_path}/x@.service.d/all.conf"
    assert units.file_actions(one, units.Unit(shown)) == []


@pytest.mark.parametrize(
    "wanted, shown, reason",
    [
        ({"enabled": True}, {"UnitFileState": "static"}, "has no [Install] section; remove enabled"),
        ({"enabled": True}, {"UnitFileState": "masked", "LoadState": "masked"}, "set masked: false as well"),
    ],
)
def test_what_cannot_be_enabled(wanted: dict, shown: dict, reason: str) -> None:
    with pytest.raises(RingstandError) as caught:
        units.file_actions(units.parse_wanted({"name": "x", **wanted}), units.Unit({**RUNNING, **shown}))
    assert reason in caught.value.message


ONESHOT = {**STOPPED, "Type": "oneshot"}


@pytest.mark.parametrize(
    "wanted, shown, action",
    [
        ({}, {}, ""),
        ({}, STOPPED, ""),
        ({"state": "started"}, {}, ""),
        ({"state": "started"}, {"ActiveState": "reloading"}, ""),
        ({"state": "started"}, STOPPED, "start"),
        ({"state": "started"}, MISSING, "start"),
        ({"state": "started"}, {**STOPPED, "ActiveState": "failed"}, "start"),
        ({"state": "started"}, {"ActiveState": "activating", "SubState": "auto-restart"}, "start"),
        ({"state": "started"}, ONESHOT, ""),
        ({"state": "started"}, {**ONESHOT, "ExecMainStartTimestampMonotonic": "0"}, "start"),
        ({"state": "started"}, {**ONESHOT, "Result": "exit-code"}, "start"),
        ({"state": "started"}, {**ONESHOT, "RemainAfterExit": "yes"}, "start"),
        ({"state": "stopped"}, {}, "stop"),
        ({"state": "stopped"}, STOPPED, ""),
        ({"state": "stopped"}, MISSING, ""),
        ({"state": "stopped"}, {**STOPPED, "ActiveState": "failed"}, ""),
        ({"state": "stopped"}, {"ActiveState": "activating"}, "stop"),
        ({"state": "restarted"}, {}, "restart"),
        ({"state": "restarted"}, STOPPED, "start"),
        ({"state": "reloaded"}, {}, "reload"),
        ({"state": "reloaded"}, STOPPED, "start"),
    ],
)
def test_state_action(wanted: dict, shown: dict, action: str) -> None:
    one = units.parse_wanted({"name": "x", **wanted})
    assert units.state_action(one, units.Unit({**RUNNING, **shown}), Clocks.now()) == (action, "")


def test_a_masked_unit_does_not_start() -> None:
    one = units.parse_wanted({"name": "x", "state": "started"})
    with pytest.raises(RingstandError, match="masked: false"):
        units.state_action(one, units.Unit({**RUNNING, **STOPPED, "LoadState": "masked"}), Clocks.now())


RELOADED = {"StateChangeTimestampMonotonic": "200000000"}
FORKING = {"Type": "forking", "ExecMainStartTimestampMonotonic": "120000000"}


# The file changed at 150 s of the monotonic clock; the unit started at 99 to 101 s.
@pytest.mark.parametrize(
    "options, shown, action",
    [
        ("reload", {}, "reload"),
        ("restart", {}, "restart"),
        ("reload restart", {}, "restart"),
        ("reload", RELOADED, ""),
        ("reload", {**RELOADED, "ReloadResult": "exit-code"}, "reload"),
        ("restart", RELOADED, "restart"),
        ("restart", {"ExecMainStartTimestampMonotonic": "160000000"}, ""),
        ("restart", {**FORKING, "InactiveExitTimestampMonotonic": "160000000"}, ""),
        ("restart", FORKING, "restart"),
        ("restart", {**FORKING, "NRestarts": "1", "ExecMainStartTimestampMonotonic": "160000000"}, ""),
        ("restart", {"Type": "", "ExecMainStartTimestampMonotonic": "0", "Id": "x.socket"}, "restart"),
        ("reload restart", STOPPED, ""),
    ],
)
def test_newer_files(tmp_path: Path, options: str, shown: dict, action: str) -> None:
    path = tmp_path / "file"
    path.write_text("")
    clocks = Clocks(150.0, path.stat().st_ctime)
    clocks = Clocks(clocks.monotonic + 100, clocks.realtime + 100)
    one = units.parse_wanted({"name": "x", **{f"{option}_if_newer": [str(path)] for option in options.split()}})
    found = units.state_action(one, units.Unit({**RUNNING, **shown}), clocks)
    assert found == (action, str(path) if action else "")


@pytest.mark.parametrize(
    "options, path, actions",
    [
        ({"reload_if_newer": ["/etc/x"]}, "/etc/x/conf.d/a", ["reload"]),
        ({"reload_if_newer": ["/etc/x"]}, "/etc/x", ["reload"]),
        ({"reload_if_newer": ["/etc/x/"]}, "/etc/xyz", []),
        ({"reload_if_newer": ["/etc/x"], "restart_if_newer": ["/etc/x/y"]}, "/etc/x/y", ["restart"]),
        ({}, "/etc/systemd/system/x@.service", ["daemon-reload"]),
        ({}, "/etc/systemd/system/x@.service.d/a.conf", ["daemon-reload"]),
        ({}, "/etc/systemd/system/x@one.service.d/a.conf", ["daemon-reload"]),
        ({}, "/etc/systemd/system/x@two.service.d/a.conf", []),
        ({}, "/etc/systemd/system/x@.socket", []),
        ({"state": "started"}, "/etc/systemd/system/x@.service", ["daemon-reload"]),
    ],
)
def test_a_file_that_will_change_is_foreseen(
    monkeypatch: pytest.MonkeyPatch, options: dict, path: str, actions: list
) -> None:
    shown = {**RUNNING, "Id": "x@one.service", "FragmentPath": "/etc/systemd/system/x@.service", "DropInPaths": ""}
    monkeypatch.setattr(units, "show", lambda names: [units.Unit(shown) for _name in names])
    control = Control([units.parse_wanted({"name": "x@one", **options})], 1, 1)
    assert control.predict([path])["x@one.service"].actions == actions


def test_a_finished_oneshot_runs_again(tmp_path: Path) -> None:
    one = units.parse_wanted({"name": "x", "state": "started", "restart_if_newer": [str(tmp_path)]})
    clocks = Clocks(250.0, tmp_path.stat().st_ctime + 100)
    assert units.state_action(one, units.Unit({**RUNNING, **ONESHOT}), clocks) == ("start", str(tmp_path))


def test_wall_clock_times_are_read() -> None:
    unit = units.Unit({**RUNNING, "ActiveEnterTimestamp": "Sat 2026-11-21 03:08:21 UTC"})
    moment = unit.moment("ActiveEnter")
    assert moment is not None
    assert (moment.monotonic, moment.realtime) == (101.0, 1795230501.0)
    assert unit.moment("Nothing") is None


@pytest.mark.parametrize(
    "shown, idle",
    [
        ({"SubState": "running"}, False),
        ({"SubState": "exited", "Type": "oneshot", "RemainAfterExit": "yes"}, True),
        ({"SubState": "listening"}, True),
        ({"SubState": "waiting"}, True),
        ({"SubState": "exited", "ActiveState": "failed"}, False),
        ({"SubState": "auto-restart", "ActiveState": "activating"}, False),
    ],
)
def test_what_is_started_and_has_nothing_to_watch(shown: dict, idle: bool) -> None:
    assert units.Unit({**RUNNING, **shown}).idle is idle

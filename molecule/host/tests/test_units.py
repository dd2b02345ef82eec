"""What the module units does with a real systemd: the role itself only needs a small part of it.

Its logic runs on the host without Ansible around it, which is ten times faster; the role's own tests use the module.
"""

import base64
import io
import json
import tarfile
from pathlib import Path

import pytest
from once import once_per_host

MODULE_UTILS = Path(__file__).parents[3] / "plugins" / "module_utils"
PROGRAM = """
import dataclasses, json, sys
sys.path.insert(0, "/run/units-test")
from module_utils import errors, unit_control, units
request = json.loads(sys.argv[1])
try:
    wanted = [units.parse_wanted(one) for one in request["units"]]
    control = unit_control.Control(wanted, request["timeout_seconds"], 1)
    found = control.predict() if request["check"] else control.apply()
    answer = {"units": {name: dataclasses.asdict(outcome) for name, outcome in found.items()}}
except errors.RingstandError as error:
    answer = {"msg": error.message, **error.details}
print(json.dumps(answer))
"""

FILES = {
    "steady@.service": "[Service]\nExecStart=/bin/sleep 600\nExecReload=/bin/true\n"
    "[Install]\nWantedBy=multi-user.target",
    # Replaces its worker at HUP, unless its configuration is bad: as nginx does.
    "master.service": "[Service]\nExecReload=/bin/kill -HUP $MAINPID\n"
    "ExecStart=/usr/bin/python3 /etc/units-test/master",
    "crashing.service": "[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestart=on-failure\nRestartSec=100ms\n"
    "ExecStart=/bin/sh -c 'sleep 0.3; echo its password=hunter2 is wrong; exit 3'",
    "late.service": "[Service]\nExecStart=/bin/sh -c 'sleep 0.4; exit 3'",
    "forking.service": "[Service]\nType=forking\nExecStart=/bin/sh -c 'sleep 600 & exit 0'",
    "once.service": "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo x >> /run/once'",
    "slow.service": "[Service]\nType=notify\nExecStart=/bin/sleep 600",
    "elsewhere.service": "[Unit]\nConditionPathExists=/nowhere\n[Service]\nExecStart=/bin/sleep 600",
    "broken.service": "[Service]\nExecStart=bin/sleep 600",
}
MASTER = """
import os, signal
def work():
    pid = os.fork()
    if not pid:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        while True: signal.pause()
    return pid
def reload(number, frame):
    global pid
    if "bad" not in open("/etc/units-test/config").read():
        old, pid = pid, work()
        os.kill(old, signal.SIGTERM); os.wait()
signal.signal(signal.SIGHUP, reload)
pid = work()
while True: signal.pause()
"""
CONFIG = "/etc/units-test/config"
TEMPLATE = "/etc/systemd/system/steady@.service"


def write(host, path, content):
    host.run_test("sh -c %s", f"mkdir -p $(dirname {path}) && cat > {path} <<'END'\n{content}\nEND")


@pytest.fixture(scope="module")
def made(host):
    once_per_host(host, "units")
    for name, content in FILES.items():
        write(host, f"/etc/systemd/system/{name}", content)
    write(host, "/etc/units-test/master", MASTER)
    write(host, CONFIG, "good")
    host.run_test("systemctl daemon-reload")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name in ("commands", "errors", "unit_control", "unit_times", "units"):
            archive.add(MODULE_UTILS / f"{name}.py", f"module_utils/{name}.py")
    text = base64.b64encode(packed.getvalue()).decode()
    host.run_test(f"sh -c 'mkdir -p /run/units-test && echo {text} | base64 -d | tar xz -C /run/units-test'")
    yield host
    running = "'steady@*' " + " ".join(name for name in FILES if "@" not in name)
    host.run(f"systemctl disable steady@one; systemctl unmask steady@two; systemctl stop {running}")
    host.run(
        f"rm -rf /etc/units-test /run/units-test /run/once {' '.join(f'/etc/systemd/system/{name}' for name in FILES)}"
    )
    host.run("systemctl daemon-reload; systemctl reset-failed")


def units(host, *wanted, check=False, timeout_seconds=60):
    request = json.dumps({"units": wanted, "check": check, "timeout_seconds": timeout_seconds})
    return json.loads(host.check_output("/usr/bin/python3 -c %s %s", PROGRAM, request))


def actions(result):
    assert "units" in result, result
    return {name.partition(".")[0]: one["actions"] for name, one in result["units"].items()}


def test_instances_are_enabled_and_started_and_then_nothing_is_done(made):
    wanted = [
        {"name": "steady@one", "enabled": True, "state": "started", "reload_if_newer": [CONFIG]},
        {"name": "steady@two", "enabled": False, "state": "started"},
        {"name": "forking", "state": "started", "restart_if_newer": [CONFIG]},
    ]
    expected = {"steady@one": ["enable", "start"], "steady@two": ["start"], "forking": ["start"]}
    assert actions(units(made, *wanted, check=True)) == expected
    assert not made.service("steady@one").is_running
    assert actions(units(made, *wanted)) == expected
    assert made.service("steady@one").is_running
    assert made.service("steady@one").is_enabled
    assert not made.service("steady@two").is_enabled
    assert actions(units(made, *wanted)) == {"steady@one": [], "steady@two": [], "forking": []}


def test_newer_files_lead_to_one_action(made):
    wanted = [
        {
            "name": "steady@one",
            "reload_if_newer": [CONFIG],
            "restart_if_newer": ["/etc/systemd/system/steady@.service"],
        },
        {"name": "forking", "restart_if_newer": ["/etc/units-test"]},
    ]
    units(made, *({**one, "state": "started"} for one in wanted))
    write(made, CONFIG, "good too")
    assert actions(units(made, *wanted, check=True)) == {"steady@one": ["reload"], "forking": ["restart"]}
    assert actions(units(made, *wanted)) == {"steady@one": ["reload"], "forking": ["restart"]}
    assert actions(units(made, *wanted)) == {"steady@one": [], "forking": []}
    write(made, TEMPLATE, FILES["steady@.service"].replace("600", "601"))
    assert actions(units(made, *wanted)) == {"steady@one": ["daemon-reload", "restart"], "forking": []}
    assert "601" in made.check_output("systemctl show -p ExecStart steady@one")
    assert actions(units(made, *wanted)) == {"steady@one": [], "forking": []}


def test_a_reload_counts_when_the_workers_are_new(made):
    wanted = {"name": "master", "state": "started", "reload_if_newer": [CONFIG], "reload_replaces_workers": True}
    units(made, wanted)
    write(made, CONFIG, "good again")
    made.run_test("pkill -HUP --oldest --full units-test/master")  # somebody else's reload counts too
    made.run_test("sleep 0.3")
    assert actions(units(made, wanted)) == {"master": []}
    write(made, CONFIG, "good again")
    assert actions(units(made, wanted)) == {"master": ["reload"]}
    assert actions(units(made, wanted)) == {"master": []}
    write(made, CONFIG, "bad")
    assert "its workers are still the old ones" in units(made, wanted)["msg"]
    write(made, CONFIG, "good")
    assert actions(units(made, wanted)) == {"master": ["reload"]}


@pytest.mark.parametrize(
    "name, reason, journal",
    [
        ("crashing", "it was started 4 times and ended each time", "its password=******** is wrong"),
        ("late", "it is failed (exit-code)", "status=3"),
        ("slow", "it is still activating after 3 s", "Starting"),
        ("elsewhere", "a condition in its unit file is not met", "condition"),
        ("broken", "Failed to load broken.service: its unit file is bad-setting", ""),
        ("missing", "it has no unit file; install its package or write it before", ""),
    ],
)
def test_what_does_not_run_is_a_failure_with_its_journal(made, name, reason, journal):
    result = units(made, {"name": name, "state": "started"}, timeout_seconds=3 if name == "slow" else 60)
    assert reason in result["msg"]
    assert journal in " ".join(result.get("journal", []))
    assert "hunter2" not in json.dumps(result)


def test_a_unit_that_nobody_made_yet_is_predicted(made):
    result = units(made, {"name": "missing", "enabled": True, "state": "started"}, check=True)
    assert actions(result) == {"missing": ["enable", "start"]}


def test_a_oneshot_runs_to_its_end(made):
    assert actions(units(made, {"name": "once", "state": "started"})) == {"once": ["start"]}
    assert made.file("/run/once").content_string == "x\n"


def test_mask_and_stop(made):
    # One of the distribution's: systemd refuses to mask what has a file in /etc.
    wanted = {"name": "apt-daily.service", "masked": True}
    assert actions(units(made, wanted)) == {"apt-daily": ["mask"]}
    assert actions(units(made, wanted)) == {"apt-daily": []}
    assert "set masked: false" in units(made, {"name": "apt-daily.service", "state": "started"})["msg"]
    assert actions(units(made, {"name": "apt-daily.service", "masked": False})) == {"apt-daily": ["unmask"]}
    assert actions(units(made, {"name": "steady@two", "state": "stopped"})) == {"steady@two": ["stop"]}
    assert actions(units(made, {"name": "steady@two", "state": "stopped"})) == {"steady@two": []}

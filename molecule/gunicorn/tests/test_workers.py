"""What runs beside the web: it moves with the releases, in order and back, and the app's own commands run where due."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

DONE = "/root/workers-tested"
SETTINGS = "/etc/ringstand/apps/crucible.json"
SHARED = "/srv/crucible/shared"
WEBHOOK = "/etc/ringstand/environment/crucible.webhook"
RECEIVER = Path(__file__).with_name("webhook_receiver.py")
PROCFILE = """web: flask translate compile; gunicorn -t 120 'app:create_app()'
worker: python process.py worker
clock: cd . && python process.py clock
"""
HEALTH = {"path": "/health", "status": [200], "consecutive": 1, "timeout_seconds": 6, "observe_seconds": 0,
          "probation_seconds": 0.5}
HOOKS = ("before_build", "after_build", "before_switch", "after_switch", "on_failure")


@pytest.fixture
def once(host):
    """What is tested once, before the host restarts."""
    if host.file(DONE).exists:
        pytest.skip("has run on this host before its restart")


@pytest.fixture
def settings(crucible):
    """Change the settings as a run of the role would, and put them back."""
    as_written = crucible.host.check_output(f"cat {SETTINGS}")

    def change(**changes):
        crucible.put(json.dumps({**json.loads(as_written), "health": HEALTH, **changes}).encode(), SETTINGS)

    yield change
    crucible.put(f"{as_written}\n".encode(), SETTINGS)


@pytest.fixture(autouse=True)
def not_long_observed(settings):
    """What is served is healthy here, and was observed enough elsewhere."""
    settings()


def processes(crucible) -> dict:
    return {item["process"]: item for item in crucible.ringstand("status", "crucible")["apps"][0]["processes"]}


def events(crucible, kind) -> list[list[str]]:
    return [line.split() for line in crucible.host.check_output(f"cat {SHARED}/{kind}.log").splitlines()]


def running(crucible) -> dict[str, int]:
    live = crucible.live()
    found = processes(crucible)
    assert {item["release"] for item in found.values()} <= {live}
    assert all(item["planned"] for item in found.values())
    return {name: item["running"] for name, item in found.items()}


def test_they_run_from_the_live_release_after_a_restart_of_the_host(crucible):
    if not crucible.host.file(DONE).exists:
        pytest.skip("the host has not been restarted yet")
    crucible.wait_for(lambda: running(crucible) == {"clock": 1, "worker": 2})


def test_the_commands_of_the_first_deploy_ran_once(crucible):
    assert len(crucible.host.check_output(f"cat {SHARED}/first-deploy").splitlines()) == 1


def test_a_procfile_says_what_is_served_and_run_and_its_web_is_not_executed(once, crucible):
    refused = crucible.deploy(Procfile="web: flask run\n")
    assert "development server" in refused["reason"]
    assert "dependencies" not in refused["details"]["phases"]
    result = crucible.deploy(Procfile=PROCFILE)
    assert result["result"] == "ok", result
    assert "'flask translate compile' did not run" in result["notices"][0]
    assert "-t 120 (timeout_seconds)" in result["notices"][1]
    assert crucible.get("/environment/FLASK_APP") == "app:create_app()"
    assert crucible.host.check_output("ringstand run crucible printenv FLASK_APP") == "app:create_app()"
    assert running(crucible) == {"clock": 1, "worker": 1}


def test_they_move_and_finish_their_work(once, crucible):
    first = crucible.live()
    second = crucible.deploy(Procfile=PROCFILE)["release"]
    assert running(crucible) == {"clock": 1, "worker": 1}
    for kind in ("worker", "clock"):
        what = [(event, release) for event, release, _pid in events(crucible, kind)]
        assert what == [("started", first), ("finished", first), ("started", second)]
    back = crucible.ringstand("rollback", "crucible")
    assert (back["release"], running(crucible)) == (first, {"clock": 1, "worker": 1})


def test_one_that_does_not_stay_up_moves_everything_back(once, crucible, settings):
    settings(health={**HEALTH, "probation_seconds": 2})
    before = crucible.live()
    result = crucible.deploy("worker dies", Procfile=PROCFILE)
    assert result["result"] == "failed"
    assert "Failed to run process worker" in result["reason"]
    assert "worker of this release is broken" in result["details"]["journal"]
    assert crucible.live() == before
    assert running(crucible) == {"clock": 1, "worker": 1}
    assert not [event for event, _release, _pid in events(crucible, "clock") if event == "second"]


def test_scale_is_kept_and_two_schedulers_are_refused(once, crucible):
    worker = events(crucible, "worker")[-1]
    assert crucible.ringstand("scale", "crucible", "worker=3")["changed"] is True
    assert crucible.ringstand("scale", "crucible", "worker=3")["changed"] is False
    assert running(crucible) == {"clock": 1, "worker": 3}
    assert ["finished", *worker[1:]] not in events(crucible, "worker"), "what ran already was restarted"
    assert "do everything twice" in crucible.host.run("ringstand scale crucible clock=2").stderr
    assert "no process 'wroker'" in crucible.host.run("ringstand scale crucible wroker=2").stderr
    assert crucible.ringstand("scale", "crucible", "worker=2")["result"] == "ok"
    assert running(crucible) == {"clock": 1, "worker": 2}


def test_what_was_stopped_masked_or_changed_is_put_right(once, crucible):
    unit = "ringstand-crucible.worker@1.service"
    crucible.host.check_output(f"systemctl mask --now {unit}")
    crucible.host.check_output("echo '# edited' >> /etc/systemd/system/ringstand-crucible.clock@.service")
    assert crucible.host.run("ringstand status crucible").rc == 3
    crucible.host.check_output("ringstand processes crucible")
    assert running(crucible) == {"clock": 1, "worker": 2}
    assert crucible.host.run("ringstand status crucible").rc == 0


def test_logs_of_one_process(once, crucible):
    text = crucible.host.check_output("ringstand logs crucible --process worker")
    assert "worker of this release is broken" in text
    assert "Booting worker" not in text
    assert "no such process" in crucible.host.run("ringstand logs crucible --process wroker").stderr


def test_hooks_and_webhook_tell_in_order_what_happens(once, crucible, settings):
    note = f'echo "$RINGSTAND_HOOK $RINGSTAND_EVENT $RINGSTAND_REASON" >> {SHARED}/hooks'
    settings(hooks={hook: [note] for hook in HOOKS})
    crucible.put(RECEIVER.read_bytes(), "/root/webhook_receiver.py")
    receive = "python3 /root/webhook_receiver.py /root/told"
    crucible.host.check_output(f"systemd-run --quiet --collect --unit=receiver {receive}")
    crucible.put(b"http://127.0.0.1:8099/token-5b1f\n", WEBHOOK)
    try:
        deployed = crucible.deploy(Procfile=PROCFILE)
        failed = crucible.deploy("unhealthy", Procfile=PROCFILE)
        back = crucible.ringstand("rollback", "crucible")
        crucible.host.check_output("systemctl stop receiver")
        unheard = crucible.ringstand("rollback", "crucible", deployed["release"])
    finally:
        crucible.host.check_output(f"rm -f {WEBHOOK}")
    lines = crucible.host.check_output(f"cat {SHARED}/hooks").splitlines()
    lines = [line for line in lines if line.startswith(HOOKS)]
    assert [line.split()[0] for line in lines] == [
        *HOOKS[:4],
        *("before_build", "after_build", "on_failure"),
        *("before_switch", "after_switch"),
        *("before_switch", "after_switch"),
    ]
    assert failed["reason"][:40] in next(line for line in lines if line.startswith("on_failure deploy"))
    told = [json.loads(line) for line in crucible.host.check_output("cat /root/told").splitlines()]
    assert "webhook" not in json.dumps([deployed["notices"], failed, back["notices"]])
    assert sorted(item["event"] for item in told) == ["failure", "rollback", "start", "start", "start", "success"]
    assert all(item["app"] == "crucible" and item["by"] and item["text"] for item in told)
    assert next(item for item in told if item["event"] == "failure")["reason"] == failed["reason"]
    assert "The webhook was not told of the event 'rollback'" in unheard["notices"][-1]
    assert "token-5b1f" not in json.dumps([failed, unheard])
    assert crucible.host.check_output("journalctl --no-pager -u 'ringstand-*' | grep -c 'token-5b1f' || true") == "0"


def test_of_a_killed_deploy_the_hook_is_told_too(once, crucible, settings):
    before = crucible.live()
    note = f'echo "$RINGSTAND_LIVE_RELEASE $RINGSTAND_REASON" > {SHARED}/killed'
    settings(hooks={"before_build": ["sleep 60"], "on_failure": [note]})
    crucible.host.check_output(f"{crucible.deploy_command('good')} --no-wait")
    crucible.wait_for(lambda: crucible.phase() == "hook before_build")
    crucible.host.check_output("systemctl kill --kill-whom=main --signal=KILL ringstand-activation-crucible")
    crucible.wait_for(lambda: crucible.ringstand("status", "crucible")["apps"][0]["activation"] == "")
    told = crucible.host.check_output(f"cat {SHARED}/killed")
    assert told.startswith(f"{before} Failed to deploy crucible: the activation was ended from outside during 'hook b")


def test_a_failing_hook_stops_before_the_switch_and_not_after_it(once, crucible, settings):
    before = crucible.live()
    settings(hooks={"before_switch": ["sleep 60"]}, hook_timeout_seconds=1)
    stopped = crucible.ringstand("restart", "crucible")
    assert "run the hook before_switch of crucible, 'sleep 60': it did not end in time" in stopped["reason"]
    assert "hook_timeout_seconds is 1." in stopped["reason"]
    assert stopped["details"]["phases"]["hook before_switch"] < 20
    assert (crucible.live(), running(crucible)) == (before, {"clock": 1, "worker": 2})
    settings(hooks={"after_switch": ["exit 3"]}, processes={"worker": {
        "command": "python process.py worker", "kind": "worker", "count": 1, "stop_signal": "SIGTERM",
        "stop_timeout_seconds": 5,
    }})
    told = crucible.ringstand("restart", "crucible")["notices"]
    assert re.search("clock is no process .* removed", told[0])
    assert "after_switch" in told[1]
    assert running(crucible) == {"worker": 2}
    units = crucible.host.check_output("systemctl list-units --all --plain --no-legend 'ringstand-crucible.clock@*'")
    assert units == ""


def test_the_settings_back_bring_back_what_they_name(once, crucible):
    assert crucible.ringstand("processes", "crucible")["changed"] is True
    assert running(crucible) == {"clock": 1, "worker": 2}
    crucible.host.check_output(f"touch {DONE}")

"""Deploys under load: the good ones lose nothing, the broken ones change nothing that a user can see."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import PROGRESS
from once import once_per_host

KILL_AT = Path(__file__).with_name("kill_at.py")


@pytest.fixture(scope="module", autouse=True)
def once(host):
    """A restart of the host changes nothing of what is tested here; what it must not change, test_gunicorn says."""
    once_per_host(host, "switches")


def no_activation(crucible) -> bool:
    return crucible.ringstand("status", "crucible")["apps"][0]["activation"] == ""


def killed(crucible, step) -> bool:
    """Whether a deploy was killed in a step; a short one may be over before it is seen."""
    crucible.host.check_output(f"rm -f {PROGRESS}")
    crucible.host.check_output(f"systemd-run --quiet --collect --unit=killed {crucible.deploy_command('good')}")
    done = crucible.host.run(f"python3 /root/kill_at.py {PROGRESS} {step!r}")
    assert done.rc in (0, 3), done.stderr
    crucible.wait_for(lambda: not crucible.host.service("killed").is_running, 60)
    return done.rc == 0


def test_deploy_restart_and_rollback_lose_no_request(crucible):
    before, style = crucible.live(), crucible.style()
    with crucible.load(pause_seconds=0.01) as load:
        deployed = crucible.deploy()
        assert crucible.style() != style
        restarted = crucible.ringstand("restart", "crucible")
        back = crucible.ringstand("rollback", "crucible")
    assert [deployed["result"], restarted["result"], back["result"]] == ["ok"] * 3
    assert crucible.style() == crucible.style_of_live()
    assert (deployed["previous"], back["release"]) == (before, before)
    assert load["failures"] == {}
    assert set(load["releases"]) == {before, deployed["release"]}
    assert load["requests"] > 100


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ("does not import", "Failed to import"),
        ("unhealthy", "status 500"),
        ("hangs", "Failed to pass the health gate"),
        ("dies soon", "the app died and was restarted"),
        ("is killed", "Failed to pass the health gate"),
    ],
)
def test_a_broken_release_never_serves(crucible, behaviour, words):
    before = crucible.live()
    with crucible.load() as load:
        result = crucible.deploy(behaviour)
    assert result["result"] == "failed"
    assert words in result["reason"]
    assert "hunter2secret" not in json.dumps(result)
    assert load["failures"] == {}
    assert set(load["releases"]) == {before}
    assert crucible.live() == before
    assert crucible.style() == crucible.style_of_live()
    assert crucible.running_slots() == 1


def test_a_release_that_dies_after_the_switch_gives_the_traffic_back(crucible):
    before, clients = crucible.live(), 6
    with crucible.load(clients) as load:
        result = crucible.deploy("dies serving")
    assert result["result"] == "failed"
    assert "Failed the probation" in result["reason"]
    assert "its main process died" in result["reason"]
    assert crucible.live() == before
    assert crucible.style() == crucible.style_of_live()
    # Only what was in flight inside the dying process may be lost, one request of each client.
    assert sum(load["failures"].values()) <= clients
    died = crucible.host.check_output(
        "journalctl --output=short-unix --grep 'Main process exited' --lines=1 --reverse"
        " --unit='ringstand-crucible@*.service' --quiet"
    )
    returned = crucible.host.check_output("stat --format=%.Z /run/crucible/live.sock")
    assert float(returned) - float(died.split()[0]) < 1
    good = [row["release"] for row in crucible.ringstand("releases", "crucible")["releases"] if row["state"] == "good"]
    assert result["details"]["release"] not in good


@pytest.mark.parametrize("step", ["unpack", "freeze", "start", "observe", "switch", "probation", "drain"])
def test_killed_at_a_step_what_is_proven_serves_and_the_next_run_converges(crucible, step):
    crucible.put(KILL_AT.read_bytes(), "/root/kill_at.py")
    with crucible.load() as load:
        assert any(killed(crucible, step) for _attempt in range(5)), "the step was never caught"
        ended = crucible.ringstand("releases", "crucible")["ledger"][-1]
        live, slots = crucible.live(), crucible.running_slots()
        assert crucible.style() == crucible.style_of_live()
        assert crucible.host.check_output("find /srv/crucible/static -name '*.ringstand-new'") == ""
        result = crucible.deploy()
    # With the release before it or, when it was proven, with the new one; at once, by systemd, in one slot.
    assert live == ended["live"] == (ended["release"] if step == "drain" else ended["previous"])
    assert ended["result"] == ("ok" if step == "drain" else "failed")
    assert step != "probation" or "was not proven yet: the traffic went back to" in ended["reason"]
    assert slots == 1
    assert result["result"] == "ok", result
    assert load["failures"] == {}
    assert crucible.live() == result["release"]
    left = crucible.host.check_output("ls /var/lib/ringstand/crucible").split()
    assert left == ["activation.jsonl", "first-deploy.json", "ledger.jsonl"]
    units = crucible.host.check_output("systemctl list-units --failed --plain --no-legend 'ringstand*'")
    assert units == ""


def test_a_second_deploy_is_refused_and_told_who_is_at_work(crucible):
    # One that is at work for some seconds for sure, however slow the machine is.
    command = crucible.deploy_command("hangs")
    crucible.host.check_output(f"systemd-run --quiet --collect --unit=first {command} --by ann")
    crucible.wait_for(lambda: crucible.phase() == "gate" and not no_activation(crucible))
    refused = crucible.deploy()
    assert refused["result"] == "failed"
    assert "another activation is under way: deploy by ann since" in refused["reason"]
    crucible.wait_for(lambda: no_activation(crucible))


def test_what_restores_the_apps_after_a_boot_leaves_a_deploy_alone(crucible):
    boots = "while ! test -e /root/stop; do ringstand boot || exit 1; done"
    with crucible.load() as load:
        crucible.host.check_output(f"systemd-run --quiet --unit=boots sh -c '{boots}'")
        result = crucible.deploy()
    assert result["result"] == "ok", result
    assert load["failures"] == {}
    crucible.wait_for(lambda: crucible.host.run("systemctl is-active --quiet boots.service").rc != 0)
    assert crucible.host.run("systemctl is-failed --quiet boots.service").rc != 0


@pytest.fixture
def in_place(crucible):
    """The app on a machine without memory for a second slot."""
    path = "/etc/ringstand/apps/crucible.json"
    settings = json.loads(crucible.host.check_output(f"cat {path}"))
    crucible.put(json.dumps({**settings, "switch": "in_place"}).encode(), path)
    yield
    crucible.put(json.dumps(settings).encode(), path)


def test_in_place_visitors_wait_and_none_is_refused(crucible, in_place):
    before, slot = crucible.live(), crucible.slot()
    with crucible.load() as load:
        deployed = crucible.deploy()
    assert deployed["result"] == "ok", deployed
    assert "crucible is restarted in place, and visitors wait for it: switch is in_place." in deployed["notices"]
    assert load["failures"] == {}
    assert set(load["releases"]) == {before, deployed["release"]}
    assert (crucible.live(), crucible.slot()) == (deployed["release"], slot)
    assert crucible.style() == crucible.style_of_live()


def test_in_place_what_is_not_healthy_is_replaced_again(crucible, in_place):
    before, slot = crucible.live(), crucible.slot()
    result = crucible.deploy("unhealthy")
    assert result["result"] == "failed"
    assert "status 500" in result["reason"]
    assert (crucible.live(), crucible.slot()) == (before, slot)
    assert crucible.style() == crucible.style_of_live()
    with crucible.load() as load:
        pass
    assert (load["failures"], set(load["releases"])) == ({}, {before})


def test_in_place_killed_half_way_the_old_release_is_back(crucible, in_place):
    before = crucible.live()
    crucible.put(KILL_AT.read_bytes(), "/root/kill_at.py")
    assert any(killed(crucible, "gate") for _attempt in range(5)), "the step was never caught"
    with crucible.load() as load:
        result = crucible.deploy()
    assert result["result"] == "ok", result
    assert result["previous"] == before
    assert load["failures"] == {}
    assert "unproven.json" not in crucible.host.check_output("ls /var/lib/ringstand/crucible").split()


def test_what_was_only_started_can_be_followed(crucible):
    started = json.loads(crucible.host.check_output(f"{crucible.deploy_command('good')} --no-wait"))
    assert crucible.live() != started.get("release")
    followed = crucible.ringstand("follow", "crucible", "--token", started["token"])
    assert (followed["result"], followed["release"]) == ("ok", crucible.live())
    assert crucible.ringstand("follow", "crucible")["release"] == followed["release"]  # also when it has ended


def test_a_request_of_ten_seconds_survives_the_switch(crucible):
    before = crucible.live()
    crucible.host.check_output(
        "systemd-run --quiet --collect --unit=slow --property=StandardOutput=truncate:/root/slow.json "
        "curl -sS --fail --unix-socket /run/crucible/live.sock http://localhost/slow/10"
    )
    assert crucible.deploy()["result"] == "ok"
    crucible.wait_for(lambda: not crucible.host.service("slow").is_running)
    assert json.loads(crucible.host.check_output("cat /root/slow.json"))["release"] == before


def test_a_source_that_is_live_is_not_deployed_again(crucible):
    command = crucible.deploy_command("good")
    assert json.loads(crucible.host.check_output(command))["changed"] is True
    assert json.loads(crucible.host.check_output(command))["changed"] is False


def test_a_source_that_is_live_is_built_anew_with_other_settings(crucible):
    command = crucible.deploy_command("good")
    before = json.loads(crucible.host.check_output(command))
    path = "/etc/ringstand/apps/crucible.json"
    settings = json.loads(crucible.host.check_output(f"cat {path}"))
    try:
        crucible.put(json.dumps({**settings, "release_command": ["touch made-by-command"]}).encode(), path)
        again = json.loads(crucible.host.check_output(command))
        assert json.loads(crucible.host.check_output(command))["changed"] is False
    finally:
        crucible.put(json.dumps(settings).encode(), path)
    assert (again["changed"], again["sha"]) == (True, before["sha"])
    assert again["release"] == crucible.live() != before["release"]
    assert any("built anew, with other settings: release_command" in notice for notice in again["notices"])
    assert crucible.host.file("/srv/crucible/live/src/made-by-command").exists


def test_only_the_newest_releases_are_kept_and_the_lock_is_built_once(crucible):
    for _ in range(2):
        result = crucible.deploy()
        assert result["venv_built"] is False
    assert int(crucible.host.check_output("ls /srv/crucible/releases | wc -l")) <= 4
    assert crucible.host.check_output("ls /srv/crucible/venvs | wc -l") == "1"

"""Deploys while visits are under way that last longer than they do, while a queue is deep, and without room."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path

import pytest
from once import once_per_host

VISITS = Path(__file__).with_name("long_visits.py")
SETTINGS, DATA = "/etc/ringstand/apps/crucible.json", "/var/lib/redis"


@pytest.fixture(scope="module", autouse=True)
def once(host):
    once_per_host(host, "pressure")


@contextlib.contextmanager
def visits(crucible, crowd=0):
    """The visits of the script during the block; the result is filled in at its end."""
    crucible.put(VISITS.read_bytes(), "/root/long_visits.py")
    crucible.host.check_output("rm -f /root/stop /root/visits.json")
    crucible.host.check_output(
        "systemd-run --quiet --collect --unit=visits --property=StandardOutput=file:/root/visits.json "
        f"--property=LimitNOFILE=8192 python3 /root/long_visits.py /run/crucible/live.sock /root/stop {crowd}"
    )
    found = {}
    try:
        yield found
    finally:
        crucible.host.run("touch /root/stop")
        crucible.wait_for(lambda: not crucible.host.service("visits").is_running, 70)
    found.update(json.loads(crucible.host.check_output("cat /root/visits.json")))


def connections(crucible) -> int:
    """How many there are with the live slot, waiting ones too."""
    return int(crucible.host.check_output(f"ss -xH | grep -c /run/crucible/{crucible.slot()}.sock || true"))


def test_what_is_under_way_ends_where_it_began(crucible):
    before = crucible.live()
    with visits(crucible) as found:
        crucible.wait_for(lambda: connections(crucible) >= 2)  # to the slow reader all has been said
        deployed = crucible.deploy()
    assert deployed["result"] == "ok", deployed
    assert crucible.live() == deployed["release"] != before
    assert found["websocket"]["releases"] == [before]
    assert found["websocket"]["lines"] > 20
    assert found["slow_reader"] == {"releases": [before]}
    # Its body came after the switch.
    assert found["slow_body"] == {"releases": [before]}


def test_a_deep_queue_is_answered_to_its_end(crucible):
    before, crowd = crucible.live(), 200
    started = json.loads(crucible.host.check_output(f"{crucible.deploy_command('good')} --no-wait"))
    crucible.wait_for(lambda: crucible.phase() in ("gate", "observe"))
    with visits(crucible, crowd) as found:
        deployed = crucible.ringstand("follow", "crucible", "--token", started["token"])
    assert deployed["result"] == "ok", deployed
    # All of them came before the switch, and most were answered after it.
    assert found["crowd"] == {"releases": {before: crowd}, "ended": found["crowd"]["ended"]}
    assert found["crowd"]["ended"] > float(crucible.host.check_output("stat --format=%.Z /run/crucible/live.sock"))


@pytest.fixture
def little_room(crucible):
    """A disk of the data with some MB more than have to stay free on it, and a build that takes a while."""
    settings = json.loads(crucible.host.check_output(f"cat {SETTINGS}"))
    crucible.host.check_output(f"mkdir -p {DATA} && mount -t tmpfs -o size=170m none {DATA}")
    crucible.put(json.dumps({**settings, "hooks": {"before_build": ["sleep 60"]}}).encode(), SETTINGS)
    yield
    crucible.put(json.dumps(settings).encode(), SETTINGS)
    crucible.host.check_output(f"umount {DATA} && rmdir {DATA}")


def test_a_build_leaves_the_data_room_to_write(crucible, little_room):
    before, releases = crucible.live(), crucible.host.check_output("ls /srv/crucible/releases").split()
    command = crucible.deploy_command("good")
    started = json.loads(crucible.host.check_output(f"{command} --no-wait"))
    crucible.wait_for(lambda: crucible.phase() == "hook before_build")
    crucible.host.check_output(f"head -c 60M /dev/zero > {DATA}/grows")
    ended = crucible.ringstand("follow", "crucible", "--token", started["token"])
    again = crucible.deploy()
    words = rf"the file system of {DATA} has 1\d\d MB free, and the last 150 MB are for what is there"
    assert re.search(words, ended["reason"]), ended  # stopped while it was still being filled
    assert ended["details"]["phases"]["hook before_build"] < 20
    assert again["reason"].startswith(f"Failed to deploy crucible: the file system of {DATA} has 110 MB free")
    assert crucible.live() == before
    assert set(crucible.host.check_output("ls /srv/crucible/releases").split()) <= set(releases)  # old ones may go

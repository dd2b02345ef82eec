"""The worker whose threads take their connections themselves: roles/gunicorn/files/worker.py."""

from __future__ import annotations

import pytest
from once import once_per_host

CURL = "curl -sS --unix-socket /run/crucible/live.sock http://localhost"


@pytest.fixture(scope="module", autouse=True)
def once(host):
    once_per_host(host, "slot worker")


def test_what_no_thread_is_free_for_waits_in_the_listener(crucible):
    """There any worker finds it: two of four threads, and 11 requests."""
    visits = f"for visit in $(seq 11); do {CURL}/slow/1 & done; sleep 0.6"
    waiting = f"ss -xlH src /run/crucible/{crucible.slot()}.sock | awk '{{print $3}}'"
    answers = crucible.host.check_output(f"{visits}; {waiting}; wait").split("\n", 1)
    assert answers[0] == "3"
    assert answers[1].count(crucible.live()) == 11


def test_a_worker_that_the_app_ends_is_replaced(crucible):
    workers = f"pgrep --parent $(systemctl show --property=MainPID --value ringstand-crucible@{crucible.slot()})"
    before = set(crucible.host.check_output(workers).split())
    assert crucible.host.run(f"{CURL}/exit").rc != 0
    for _request in range(20):
        assert crucible.get("/environment/FLASK_DEBUG") == "0"
    crucible.wait_for(lambda: len(set(crucible.host.check_output(workers).split()) - before) == 1)
    assert len(before) == 2


def test_an_answer_arrives_though_the_app_has_not_read_the_request(crucible):
    upload = f"{CURL}/refuse --data-binary @- --write-out ' %{{http_code}}'"
    done = crucible.host.run(f"head -c 3000000 /dev/zero | {upload}")
    assert (done.rc, done.stdout) == (0, "not even read 413")

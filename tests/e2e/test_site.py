"""What a site promises: it answers, a second run is quick and changes nothing, and its secrets stay secret."""

from __future__ import annotations

import json
import re

import host as test_hosts
from conftest import HOST

MOST_CALLS = 16
# The promise is 10 s in all, which bin/bench measures on a machine with nothing else to do. Here other tests run beside
# this one, so that what grows is seen by the processor's time on the controller, which is two thirds of the whole, and
# what waits by a bound that is as far away as other work makes it. The same run took 7 to 10 s of that time, as others
# left it more or less of the caches and of a processor's two threads.
MOST_CPU_SECONDS = 13
MOST_SECONDS = 40


def test_ready(site):
    answer = site.ask("/health/ready")
    assert answer.status == 200
    assert json.loads(answer.body)["status"] == "ok"


def test_the_first_release_was_built_beside_the_rest(site):
    entries = [json.loads(line) for line in site.root("cat /var/lib/ringstand/shop/ledger.jsonl").splitlines()]
    assert (entries[0]["kind"], entries[0]["result"]) == ("deploy", "ok")
    assert entries[0]["venv_built"] is False  # the early build had made it
    assert site.root("ls /var/lib/ringstand/shop").split() == ["activation.jsonl", "ledger.jsonl", "processes.json"]


def test_the_worker_of_its_procfile_runs_beside_it(site):
    state = json.loads(site.root("ringstand --json status shop"))["apps"][0]
    assert [(item["process"], item["running"]) for item in state["processes"]] == [("worker", 1)]
    assert state["processes"][0]["release"] == state["release"]


def test_a_second_run_changes_nothing(second):
    assert second.code == 0
    assert second.changed() == []
    assert second.recap("changed") == 0
    assert second.recap("failed") == 0
    assert "- None" not in second.output  # nothing was left as it is, so nothing is reported


def test_a_second_run_needs_few_calls(second):
    assert len(second.calls) <= MOST_CALLS, "\n".join(call[-200:] for call in second.calls)


def test_a_second_run_is_quick(site, second):
    """The quickest of at most three: the bounds are about what a run costs, and machines are shared."""
    def quick(run):
        return run.cpu_seconds <= MOST_CPU_SECONDS and run.seconds <= MOST_SECONDS

    runs = [second]
    while not quick(runs[-1]) and len(runs) < 3:
        runs.append(site.play())
    assert quick(runs[-1]), [(run.cpu_seconds, run.seconds) for run in runs]


def test_check_mode_predicts_no_change(site):
    run = site.play("--check", "--diff")
    assert run.code == 0, run.output[-4000:]
    assert run.changed() == []


def test_secrets_reach_the_app_verbatim(site):
    environment = site.root("cat /proc/$(pgrep -o -u shop gunicorn)/environ").split("\0")
    assert f"MAIL_PASSWORD={site.planted['MAIL_PASSWORD']}" in environment
    assert f"SECRET_KEY={site.planted['secret_key']}" in environment


def leaked(site, text):
    """Which planted secrets are in a text; their beginnings are enough to know them by."""
    return [name for name, value in site.planted.items() if value[:30] in text]


def test_no_secret_in_the_output(site, watched):
    assert "PLAY RECAP" in watched.output
    assert leaked(site, watched.output) == []


def test_no_secret_in_a_command_line(site, watched):
    assert "gunicorn" in site.commands_seen  # the sampler saw something
    assert leaked(site, site.commands_seen) == []


def test_no_secret_in_the_journal(site):
    journal = site.root("journalctl --output=export --no-pager")
    assert "ringstand" in journal
    assert leaked(site, journal) == []


def test_no_secret_in_a_file_that_everybody_reads(site):
    patterns = "\n".join(value[:30] for value in site.planted.values())
    places = "/etc /home /opt /run /srv /tmp /usr/local /var"
    search = "setpriv --reuid=nobody --regid=nogroup --clear-groups grep -rlsF --devices=skip -f /dev/fd/3"
    found = site.root(f"cat > /root/patterns; exec 3</root/patterns; {search} {places}; rm /root/patterns", patterns)
    assert found == ""
    everywhere = site.root(f"cat > /root/patterns; grep -rlsF -f /root/patterns {places}; rm /root/patterns", patterns)
    assert "/etc/ringstand/environment/shop.env" in everywhere  # the search finds what is there


def test_visits_keep_counting_over_a_restart(site):
    def visits():
        return int(re.search(r'id="visits-database">(\d+)<', site.ask("/").body.decode())[1])

    before = visits()
    test_hosts.restart(HOST)
    assert visits() == before + 1

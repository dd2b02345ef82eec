"""To live with an app: the playbooks for it, maintenance, what the doctor finds, the database shell."""

from __future__ import annotations

import json
import re
import shlex

import pytest
from conftest import CHECKOUT

PLAYBOOKS = CHECKOUT / "playbooks"
PSQL = "runuser -u postgres -- psql -XAtqc"
# What the machine under the host has of these is not the host's fault.
NOT_OURS = {"disk", "memory", "clock", "reboot"}
ENVIRONMENT = "/etc/ringstand/environment/shop.env"
LEDGER = "/var/lib/ringstand/shop/ledger.jsonl"
FAILED = '{"kind": "deploy", "result": "failed", "reason": "ill"}'
# Each alters something by hand, is found by a check, and can be undone.
ILLS = {
    ("shop", "files"): (f"chmod 0644 {ENVIRONMENT}", f"chmod 0600 {ENVIRONMENT}"),
    ("shop", "redis"): ("systemctl stop redis-server@shop-queue", "systemctl start redis-server@shop-queue"),
    ("host", "nginx"): ("systemctl disable -q nginx", "systemctl enable -q nginx"),
    ("host", "units"): ("systemctl disable -q ringstand-boot", "systemctl enable -q ringstand-boot"),
    ("shop", "database"): (
        f"{PSQL} \"UPDATE pg_index SET indisvalid = false WHERE indrelid = 'products'::regclass\" shop",
        f"{PSQL} \"UPDATE pg_index SET indisvalid = true WHERE indrelid = 'products'::regclass\" shop",
    ),
    ("shop", "migrations"): (
        f"{PSQL} \"UPDATE alembic_version SET version_num = 'x' || version_num\" shop",
        f"{PSQL} \"UPDATE alembic_version SET version_num = substr(version_num, 2)\" shop",
    ),
    ("shop", "activation"): (f"echo '{FAILED}' >> {LEDGER}", f"sed -i '$ d' {LEDGER}"),
}


# What each playbook for an app says that is asked for what cannot be.
REFUSED = [
    ("restart", {}, "Name the app with -e app=…"),
    ("restart", {"app": "nobody"}, "Apps on this host: shop"),
    ("rollback", {"app": "nobody"}, "Apps on this host: shop"),
    ("rollback", {"app": "shop", "release": "v0"}, "no complete release on this host has that id or version"),
    ("env", {"app": "--help"}, "that is not a name of an app"),
    ("run", {"app": "shop"}, "Name the command with -e command=…"),
    ("logs", {"app": "shop", "process": "wroker"}, "shop has no such process"),
    ("logs", {"app": "shop", "grep": "("}, "Bad pattern"),
    ("scale", {"app": "shop", "process": "worker", "count": "nine"}, "gives no number from 0 to 100"),
]


def play(site, name: str, *options: str, **variables: str):
    """A playbook, run by ann."""
    given = [f"-e{json.dumps({key: value})}" for key, value in variables.items()]
    return site.play(*options, *given, playbook=str(PLAYBOOKS / f"{name}.yml"),
                     environment={"USER": "ann", "SUDO_USER": ""})


def words(run) -> str:
    """What a playbook has said, however it was wrapped."""
    return " ".join(run.output.split())


def state(site) -> dict:
    return json.loads(site.root("ringstand --json status shop"))["apps"][0]


def examine(site) -> dict:
    found = json.loads(site.root("ringstand --json doctor shop"))
    found["places"] = {(one["where"], one["check"]) for one in found["findings"] if one["severity"] == "problem"}
    found["places"] = {place for place in found["places"] if place[1] not in NOT_OURS}
    return found


def test_the_doctor_finds_what_is_wrong_and_nothing_else(site):
    site.root("while systemctl is-active -q ringstand-backup; do sleep 1; done; ringstand restart shop")
    well = examine(site)
    assert well["places"] == set(), well["findings"]
    for do, _undo in ILLS.values():
        site.root(do)
    try:
        ill = examine(site)
        code = site.root("ringstand doctor > /dev/null; echo $?").strip()
    finally:
        for _do, undo in ILLS.values():
            site.root(undo)
        site.root("ringstand restart shop")  # its environment file is newer than its processes now
    assert set(ILLS) <= ill["places"], ill["findings"]
    assert all(one["do"] for one in ill["findings"])
    assert code == "3"
    assert examine(site)["places"] == set()
    assert max(well["seconds"], ill["seconds"]) < 6  # a third of that on a host that does nothing else


def test_maintenance_outlives_runs_and_lets_deploys_through(site):
    begun = play(site, "maintenance", app="shop", state="on")
    try:
        assert (begun.code, begun.recap("changed")) == (0, 1), begun.output[-3000:]
        assert play(site, "maintenance", app="shop", state="on").recap("changed") == 0
        assert state(site)["maintenance"]["by"] == "ann"
        assert site.ask("/health/ready").status == 503
        run = site.play()
        assert (run.code, run.changed()) == (0, []), run.output[-3000:]
        deployed = play(site, "deploy", app="shop", force="true")
        assert deployed.code == 0, deployed.output[-3000:]
        assert site.ask("/health/ready").status == 503
        assert "visitors get 503" in site.root("ringstand status")
        assert ("shop", "maintenance") in examine(site)["places"]
    finally:
        ended = site.root("ringstand maintenance shop off")
    assert "not in maintenance; a visitor gets 200" in ended
    assert site.ask("/health/ready").status == 200


def test_the_playbooks_that_look(site):
    live = state(site)
    shown = {
        "status": (play(site, "status"), f"({live['release']}), active, schema {live['schema_revision']}"),
        "run": (play(site, "run", app="shop", command="echo $RELEASE_ID; id -un"), f"- {live['release']} - shop"),
        "logs": (play(site, "logs", app="shop", process="web", lines="5", grep="Booting"), "Booting worker with pid"),
        "nothing": (play(site, "logs", app="shop", grep="never-written"), "-- No entries --"),
        "env": (play(site, "env", app="shop"), "- SECRET_KEY sha256 "),
        "backup": (play(site, "backup"), "dumps, files, verify were good at"),
        "doctor": (play(site, "doctor", app="shop"), ""),
    }
    for name, (run, said) in shown.items():
        assert said in words(run), run.output[-3000:]
        assert run.code == 0 or name == "doctor", run.output[-3000:]
        assert not [value for value in site.planted.values() if value in run.output]
    problems = set(re.findall(r"problem, (\w+):", shown["doctor"][0].output))
    assert problems <= NOT_OURS, shown["doctor"][0].output[-3000:]
    assert shown["doctor"][0].code == (2 if problems else 0)
    assert state(site)["release"] == live["release"]


def test_who_restarted_and_scaled_is_known(site):
    before = site.root("systemctl show --property=MainPID --value 'ringstand-shop@*'")
    foreseen = play(site, "restart", "--check", app="shop")
    assert (foreseen.code, foreseen.recap("changed")) == (0, 1), foreseen.output[-3000:]
    assert site.root("systemctl show --property=MainPID --value 'ringstand-shop@*'") == before
    restarted = play(site, "restart", app="shop")
    assert (restarted.code, restarted.recap("changed")) == (0, 1), restarted.output[-3000:]
    assert f"({state(site)['release']}) was started anew" in words(restarted)
    for count, running, changed in (("2", 2, 1), ("2", 2, 0), ("default", 1, 1)):
        scaled = play(site, "scale", app="shop", process="worker", count=count)
        assert (scaled.code, scaled.recap("changed")) == (0, changed), scaled.output[-3000:]
        assert f"{running} of {running} running" in words(scaled)
    told = site.root("ringstand releases shop")
    release = re.escape(state(site)["release"])
    for kind in ("restart", "scale"):
        assert re.search(rf"^\S+Z  {kind} +ann +{release}  ok  +[\d.]+ s$", told, re.MULTILINE), told
    assert re.search(rf"^{release}  live  +\S+  schema \w+  live \S+Z$", told, re.MULTILINE), told


@pytest.mark.parametrize(("name", "variables", "reason"), REFUSED)
def test_what_cannot_be_is_refused(site, name, variables, reason):
    before = site.root(f"cat {LEDGER}")
    run = play(site, name, **variables)
    assert (run.code, run.recap("changed"), run.recap("failed")) == (2, 0, 1), run.output[-3000:]
    assert reason in words(run), run.output[-3000:]
    assert site.root(f"cat {LEDGER}") == before or name == "rollback"


def test_a_page_of_the_app_is_shown_and_no_link_of_it(site):
    page = "/srv/shop/shared/maintenance.html"
    site.root(f"runuser -u shop -- ln -s /etc/ringstand/environment/shop.env {page}")
    refused = site.root("ringstand maintenance shop on 2>&1; ringstand maintenance shop status")
    site.root(f"rm {page}; echo '<p>of the shop' | runuser -u shop -- tee {page}; ringstand maintenance shop on")
    answer = site.ask("/")
    site.root(f"ringstand maintenance shop off; rm {page}")
    assert "must be a file, not a link" in refused
    assert "not in maintenance" in refused
    assert (answer.status, answer.body) == (503, b"<p>of the shop\n")


def test_the_database_by_a_pipe_and_by_arguments(site):
    who = "SELECT current_user || ' in ' || current_database()"
    assert site.root(f"echo {shlex.quote(who)} | ringstand database shop -At").strip() == "shop in shop"
    assert site.root(f"ringstand database shop -Atc {shlex.quote(who)}").strip() == "shop in shop"
    assert site.root("ringstand database shop -c 'SELECT nothing' 2>&1; echo $?").strip().endswith("1")
    assert site.root("ls -A /srv/shop/shared").strip() == ""  # no history of what was typed

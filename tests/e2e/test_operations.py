"""To live with an app: maintenance, what the doctor finds, the database shell."""

from __future__ import annotations

import json
import shlex

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
    def play(state: str):
        return site.play("-e", "app=shop", "-e", f"state={state}", playbook=str(PLAYBOOKS / "maintenance.yml"))

    begun = play("on")
    try:
        assert (begun.code, begun.recap("changed")) == (0, 1), begun.output[-3000:]
        assert play("on").recap("changed") == 0
        assert site.ask("/health/ready").status == 503
        run = site.play()
        assert (run.code, run.changed()) == (0, []), run.output[-3000:]
        deployed = site.play("-e", "app=shop", "-e", "force=true", playbook=str(PLAYBOOKS / "deploy.yml"))
        assert deployed.code == 0, deployed.output[-3000:]
        assert site.ask("/health/ready").status == 503
        assert "visitors get 503" in site.root("ringstand status")
        assert ("shop", "maintenance") in examine(site)["places"]
    finally:
        ended = site.root("ringstand maintenance shop off")
    assert "not in maintenance; a visitor gets 200" in ended
    assert site.ask("/health/ready").status == 200


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

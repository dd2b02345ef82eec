"""To live with apps: maintenance, what the doctor finds, the database shell, other apps beside a broken one, and the
end of an app. Last on its host, whose other tests know one app."""

from __future__ import annotations

import copy
import json
import shlex

import pytest
from conftest import CHECKOUT, NAME, variables, write_inventory

PLAYBOOKS = CHECKOUT / "playbooks"
PSQL = "runuser -u postgres -- psql -XAtqc"
# What the machine under the host has of these is not the host's fault.
NOT_OURS = {"disk", "memory", "clock", "reboot"}
FOREIGN_REDIS = """
import os, socket, urllib.parse
url = urllib.parse.urlsplit(os.environ["REDIS_URL"])
connection = socket.create_connection(("127.0.0.1", int(os.environ["OTHER"])))
connection.sendall(f"AUTH {url.username} {url.password}\\r\\n".encode())
assert connection.recv(9)[:1] == b"+"
"""
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


@pytest.fixture(scope="module")
def three(site):
    """The shop, a blog beside it, and one that cannot be built."""
    values = variables(site.planted)
    beside = {key: values["flask_apps"]["shop"][key] for key in ("source", "wsgi", "health", "tls")}
    beside["health"] = {**beside["health"], "observe_seconds": 0}
    values["flask_apps"]["blog"] = {**beside, "domains": ["blog.example.com"], "workers": 1}
    broken = {"domains": ["broken.example.com"], "workers": 1, "python": "/usr/bin/no-such-python", "redis": False}
    # Before the others in the dictionary, so that it has its turn first.
    values["flask_apps"] = {"broken": {**beside, **broken}, **values["flask_apps"]}
    path = site.work / "three.yml"
    write_inventory(path, values)
    return values, site.play("-i", str(path))


def test_a_broken_app_keeps_no_other_from_its_release(site, three):
    _values, run = three
    assert run.code != 0
    assert "Failed to bring broken into service; everything else was done" in run.output
    assert "no-such-python" in run.output
    states = {app["app"]: app["service"] for app in json.loads(site.root("ringstand --json status"))["apps"]}
    assert states == {"blog": "active", "broken": None, "shop": "active"}
    assert site.ask("/health/ready").status == 200


@pytest.mark.parametrize(
    "command",
    [
        "psql -XAtqc 'SELECT 1' shop",
        "cat /etc/ringstand/environment/shop.env",
        "ls /srv/shop/releases",
        "ls /srv/shop/shared",
        "python3 -c \"import socket; socket.socket(socket.AF_UNIX).connect('/run/shop/live.sock')\"",
        # Its own password at the other's Redis.
        f"python3 -c {shlex.quote(FOREIGN_REDIS)}",
    ],
)
def test_an_app_reaches_nothing_of_another(site, three, command):
    port = site.root("sed -n 's/^port //p' /etc/redis/redis-shop-queue.conf").strip()
    said = site.root(f"ringstand run blog env OTHER={port} {command}; echo $?")
    assert said.split()[-1] != "0"
    assert site.root("ringstand run blog psql -XAtqc 'SELECT 1' blog").strip() == "1"


def test_an_absent_app_goes_and_its_data_stays_until_it_is_purged(site, three):
    values = copy.deepcopy(three[0])
    for name in ("blog", "broken"):
        values["flask_apps"][name] = {"state": "absent"}
    path = site.work / "absent.yml"
    write_inventory(path, values)
    foreseen = site.play("-i", str(path), "--check")
    gone = site.play("-i", str(path))
    assert (foreseen.code, gone.code) == (0, 0), foreseen.output[-3000:] + gone.output[-3000:]
    assert foreseen.changed() == gone.changed()
    assert "the data of blog, broken" in gone.output
    assert site.root("systemctl list-units --all --no-legend 'ringstand-blog*' 'redis-server@blog*'").strip() == ""
    assert site.root("ls /etc/nginx/ringstand/sites /etc/ringstand/apps").split().count("blog.conf") == 0
    assert site.root(f"{PSQL} \"SELECT to_regclass('products')\" blog").strip() == "products"
    assert site.root("ls -d /srv/blog/shared /var/lib/redis/blog-queue").split() != []

    early = site.root("ringstand purge shop --confirm shop 2>&1; ringstand purge blog --confirm shop 2>&1")
    assert "First give it `state: absent`" in early
    assert "--confirm says 'shop'" in early
    purged = site.play("-i", str(path), "-e", "app=blog", "-e", "confirm=blog", playbook=str(PLAYBOOKS / "purge.yml"))
    assert (purged.code, purged.recap("changed")) == (0, 1), purged.output[-3000:]
    assert "is purged" in site.root("ringstand purge broken --confirm broken --no-dump 2>&1")
    places = "/srv /etc /run /var/lib/redis /var/lib/ringstand /var/cache/ringstand /var/log"
    assert site.root(f"find {places} -name '*blog*'").strip() == ""
    assert "blog" not in site.root(f"id blog 2>/dev/null; {PSQL} 'SELECT datname FROM pg_database'; "
                                   f"{PSQL} 'SELECT rolname FROM pg_roles'")
    dump = site.root("find /var/backups/ringstand-purged -name '*.dump'").split()
    assert len(dump) == 1
    assert "TABLE DATA public products" in site.root(f"pg_restore --list {dump[0]}")

    after = site.play("-i", str(path))
    assert (after.code, after.changed()) == (0, []), after.output[-3000:]
    assert "Kept until it is purged" not in after.output
    assert site.ask("/health/ready").status == 200
    assert NAME in site.root("cat /etc/nginx/ringstand/sites/shop.conf")

"""Several apps on a host: one is broken, the data of one comes from elsewhere, the database of one stays there, and all
but the shop end. After the tests of that one app on their host."""

from __future__ import annotations

import copy
import json
import re
import shlex
import socket
import ssl
from urllib.parse import urlsplit

import elsewhere
import pytest
from conftest import CHECKOUT, NAME, variables, write_inventory
from probe import ask

PLAYBOOKS = CHECKOUT / "playbooks"
PSQL = "runuser -u postgres -- psql -XAtqc"
BLOG, QUEUE_PORT = "blog.example.com", 6400
FOREIGN_REDIS = """
import os, socket, urllib.parse
url = urllib.parse.urlsplit(os.environ["REDIS_URL"])
connection = socket.create_connection(("127.0.0.1", int(os.environ["OTHER"])))
connection.sendall(f"AUTH {url.username} {url.password}\\r\\n".encode())
assert connection.recv(9)[:1] == b"+"
"""


@pytest.fixture(scope="module")
def three(site):
    """The shop, a blog beside it whose queue is reached from this machine too, one with its database on another server
    behind a pooler, and one that cannot be built."""
    made = site.root("bash 2>&1; echo $?", elsewhere.SETUP)
    assert made.strip() == "0", made
    values = variables(site.planted)
    beside = {key: values["flask_apps"]["shop"][key] for key in ("source", "wsgi", "health", "tls")}
    beside["health"] = {**beside["health"], "observe_seconds": 0}
    with socket.create_connection((site.address, 443)) as connection:
        here = connection.getsockname()[0]
    certificate = {"chain_path": elsewhere.CERTIFICATE, "key_path": elsewhere.KEY}
    redis = {"queue": {"port": QUEUE_PORT, "clients": [here], "tls": certificate}, "cache": {}}
    values["flask_apps"]["blog"] = {**beside, "domains": [BLOG], "workers": 1, "redis": redis}
    values["flask_apps"]["away"] = {**beside, "domains": ["away.example.com"], "workers": 1,
                                    "database_url": elsewhere.url("away", elsewhere.POOLER_PORT),
                                    "migration_database_url": elsewhere.url("away")}
    broken = {"domains": ["broken.example.com"], "workers": 1, "python": "/usr/bin/no-such-python", "redis": False,
              "extra_configuration": "proxy_pas http://misspelt;"}
    values["flask_apps"]["shop"]["extra_configuration"] = "location = /beside { return 204; }"
    # Before the others in the dictionary, so that it has its turn first.
    values["flask_apps"] = {"broken": {**beside, **broken}, **values["flask_apps"]}
    path = site.work / "three.yml"
    write_inventory(path, values)
    yield values, site.play("-i", str(path))
    site.root("pg_dropcluster --stop $(ls /usr/lib/postgresql) elsewhere")


def test_a_broken_app_keeps_no_other_from_its_release(site, three):
    _values, run = three
    assert run.code != 0
    assert "Failed to bring broken into service; everything else was done" in run.output
    assert "no-such-python" in run.output
    assert "Failed to serve broken as configured; everything else was done" in " ".join(run.output.split())
    assert 'unknown directive "proxy_pas"' in run.output
    states = {app["app"]: app["service"] for app in json.loads(site.root("ringstand --json status"))["apps"]}
    assert states == {"away": "active", "blog": "active", "broken": None, "shop": "active"}
    assert site.ask("/beside").status == 204, "what has changed of the shop is served"
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


def test_a_worker_elsewhere_reaches_the_queue_by_tls(site, three):
    context = ssl.create_default_context(cadata=site.root(f"cat {elsewhere.CERTIFICATE}"))
    login = urlsplit(site.root("ringstand run blog printenv REDIS_URL").strip())
    assert (login.scheme, login.port) == ("rediss", QUEUE_PORT)
    plain = socket.create_connection((site.address, QUEUE_PORT), timeout=10)
    with context.wrap_socket(plain, server_hostname="localhost") as connection:
        connection.sendall(f"AUTH {login.username} {login.password}\r\nPING\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(1), b"G"))
    assert answer == b"+OK\r\n+PON"
    client = three[0]["flask_apps"]["blog"]["redis"]["queue"]["clients"][0]
    assert re.findall(rf"{QUEUE_PORT}/tcp .*", site.root("ufw status"))[0].split()[1:3] == ["ALLOW", client]
    found = json.loads(site.root("ringstand --json doctor blog"))["findings"]
    assert [one for one in found if one["check"] == "redis"] == []


def test_an_app_works_with_a_database_on_another_server(site, three):
    ask_away = "ringstand database away -Atc"
    assert site.root(f"{ask_away} 'SELECT version_num FROM alembic_version'").strip() == "e93a6b15d7f8"
    assert site.root(f"{PSQL} \"SELECT count(*) FROM pg_database WHERE datname = 'away'\"").strip() == "0"
    visited = re.search(rb'id="visits-database">(\d+)<', ask(site.address, "away.example.com", "/").body)[1]
    assert visited == b"1"
    encrypted = "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'away'"
    assert site.root(elsewhere.sql(encrypted, "away")).strip() == "t"
    # The app itself comes by the pooler only.
    connected = site.root(f"ss -Htnp state established 'dport = :{elsewhere.PORT}'").splitlines()
    assert connected and all('"pgbouncer"' in line for line in connected)
    assert '"gunicorn' in site.root(f"ss -Htnp state established 'dport = :{elsewhere.POOLER_PORT}'")

    done = json.loads(site.root("ringstand --json backup"))
    told = site.root("ringstand backups")
    assert "away: its database is elsewhere: only nightly dumps of it are here, no restore to a moment" in told, done
    site.root(elsewhere.sql("DELETE FROM visits", "away"))
    refused = site.root("ringstand restore-elsewhere away --confirm wrong 2>&1; ringstand restore-elsewhere shop 2>&1")
    assert "Failed to restore the database of shop: it is not one that is backed up from elsewhere" in refused
    assert site.root(f"{ask_away} 'SELECT count(*) FROM visits'").strip() == "0"
    restored = site.root("ringstand restore-elsewhere away --confirm $(hostname) 2>&1")
    assert "the database of away is as in" in restored
    assert ask(site.address, "away.example.com", "/").status == 200
    assert site.root(f"{ask_away} 'SELECT count FROM visits'").strip() == "2"

    site.root("pg_ctlcluster $(ls /usr/lib/postgresql) elsewhere stop")
    try:
        found = json.loads(site.root("ringstand --json doctor away"))["findings"]
    finally:
        site.root("pg_ctlcluster $(ls /usr/lib/postgresql) elsewhere start")
    # The pooler is still up, so that only who goes the direct way can tell.
    assert any(one["where"] == "away" and "the database is not reachable" in one["what"] for one in found), found
    assert elsewhere.PASSWORD not in json.dumps(found) + told + restored


def test_data_arrives_in_an_app_that_is_live(site, three):
    """From a server by TLS, of an older revision than the code's; the app stays closed until that is deployed."""
    values = copy.deepcopy(three[0])
    # In the same run: what goes the direct way has another address from now on, and the app has not.
    values["flask_apps"]["away"]["migration_database_url"] = elsewhere.url("away", application_name="direct")
    path = site.work / "arrival.yml"
    write_inventory(path, values)
    source, uploads = site.work / "source.yml", site.work / "uploads"
    source.write_text(json.dumps({"source_url": elsewhere.url("departed")}))
    (uploads / "2024").mkdir(parents=True)
    (uploads / "2024" / "cat.txt").write_text("a cat")

    refused = site.root("ringstand import blog --url-file - 2>&1", stdin=elsewhere.url("departed"))
    assert "its database blog holds rows, in public.visits" in refused  # that its first migrations have made
    as_told = "ringstand maintenance blog on && sudo -u postgres dropdb --force blog"
    assert f"if nobody needs those rows: {as_told}, then run site.yml" in refused
    site.root(as_told)
    assert ask(site.address, BLOG, "/").status == 503
    serving = site.root("systemctl show --property=MainPID --value 'ringstand-away@*'")
    again = site.play("-i", str(path), "--tags", "postgresql,gunicorn")
    assert "Failed to bring broken into service; everything else was done" in again.output
    arrived = site.play("-i", str(path), "-e", "app=blog", "-e", f"@{source}", "-e", f"uploads={uploads}",
                        playbook=str(PLAYBOOKS / "import.yml"))
    assert arrived.code == 0, arrived.output[-3000:]
    for words in ("rows: 3", "revision: 8c5e91f3a6d2", "The app stays in maintenance",
                  "To end it: ringstand maintenance blog off"):
        assert words in " ".join(arrived.output.split()), arrived.output[-3000:]
    assert elsewhere.PASSWORD not in refused + arrived.output
    assert ask(site.address, BLOG, "/").status == 503
    deployed = site.play("-i", str(path), "-e", "app=blog", "-e", "force=true", playbook=str(PLAYBOOKS / "deploy.yml"))
    assert deployed.code == 0, deployed.output[-3000:]
    assert ask(site.address, BLOG, "/").status == 503
    site.root("ringstand maintenance blog off")
    page = ask(site.address, BLOG, "/").body.decode()
    assert "Socks from elsewhere" in page
    assert re.search(r'id="visits-database">(\d+)<', page)[1] == "42"
    assert site.root("stat -c '%U %s' /srv/blog/shared/2024/cat.txt").strip() == "blog 5"

    assert site.root("ringstand database away -Atc 'SHOW application_name'").strip() == "direct"
    assert "direct" not in site.root("ringstand run away printenv DATABASE_URL")
    assert site.root("stat -c '%U %a' /etc/ringstand/environment/away.migration.env").strip() == "root 600"
    assert site.root("systemctl show --property=MainPID --value 'ringstand-away@*'") == serving  # not restarted for it


def test_an_absent_app_goes_and_its_data_stays_until_it_is_purged(site, three):
    values = copy.deepcopy(three[0])
    for name in ("away", "blog", "broken"):
        values["flask_apps"][name] = {"state": "absent"}
    path = site.work / "absent.yml"
    write_inventory(path, values)
    foreseen = site.play("-i", str(path), "--check")
    gone = site.play("-i", str(path))
    assert (foreseen.code, gone.code) == (0, 0), foreseen.output[-3000:] + gone.output[-3000:]
    assert foreseen.changed() == gone.changed()
    assert "the data of away, blog, broken" in gone.output
    assert f" {QUEUE_PORT}/tcp" not in site.root("ufw status")
    assert site.root("systemctl list-units --all --no-legend 'ringstand-blog*' 'redis-server@blog*'").strip() == ""
    assert site.root("ls /etc/nginx/ringstand/sites /etc/ringstand/apps").split().count("blog.conf") == 0
    assert site.root(f"{PSQL} \"SELECT to_regclass('products')\" blog").strip() == "products"
    assert site.root("ls -d /srv/blog/shared /var/lib/redis/blog-queue").split() != []

    early = site.root("ringstand purge shop --confirm shop 2>&1; ringstand purge blog --confirm shop 2>&1")
    assert "First give it `state: absent`" in early
    assert "--confirm says 'shop'" in early
    purged = site.play("-i", str(path), "-e", "app=blog", "-e", "confirm=blog", playbook=str(PLAYBOOKS / "purge.yml"))
    assert (purged.code, purged.recap("changed")) == (0, 1), purged.output[-3000:]
    for name in ("away", "broken"):
        assert "is purged" in site.root(f"ringstand purge {name} --confirm {name} --no-dump 2>&1")
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

"""What check mode promises: a bare host stays as it is, and on a host that is set up the forecast comes true."""

from __future__ import annotations

import fnmatch
import json
from dataclasses import dataclass

import pytest
from conftest import CHECKOUT, Run, Site, variables, write_inventory

# What each login or the system itself changes, on a host on which nobody runs anything.
NOT_OURS = {
    "/run/motd.dynamic": "written anew at each login",
    "/run/utmp": "logins",
    "/run/user*": "made at a login",
    "/run/systemd/*": "sessions, and the journal's sequence numbers",
    "/run/sudo*": "sudo's tickets",
    "/run/log/journal*": "the journal",
    "/var/log/journal/*": "the journal has the login and the module calls",
    "/var/log/wtmp*": "logins",
    "/var/log/lastlog*": "logins",
    "/var/lib/systemd/*": "timers of the system",
}
# Ansible unpacks its modules below /tmp for as long as they run; /run has the files above.
CHANGED_TIMES = ("/run", "/tmp")
UNKNOWN = (
    "Which versions these are, and what else they bring along, cannot be foreseen",
    "PostgreSQL is not installed: its version, and what has to be done to its roles and databases",
    "nginx is not installed, so its version cannot be foreseen",
    "What these would say cannot be foreseen: nginx -t -q",
    "whether they start cannot be foreseen: redis-server@shop-queue.service",
    "The release of shop is not built in check mode",
)


def differences(before: dict[str, list], after: dict[str, list]) -> dict[str, tuple]:
    found = {}
    for path in sorted({*before, *after}):
        left, right = before.get(path), after.get(path)
        if path in CHANGED_TIMES and left and right:
            left, right = left[:3], right[:3]
        if left != right and not any(fnmatch.fnmatch(path, pattern) for pattern in NOT_OURS):
            found[path] = (left, right)
    return found


def test_a_bare_host_does_not_make_it_fail(bare):
    assert bare.code == 0, bare.output[-4000:]
    assert "Deploy the apps that have no release yet" in " ".join(bare.changed())


def test_nothing_is_written_on_a_bare_host(site, bare):
    before, after = site.bare_files
    assert len(before) > 5000
    assert differences(before, after) == {}


def test_a_first_run_is_seen_in_the_listing(site, bare):
    """The comparison is one that finds something."""
    written = differences(site.bare_files[0], site.files())
    assert {"/etc/nginx/ringstand/sites/shop.conf", "/etc/passwd", "/usr/sbin/nginx", "/opt/ringstand"} <= set(written)


@pytest.mark.parametrize("text", UNKNOWN)
def test_what_cannot_be_known_on_a_bare_host_is_said(bare, text):
    assert text in " ".join(bare.output.split())


BY_HAND = """
printf 'server { listen 80; server_name old.example.com; return 204; }\\n' > /etc/nginx/ringstand/sites/old.conf
systemctl reload nginx
systemctl stop redis-server@shop-cache
ufw disable
runuser -u postgres -- psql -qc 'ALTER ROLE shop CREATEDB'
rm /etc/tmpfiles.d/ringstand-shop.conf /run/shop/live.sock
"""
CLEAN_UP = """
systemctl disable --now redis-server@blog-queue
rm -rf /etc/redis/redis-blog* /etc/nginx/ringstand/sites/blog.conf /etc/ringstand/apps/blog.json /srv/blog
rm -rf /var/cache/ringstand/blog /var/lib/ringstand/blog
rm -rf /etc/systemd/system/ringstand-blog* /etc/tmpfiles.d/ringstand-blog.conf /etc/ringstand/*/blog.* /run/blog
runuser -u postgres -- dropdb blog; runuser -u postgres -- dropuser blog; userdel blog
"""


def write_changed_inventory(site: Site) -> str:
    """One input of each kind changed, and a new app that is not deployed."""
    values = variables(site.planted)
    shop = values["flask_apps"]["shop"]
    shop.update(workers=3, memory_mb=900, domains=[*shop["domains"], "www.shop.example.com"],
                redis={"queue": {"maxmemory_mb": 96}, "cache": {}})
    shop["environment"] = {**shop["environment"], "REGION": "north"}
    values["flask_apps"]["blog"] = {"domains": ["blog.example.com"], "wsgi": "shop:create_app()",
                                    "tls": {"certificate": "self_signed"},
                                    "source": {"path": str(CHECKOUT / "examples" / "shop")},
                                    "redis": {"queue": {}}, "database": {"extensions": ["pg_trgm"]}}
    values["flask_apps"]["old"] = {"state": "absent"}
    values.update(
        gunicorn_first_deploy_enabled=False,
        nginx_settings={"keepalive_timeout": "31s"},
        postgresql_settings={"max_connections": 90, "log_min_duration_statement": "2s"},
        postgresql_restart_enabled=True,
        host_firewall_allow=[{"port": 22}, {"port": 80}, {"port": 443}, {"port": 443, "proto": "udp"},
                             {"port": 8443, "from": "192.0.2.0/24"}],
        host_journal_max_mb=512,
        host_connection_backlog=2048,
        host_timezone="Europe/Berlin",
    )
    path = site.work / "check.yml"
    write_inventory(path, values)
    return str(path)


def changes(run: Run) -> dict[str, set[str]]:
    """The tasks that changed something (in check mode: would), with what they changed."""
    data, _end = json.JSONDecoder().raw_decode(run.output[run.output.index('{\n    "custom_stats"'):])
    found: dict[str, set[str]] = {}
    for task in data["plays"][0]["tasks"]:
        for result in task["hosts"].values():
            for one in result.get("results", [result]):
                if one.get("changed"):
                    found.setdefault(task["task"]["name"], set()).update(objects(one))
    return found


def objects(result: dict) -> set[str]:
    item = result.get("_ansible_item_label") or result.get("item") or ""
    named = {str(item.get("name", item)) if isinstance(item, dict) else str(item)}
    # Whoever enables a unit makes systemd load all others anew: which task comes first for that, nobody can foresee.
    units = {name: [action for action in unit["actions"] if action != "daemon-reload"]
             for name, unit in result.get("units", {}).items()}
    acted = {f"{name}: {' '.join(actions)}" for name, actions in units.items() if actions}
    return {*result.get("changed_paths", ()), *result.get("actions", ()), *acted} or named


@dataclass
class Forecast:
    predicted: dict[str, set[str]]
    happened: dict[str, set[str]]


@pytest.fixture(scope="module")
def forecast(site):
    inventory = write_changed_inventory(site)
    site.root("bash -s", BY_HAND)
    as_data = {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"}
    check = site.play("-i", inventory, "--check", "--diff", environment=as_data)
    real = site.play("-i", inventory, environment=as_data)
    assert (check.code, real.code) == (0, 0), check.output[-3000:] + real.output[-3000:]
    yield Forecast(changes(check), changes(real))
    site.root("bash -s", CLEAN_UP)
    back = site.play()
    assert back.code == 0, back.output[-3000:]


def test_the_forecast_comes_true(forecast):
    assert forecast.predicted == forecast.happened


@pytest.mark.parametrize("thing", [
    "nginx.service: reload", "redis-server@shop-cache.service: start", "redis-server@blog-queue.service: enable start",
    "redis-server@shop-queue.service: restart", "refuse everything else", "allow 8443/tcp from 192.0.2.0/24",
    "systemd-journald.service: restart", "systemd-sysctl.service: restart", "/etc/ringstand/environment/shop.env",
    "ringstand-boot.service: start", "/etc/nginx/ringstand/sites/old.conf", "/etc/localtime", "blog",
])
def test_the_forecast_has_something_of_each_kind(forecast, thing):
    assert thing in set().union(*forecast.predicted.values())

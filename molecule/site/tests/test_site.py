"""The whole site as its visitors and its neighbours see it. Runs before and after a restart of the host."""

from __future__ import annotations

import json
import re

import pytest
from probe import ask

NAME = "shop.example.com"
VISITS_PATH = "/var/tmp/visits-seen-by-the-test"


@pytest.fixture
def address(host):
    return host.ansible.get_variables()["ansible_host"]


def visits(address):
    page = ask(address, NAME, "/").body.decode()
    return [int(re.search(rf'id="visits-{store}">(\d+)<', page)[1]) for store in ("database", "redis")]


def listening(host):
    """Addresses and ports, of everything that other machines could reach."""
    rows = [line.split() for line in host.check_output("ss -Hltun").splitlines()]
    locals_ = [row[4].rsplit(":", 1) for row in rows]
    return {(address, int(port)) for address, port in locals_ if not re.match(r"127\.|\[::1\]|.*%lo$", address)}


def test_ready_through_nginx_and_tls(address):
    answer = ask(address, NAME, "/health/ready")
    assert answer.status == 200
    assert json.loads(answer.body)["checks"] == {"database": "ok", "redis": "ok", "cache": "ok"}


def test_every_domain_answers(address):
    assert ask(address, "www.shop.example.com", "/").status in (200, 301, 308)


def test_visits_keep_counting(host, address):
    """In PostgreSQL and in Redis; what the last run of this test saw is on the host, so that a restart is seen."""
    seen = [0, 0]
    if host.file(VISITS_PATH).exists:
        seen = json.loads(host.file(VISITS_PATH).content_string)
    first, second = visits(address), visits(address)
    host.run_expect([0], f"echo '{json.dumps(second)}' > {VISITS_PATH}")
    assert all(now > before for now, before in zip(first, seen))
    assert all(now == before + 1 for now, before in zip(second, first))


def test_only_ssh_and_web_are_reachable(host):
    assert {port for _address, port in listening(host)} == {22, 80, 443}


def test_static_files_come_from_nginx(address):
    answer = ask(address, NAME, "/static/shop.css")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/css")


def test_the_server_does_not_tell_its_release(address):
    assert ask(address, NAME, "/health").headers["server"] == "nginx"


def test_other_names_get_nothing(address):
    with pytest.raises(OSError):
        ask(address, "somebody-else.example.com", "/")


def test_nothing_failed(host):
    assert host.check_output("systemctl list-units --failed --plain --no-legend") == ""


def test_the_app_runs_as_its_user(host):
    workers = host.check_output("ps -o user= -C gunicorn").split()
    assert workers
    assert set(workers) == {"shop"}


def test_one_slot_serves(host):
    states = host.run("systemctl is-active ringstand-shop@blue.service ringstand-shop@green.service").stdout.split()
    assert sorted(states) == ["active", "inactive"]


@pytest.mark.parametrize(("path", "user", "group", "mode"), [
    ("/etc/ringstand/environment/shop.env", "root", "root", 0o600),
    ("/etc/ringstand/environment", "root", "root", 0o700),
    ("/etc/ringstand/apps/shop.json", "root", "root", 0o644),
    ("/etc/ringstand/certificates/shop/privkey.pem", "root", "root", 0o600),
])
def test_modes_and_owners(host, path, user, group, mode):
    found = host.file(host.check_output(f"readlink -f {path}"))
    assert (found.user, found.group, found.mode) == (user, group, mode)


def test_the_app_cannot_change_its_release(host):
    search = "find -L /srv/shop/live/ /srv/shop/venvs /srv/shop/static -writable 2>/dev/null | head"
    assert host.check_output(f"runuser -u shop -- {search}") == ""


def test_nobody_reads_the_secrets(host):
    denied = host.run("runuser -u nobody -- cat /etc/ringstand/environment/shop.env")
    assert denied.rc != 0

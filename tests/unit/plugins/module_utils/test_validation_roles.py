# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bad input of single roles, as a table."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils.validation import host_values
from ansible_collections.ringstand.flask.plugins.module_utils.validation.problems import Problems
from ansible_collections.ringstand.flask.plugins.module_utils.validation.roles import check_role

CANARY = "Canary7qP2"
PASSWORD = "Zq7-wr2_Xp9-m4K"
SCRAM = "SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2FsdA==$c3RvcmVk:c2VydmVy"

REDIS = {"name": "shop-queue", "purpose": "queue", "port": 6400, "users": [{"name": "shop", "password": PASSWORD}]}
SITE = {"name": "shop", "domains": ["shop.example.com"], "upstream_socket": "/run/shop/live.sock"}
APP = {"name": "shop", "wsgi": "shop:create_app()", "environment": {"DATABASE_URL": "sqlite://", "SECRET_KEY": "x"}}


def check(variable: str, value: Any, memory_mb: int = 2048) -> Problems:
    return check_role(variable.split("_")[0], {variable: value}, {"memory_mb": memory_mb})


def redis(**changes: Any) -> list[dict[str, Any]]:
    return [{**copy.deepcopy(REDIS), **changes}]


def site(**changes: Any) -> list[dict[str, Any]]:
    return [{**SITE, **changes}]


def app(**changes: Any) -> list[dict[str, Any]]:
    return [{**APP, **changes}]


@pytest.fixture(autouse=True)
def _time_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same on a machine without a database of time zones."""
    monkeypatch.setattr(host_values, "_timezones", lambda: {"Europe/Berlin", "Etc/UTC"})


def smtp(**changed: Any) -> dict[str, Any]:
    return {"host": "mail.example.com", "from": "vm@example.com", "to": ["ops@example.com"], **changed}


BAD: list[tuple[str, Any, str, list[str]]] = [
    ("postgresql_roles", [{"name": "postgres"}], "[0].name", ['"postgres"', "reserved"]),
    ("postgresql_roles", [{"name": "pg_monitor"}], "[0].name", ["reserved"]),
    ("postgresql_roles", [{"name": "public"}], "[0].name", ["reserved"]),
    ("postgresql_roles", [{"name": "r" * 64}], "[0].name", ["63 bytes"]),
    ("postgresql_roles", [{"name": "a"}, {"name": "a"}], "[1].name", ["postgresql_roles[0].name", "already"]),
    ("postgresql_roles", [{"name": "a", "password": CANARY}], "[0].password", ["less than 12"]),
    ("postgresql_roles", [{"name": "a", "password": "changeme1234"}], "[0].password", ["placeholder"]),
    ("postgresql_roles", [{"name": "a", "password": "change-me-please"}], "[0].password", ["placeholder"]),
    ("postgresql_roles", [{"name": "a", "password": "secret-password"}], "[0].password", ["placeholder"]),
    ("postgresql_roles", [{"name": "a", "password": "md5" + "0" * 32}], "[0].password", ["md5", "SCRAM-SHA-256"]),
    ("postgresql_roles", [{"name": "a", "password": SCRAM[:-12]}], "[0].password", ["whole"]),
    ("postgresql_roles", [{"name": "a", "password": f"{PASSWORD}\0"}], "[0].password", ["NUL"]),
    ("postgresql_databases", [{"name": "template0"}], "[0].name", ["reserved"]),
    ("postgresql_databases", [{"name": "shop", "owner": "shop", "readers": ["shop"]}], "[0].readers[0]", ["owns"]),
    ("postgresql_pgdg_key", "ACCC4CF8", "", ["no public key"]),
    ("postgresql_pgdg_url", "apt.postgresql.org", "", ["https://"]),
    ("postgresql_databases", [{"name": "d" * 64}], "[0].name", ["63 bytes"]),
    ("postgresql_databases", [{"name": "my db"}], "[0].name", ["lower-case"]),
    ("postgresql_databases", [{"name": "a"}, {"name": "a"}], "[1].name", ["already"]),
    ("postgresql_version", "seventeen", "", ["two digits"]),
    ("postgresql_memory_mb", 0, "", ["between 128"]),
    ("host_timezone", "Europe/Berln", "", ['"Europe/Berln"', "Did you mean Europe/Berlin?"]),
    ("host_timezone", "CET-1 CEST", "", ["no such time zone"]),
    ("host_locale", "german", "", ["locale"]),
    ("host_journal_max_mb", 0, "", ["between 16"]),
    ("host_journal_max_mb", "1G", "", ["an integer"]),
    ("host_firewall_allow", [{"port": 70000}], "[0].port", ["70000", "neither a port nor a range"]),
    ("host_firewall_allow", [{"port": 22}, {"port": "https"}], "[1].port", ['"https"', "443"]),
    ("host_firewall_allow", [{"port": "9000:8000"}], "[0].port", ["neither"]),
    ("host_firewall_allow", [{"port": 22, "from": "office"}], "[0].from", ["no address or network"]),
    ("host_firewall_allow", [{"port": 22, "from": "192.0.2.7/24"}], "[0].from", ["Write 192.0.2.0/24"]),
    ("host_unattended_upgrades_blocklist", ["redis", "(postgres"], "[1]", ["regular expression"]),
    ("redis_instances", redis(name="shop queue"), "[0].name", ["lower-case"]),
    ("redis_instances", redis() + redis(port=6401), "[1].name", ["already"]),
    ("redis_instances", redis() + redis(name="other"), "[1].port", ["redis_instances[0].port has this port"]),
    ("redis_instances", redis(port=5432), "[0].port", ["PostgreSQL"]),
    ("redis_instances", redis(port=80), "[0].port", ["between 1024"]),
    ("redis_instances", redis(port="6400"), "[0].port", ["Write 6400 without quotes"]),
    ("redis_instances", redis(maxmemory_mb=0), "[0].maxmemory_mb", ["between 8"]),
    ("redis_instances", redis(maxmemory_mb=4096), "[0].maxmemory_mb", ["2048 MB"]),
    ("redis_instances", redis(bind=["localhost"]), "[0].bind[0]", ["IP address"]),
    ("redis_instances", redis(bind=["127.0.0.1", "10.0.0.5"]), "[0].bind", ["unencrypted", "plaintext_allowed"]),
    ("redis_instances", redis(tls={"chain_path": "/etc/x.pem"}), "[0].tls", ["a chain and a key"]),
    ("redis_instances", redis(tls={"chain": CANARY, "key": CANARY}), "[0].tls.chain", ["no certificate in PEM"]),
    ("redis_instances", redis(users=[]), "[0].users", ["nobody can log in"]),
    ("redis_instances", redis(users=[{"name": "default", "password": PASSWORD}]), "[0].users[0].name", ["'default'"]),
    ("redis_instances", redis(users=[{"name": "shop", "password": CANARY}]), "[0].users[0].password", ["less than 12"]),
    ("nginx_sites", site(name="my shop"), "[0].name", ["lower-case"]),
    ("nginx_sites", site(domains=["*.*.example.com"]), "[0].domains[0]", ["wildcard"]),
    ("nginx_sites", site(certificate={"chain_path": "/etc/x.pem"}), "[0].certificate", ["a chain and a key"]),
    ("certbot_certificates", [{"name": "shop", "domains": ["*.example.com"]}], "[0].domains[0]", ["over HTTP"]),
    ("certbot_certificates", [{"name": "a", "domains": ["a.io"], "dns_plugin": "a b"}], "[0].dns_plugin", ["route53"]),
    ("certbot_eab", {"kid": "k 1", "hmac_key": "x" * 30}, ".kid", ["spaces"]),
    ("certbot_eab", {"kid": "k1", "hmac_key": f"{CANARY}+/"}, ".hmac_key", ["base64url"]),
    ("certbot_profile", "short lived", "", ["letters"]),
    ("certbot_staging_directory_url", "http://ca.example.com/dir", "", ["https://"]),
    ("backup_drill_interval_days", -1, "", ["between 0"]),
    ("backup_metrics_dir", "node-exporter", "", ["not absolute"]),
    ("backup_webhook_url", f"ftp://{CANARY}", "", ["https"]),
    ("backup_smtp", smtp(host="https://mail.io"), ".host", ["name of a server"]),
    ("backup_smtp", smtp(port=0), ".port", ["between 1"]),
    ("backup_smtp", smtp(to=[]), ".to", ["nobody"]),
    ("backup_smtp", smtp(to=["ops@example.com", "ops"]), ".to[1]", ["e-mail"]),
    ("backup_smtp", smtp(**{"from": "a@b.io\nBcc: c@d.io"}), ".from", ["e-mail"]),
    ("backup_smtp", smtp(password=CANARY), ".user", ["belong together"]),
    ("backup_smtp", smtp(security="none"), ".security", ["in the clear"]),
    ("certbot_webhook_url", f"ftp://{CANARY}", "", ["https"]),
    ("certbot_dns_credentials", {"cloudflare": ""}, ".cloudflare", ["text of a file"]),
    ("certbot_dns_credentials", {"../x": CANARY}, ".../x", ["python3-certbot-dns"]),
    ("certbot_dns_propagation_seconds", {"rfc2136": "30"}, ".rfc2136", ["Write 30 without quotes"]),
    ("certbot_dns_propagation_seconds", {"rfc2136": 36000}, ".rfc2136", ["between 0 and 3600"]),
    ("certbot_dns_propagation_seconds", {"route53": 30}, ".route53", ["finds out itself"]),
    ("certbot_certificates", [{"name": "a", "domains": ["a.io"], "dns_plugin": "rfc2136"}], "[0].dns_plugin",
     ["can change no record", "Add certbot_dns_credentials.rfc2136"]),
    ("nginx_sites", site(domains=["https://x.y"]), "[0].domains[0]", ["scheme"]),
    ("nginx_sites", site() + site(name="b"), "[1].domains[0]", ["nginx_sites[0].domains[0]", "already"]),
    ("nginx_sites", site(upstream_socket="live.sock"), "[0].upstream_socket", ["not absolute"]),
    ("nginx_sites", site(static=[{"url": "static", "dir": "/srv/x/static"}]), "[0].static[0].url", ["/static/"]),
    ("nginx_sites", site(static=[{"url": "/static/", "dir": "/etc"}]), "[0].static[0].dir", ["of the system"]),
    ("nginx_sites", site(maintenance={"allow": ["192.0.2.1/24"]}), "[0].maintenance.allow[0]", ["192.0.2.0/24"]),
    ("nginx_sites", site(timeout_seconds=0), "[0].timeout_seconds", ["between 1"]),
    ("nginx_sites", site(max_connections=-1), "[0].max_connections", ["between 0"]),
    ("nginx_settings", {"gzip": "on; }"}, ".gzip", ["one directive per key"]),
    ("nginx_settings", {"server {": "x"}, ".server {", ["name of a directive"]),
    ("nginx_certificates_dir", "/etc", "", ["of the system"]),
    ("gunicorn_apps", app(name="Shop"), "[0].name", ["lower-case"]),
    ("gunicorn_apps", app() + app(), "[1].name", ["already"]),
    ("gunicorn_apps", app(wsgi="shop"), "[0].wsgi", ["module:attribute"]),
    ("gunicorn_apps", app(workers=0), "[0].workers", ["between 1 and 128"]),
    ("gunicorn_apps", app(workers="4"), "[0].workers", ["Write 4 without quotes"]),
    ("gunicorn_apps", app(timeout_seconds=60), "[0].graceful_timeout_seconds", ["60 or more"]),
    ("gunicorn_apps", app(source={"path": "shop"}), "[0].source.path", ["not absolute"]),
    ("gunicorn_apps", app(environment={"PATH": CANARY}), "[0].environment.PATH", ["Remove it"]),
    ("gunicorn_apps", app(keep_releases=1), "[0].keep_releases", ["between 2"]),
    ("gunicorn_apps", app(memory_mb=4096), "[0].memory_mb", ["2048 MB"]),
]


@pytest.mark.parametrize(
    ("variable", "value", "path", "words"), BAD, ids=[f"{row[0]}{row[2]}-{number}" for number, row in enumerate(BAD)]
)
def test_bad_input(variable: str, value: Any, path: str, words: list[str]) -> None:
    problems = check(variable, value)
    found = " ".join(str(problem) for problem in problems.errors if problem.path == f"{variable}{path}")
    assert found, f"nothing names {variable}{path}:\n{problems.message()}"
    assert all(word in found for word in words), found
    assert CANARY not in problems.message(), "a secret is shown"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("postgresql_roles", [{"name": "shop"}, {"name": "report", "password": PASSWORD}]),
        ("postgresql_roles", [{"name": "shop", "password": SCRAM}]),
        ("postgresql_roles", [{"name": "shop", "password": "q'u\"o %s $HOME {{ x }} #!"}]),
        ("postgresql_databases", [{"name": "shop", "owner": "shop"}, {"name": "shop_archive", "owner": "shop"}]),
        ("postgresql_version", "17"),
        ("postgresql_version", ""),
        ("redis_instances", redis()),
        ("redis_instances", redis(name="a" * 31 + "-queue")),
        ("redis_instances", redis() + redis(name="shop-cache", port=6401, bind=["::1", "127.0.0.2"])),
        ("redis_instances", redis(bind=["::1", "10.0.0.5"], plaintext_allowed=True)),
        ("redis_instances", redis(bind=["10.0.0.5"], tls={"chain_path": "/etc/x.pem", "key_path": "/etc/x.key"})),
        ("nginx_sites", site(timeout_seconds=60, client_max_body_size_mb=100)),
        ("nginx_settings", {"gzip": False, "keepalive_timeout": "65s", "add_header": 'X-A "b c"'}),
        ("gunicorn_apps", app()),
        ("gunicorn_apps", app(workers="auto", migration_lock_timeout_seconds=2.5)),
        ("gunicorn_backlog", 2048),
        ("host_timezone", "Europe/Berlin"),
        ("host_timezone", ""),
        ("host_locale", "de_DE.UTF-8"),
        ("host_locale", "C.UTF-8"),
        ("host_firewall_allow", [{"port": 22, "from": "2001:db8::/32"}, {"port": "8000:8010", "from": "any"}]),
    ],
)
def test_good_input(variable: str, value: Any) -> None:
    assert check(variable, value).errors == []


def test_listening_everywhere_is_told() -> None:
    problems = check("redis_instances", redis(bind=["0.0.0.0"], plaintext_allowed=True))
    assert problems.errors == []
    assert "every network" in str(problems.notes[0])
    certificate = {"chain_path": "/etc/tls/a.pem", "key_path": "/etc/tls/a.key"}
    assert check("redis_instances", redis(bind=["0.0.0.0"], tls=certificate)).notes == []


def test_a_role_without_checks() -> None:
    assert check_role("cli", {"cli_path": "/usr/local/bin/ringstand"}, {}).errors == []


CERTIFICATE = {"name": "shop", "domains": ["*.example.com"], "dns_plugin": "cloudflare"}
OWN = {
    "certbot_source": "virtual_environment",
    "certbot_requirements_path": "mine.txt",
    "certbot_requirements": "certbot==5.8.0 \\\n    --hash=sha256:0\ncertbot-dns-cloudflare==5.8.0 \\\n",
}


def check_certbot(facts: dict[str, Any], **values: Any) -> list[str]:
    given = {
        "certbot_certificates": [CERTIFICATE],
        "certbot_dns_credentials": {"cloudflare": f"dns_cloudflare_api_token = {CANARY}"},
        **values,
    }
    problems = check_role("certbot", given, facts)
    assert CANARY not in problems.message(), "a secret is shown"
    return [str(problem) for problem in problems.errors]


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"certbot_version": "2.1.0"}, "certbot 2.1.0 of this host has no profiles, 4.0 and newer have. Set certbot"),
        ({"certbot_version": "", "os_id": "ubuntu", "os_version": "24.04"}, "the certbot 2.9.0 of ubuntu-24.04 has no"),
        ({"certbot_version": "4.0.0", "os_id": "debian", "os_version": "12"}, ""),  # from elsewhere
        ({"certbot_version": "", "os_id": "debian", "os_version": "13"}, ""),
        ({}, ""),
    ],
)
def test_a_profile_that_the_hosts_certbot_has_not(facts: dict[str, Any], words: str) -> None:
    found = check_certbot(facts, certbot_profile="shortlived")
    assert len(found) == bool(words)
    assert words in "".join(found)
    assert check_certbot(facts) == []
    assert check_certbot(facts, certbot_profile="shortlived", certbot_certificates=[]) == []


@pytest.mark.parametrize(
    ("requirements", "words"),
    [
        ("certbot==5.8.0\n", "mine.txt does not name this plugin. Set certbot_requirements_path to a file of your own "
                             "with certbot-dns-cloudflare"),
        ("certbot==5.8.0\ncertbot-dns-cloudflare2==1.0\n", "does not name this plugin"),
        ("certbot-dns-cloudflare==5.8.0\n", 'certbot_requirements_path = "mine.txt": it does not pin certbot'),
        ("certbot==3.3.0\ncertbot-plugin-cloudflare==1.0\n", "certbot 3.3.0 of certbot_requirements_path has no"),
    ],
)  # fmt: skip
def test_what_a_virtual_environment_will_not_have(requirements: str, words: str) -> None:
    values = {**OWN, "certbot_profile": "shortlived"}
    assert check_certbot({"certbot_version": "2.1.0"}, **values) == []
    found = check_certbot({}, **{**values, "certbot_requirements": requirements})
    assert len(found) == 1 and words in found[0]

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""flask_apps: defaults, overrides, and what each role gets of it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import app_items, apps, postgresql_items
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError

REMOTE = {"port": 6400, "clients": ["192.0.2.7"], "tls": {"chain_path": "/etc/tls/a.pem", "key_path": "/etc/tls/a.key"}}
SECRETS = {"shop": {"secret_key": "generated-key", "redis_password": "generated/password"}}


def shop(**changes: Any) -> dict[str, Any]:
    return {
        "shop": {
            "domains": ["shop.example.com", "www.shop.example.com"],
            "source": {"git": "https://git.example.com/acme/shop.git", "version": "v1.4.2"},
            "wsgi": "shop:create_app()",
            **changes,
        }
    }


def gunicorn(given: dict[str, Any], cpu_count: int = 2, memory_mb: int = 4096, **more: Any) -> dict[str, Any]:
    return app_items.gunicorn_apps(given, SECRETS, cpu_count, memory_mb, **more)[0]


def test_three_keys_give_a_whole_app() -> None:
    app = apps.normalise(shop())["shop"]
    assert app["database"] == {"name": "shop", "extensions": [], "readers": []}
    assert app["redis"] == {
        "queue": {"port": apps.redis_port("shop", "queue"), "maxmemory_mb": 64},
        "cache": {"port": apps.redis_port("shop", "cache"), "maxmemory_mb": 64},
    }
    assert (app["workers"], app["threads"], app["worker_class"]) == ("auto", 4, "gthread")
    assert app["flask_app"] == "shop:create_app()"
    assert app["health"] == {**apps.HEALTH_DEFAULTS, "host": "shop.example.com"}


@pytest.mark.parametrize(
    "changes",
    [{}, {"database": False}, {"redis": False}, {"database_url": "sqlite:///x"}, {"flask_app": ""}, {"health": None}],
)
def test_a_normalised_dictionary_stays_as_it_is(changes: dict[str, Any]) -> None:
    once = apps.normalise(shop(**changes))
    assert apps.normalise(once) == once


def test_overrides_merge_deeply() -> None:
    given = shop(environment={"A": "1", "B": "2"}, health={"path": "/up"})
    app = apps.normalise(given, {"shop": {"environment": {"B": "3"}, "health": {"consecutive": 1}, "domains": ["x.y"]}})
    assert app["shop"]["environment"] == {"A": "1", "B": "3"}
    assert (app["shop"]["health"]["path"], app["shop"]["health"]["consecutive"]) == ("/up", 1)
    assert app["shop"]["domains"] == ["x.y"]
    assert given["shop"]["environment"] == {"A": "1", "B": "2"}, "the input itself is not touched"


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("Shop.Example.com", "shop.example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
    ],
)
def test_domains_in_the_form_that_dns_uses(domain: str, expected: str) -> None:
    assert apps.normalise(shop(domains=[domain, expected]))["shop"]["domains"] == [expected]


def test_an_app_that_lacks_a_required_key() -> None:
    with pytest.raises(RingstandError, match=r"flask_apps\.shop.*domains"):
        apps.normalise(shop(domains=None))


@pytest.mark.parametrize("given", [[], "shop", {"shop": "git"}])
def test_something_else_than_a_dictionary_of_dictionaries(given: Any) -> None:
    if given == []:
        assert apps.normalise(given) == {}
    else:
        with pytest.raises(RingstandError, match="flask_apps"):
            apps.normalise(given)


@pytest.mark.parametrize(("clients", "bind"), [
    (["192.0.2.7", "198.51.100.0/24"], ["0.0.0.0", "::1"]),
    (["2001:db8::7"], ["127.0.0.1", "::"]),
    (["192.0.2.7", "2001:db8::/64"], ["0.0.0.0", "::"]),
])
def test_redis_for_other_machines_has_tls_and_a_way_through_the_firewall(clients: list[str], bind: list[str]) -> None:
    given = shop(redis={"queue": {**REMOTE, "clients": clients}, "cache": {}})
    queue, cache = app_items.redis_instances(given, SECRETS)
    assert (queue["bind"], queue["tls"], "clients" in queue) == (bind, REMOTE["tls"], False)
    assert "bind" not in cache and "tls" not in cache
    assert app_items.redis_firewall(given) == [{"port": 6400, "proto": "tcp", "from": client} for client in clients]
    assert apps.normalise(apps.normalise(given)) == apps.normalise(given)


def test_redis_ports_are_stable_and_in_range() -> None:
    assert apps.redis_port("shop", "queue") == 24880, "another port would move existing instances"
    ports = {apps.redis_port(name, purpose) for name in "abcdefgh" for purpose in apps.REDIS_PURPOSES}
    assert len(ports) == 16
    assert all(20000 <= port < 30000 for port in ports)


@pytest.mark.parametrize(
    ("changes", "cpu_count", "memory_mb", "expected"),
    [
        ({}, 1, 4096, 2),  # never a single worker while the memory allows two
        ({}, 4, 4096, 4),
        ({}, 64, 262_144, 8),
        ({}, 8, 2048, 3),  # 2048 / 2 for the apps / 2 slots / 150 MB
        ({}, 8, 512, 1),
        ({"memory_mb": 450}, 8, 65_536, 3),
        ({"workers": 5}, 1, 512, 5),  # what the user says stands
    ],
)
def test_workers_fit_the_machine(changes: dict[str, Any], cpu_count: int, memory_mb: int, expected: int) -> None:
    app = gunicorn(shop(**changes), cpu_count, memory_mb)
    assert app["workers"] == expected
    assert app["environment"]["WEB_CONCURRENCY"] == str(expected)


def test_apps_share_the_memory() -> None:
    two = {**shop(), "blog": {**shop()["shop"], "secret_key": "k" * 32, "redis": False}}
    assert [app["workers"] for app in app_items.gunicorn_apps(two, SECRETS, 8, 4096)] == [3, 3]


def test_the_environment_is_complete() -> None:
    assert gunicorn(shop(environment={"MAIL_PORT": 587}))["environment"] == {
        "DATABASE_URL": "postgresql://shop@/shop?host=/run/postgresql",
        "FLASK_APP": "shop:create_app()",
        "FLASK_DEBUG": "0",
        "MAIL_PORT": "587",
        "PYTHONUNBUFFERED": "1",
        "REDIS_CACHE_URL": "redis://shop:generated%2Fpassword@127.0.0.1:29572/0",
        "REDIS_URL": "redis://shop:generated%2Fpassword@127.0.0.1:24880/0",
        "SECRET_KEY": "generated-key",
        "WEB_CONCURRENCY": "2",
    }


@pytest.mark.parametrize(
    ("changes", "name", "expected"),
    [
        ({"flask_app": ""}, "FLASK_APP", None),
        ({"database": False}, "DATABASE_URL", None),
        ({"database_url": "mysql://db/x"}, "DATABASE_URL", "mysql://db/x"),
        ({"database": {"name": "old_shop"}}, "DATABASE_URL", "postgresql://shop@/old_shop?host=/run/postgresql"),
        (
            {"database_url_scheme": "postgresql+psycopg"},
            "DATABASE_URL",
            "postgresql+psycopg://shop@/shop?host=/run/postgresql",
        ),
        ({"redis": {"cache": {}}}, "REDIS_URL", None),
        ({"redis": {"queue": {"port": 6400}}}, "REDIS_URL", "redis://shop:generated%2Fpassword@127.0.0.1:6400/0"),
        ({"redis": {"queue": REMOTE}}, "REDIS_URL",
         "rediss://shop:generated%2Fpassword@127.0.0.1:6400/0?ssl_cert_reqs=none"),
        ({"redis_password": "a@b:c/d#e%f"}, "REDIS_URL", "redis://shop:a%40b%3Ac%2Fd%23e%25f@127.0.0.1:24880/0"),
        ({"secret_key": "explicit"}, "SECRET_KEY", "explicit"),
    ],
)
def test_what_an_option_does_to_the_environment(changes: dict[str, Any], name: str, expected: str | None) -> None:
    assert gunicorn(shop(**changes))["environment"].get(name) == expected


def test_nothing_to_migrate_without_a_database() -> None:
    assert gunicorn(shop(database=False))["migrations"] == "none"
    assert gunicorn(shop())["migrations"] == "auto"


@pytest.mark.parametrize("value", ["q'\"uote", "100%", "$HOME", "{{ x }}", "#hash", "!bang", "two\nlines", "ü"])
def test_values_stay_verbatim(value: str) -> None:
    app = gunicorn(shop(environment={"TOKEN": value}, secret_key=value))
    assert (app["environment"]["TOKEN"], app["environment"]["SECRET_KEY"]) == (value, value)
    assert app_items.redis_instances(shop(redis_password=value), {})[0]["users"] == [
        {"name": "shop", "password": value}
    ]


def test_a_missing_secret_is_named() -> None:
    with pytest.raises(RingstandError, match=r"secret_key of the app 'shop'"):
        app_items.gunicorn_apps(shop(), {}, 2, 4096)


def test_the_gunicorn_role_gets_no_other_roles_options() -> None:
    app = gunicorn(shop())
    assert not app_items.NOT_FOR_GUNICORN.difference({"environment"}) & set(app)
    assert {"name", "domains", "source", "wsgi", "health", "keep_releases", "environment", "workers"} <= set(app)


def test_lists_for_the_other_roles() -> None:
    given = shop(database={"extensions": ["citext"]}, apt_packages=["libvips42", "file"], redis={"queue": {}})
    assert postgresql_items.postgresql_roles(given) == [{"name": "shop"}]
    assert postgresql_items.postgresql_databases(given) == [{"name": "shop", "owner": "shop", "extensions": ["citext"]}]
    assert app_items.flask_apps_packages(given) == ["file", "libvips42"]
    assert app_items.redis_instances(given, SECRETS) == [
        {
            "name": "shop-queue",
            "port": 24880,
            "purpose": "queue",
            "maxmemory_mb": 64,
            "users": [{"name": "shop", "password": "generated/password"}],
        }
    ]
    elsewhere = shop(database_url="postgresql://db/shop")
    assert postgresql_items.postgresql_roles(elsewhere) == postgresql_items.postgresql_databases(elsewhere) == []


def test_the_site_in_front_of_an_app() -> None:
    site = app_items.nginx_sites(shop(static={"url": "/static/", "dir": "shop/static"}))[0]
    assert site["upstream_socket"] == "/run/shop/live.sock"
    assert site["static"] == [{"url": "/static/", "dir": "/srv/shop/static"}]
    assert "certificate_dir" not in site, "the role knows its own directory"
    assert app_items.nginx_sites(shop())[0]["static"] == []


@pytest.mark.parametrize(
    ("options", "most"),
    [
        ({}, None),  # its share of what nginx has
        ({"threads": 16}, None),
        ({"workers": 40, "threads": 8}, 640),
        ({"workers": 3, "worker_class": "sync"}, None),
        ({"worker_class": "gevent"}, 0),
        ({"worker_class": "gevent", "max_connections": 300}, 300),
        ({"workers": 40, "threads": 8, "max_connections": 0}, 0),
    ],
)
def test_what_may_wait_for_an_app_is_more_than_what_it_answers_at_once(options: dict, most: Any) -> None:
    assert app_items.nginx_sites(shop(**options))[0].get("max_connections") == most


def test_an_absent_app_needs_no_other_key_and_no_role_knows_it() -> None:
    given = {**shop(), "blog": {"state": "absent"}}
    assert apps.absent(given) == ["blog"]
    assert list(apps.normalise(given)) == ["shop"]
    assert [site["name"] for site in app_items.nginx_sites(given)] == ["shop"]
    assert gunicorn(given, cpu_count=8, memory_mb=2048) == gunicorn(shop(), cpu_count=8, memory_mb=2048)
    assert app_items.redis_removed_instances(given) == ["blog-queue", "blog-cache"]


def test_an_app_is_absent_on_one_host() -> None:
    assert apps.absent(shop(), {"shop": {"state": "absent"}}) == ["shop"]
    assert apps.absent(shop(state="absent"), {"shop": {"state": "present"}}) == []

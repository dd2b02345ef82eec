# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What each role takes, derived from ``flask_apps``: lists of plain dictionaries."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any
from urllib.parse import quote

from .apps import (
    ACME,
    EDGE_KEYS,
    OWN,
    OWN_CERTIFICATE,
    POSTGRESQL_SOCKET_DIR,
    REDIS_ADDRESS,
    REDIS_PURPOSES,
    App,
    absent,
    as_list,
    normalise,
    plain,
)
from .errors import RingstandError
from .nginx_items import UNDER_WAY_MOST, all_names

# A worker of an ordinary app (Flask, SQLAlchemy, a few dozen packages) takes 60 to 120 MB; room is left on purpose.
WORKER_MB = 150
# Two slots run during a switch, and the other half of the machine belongs to PostgreSQL, Redis and the page cache.
SLOTS = 2
APPS_SHARE_OF_MEMORY = 0.5
AUTO_WORKERS_MIN = 2
# 8 workers of 4 threads in two slots are 64 connections: PostgreSQL's default of 100 still holds them.
AUTO_WORKERS_MAX = 8

# Of what waits for an app in nginx.
UNDER_WAY_PER_THREAD = 2

# What other roles take of an app, or what has become part of its environment. The gunicorn role gets the rest.
NOT_FOR_GUNICORN = frozenset(
    {"apt_packages", "backup", "client_max_body_size_mb", "database", "database_url", "database_url_scheme"}
    | {"maintenance", "max_connections", "redis", "redis_password", "secret_key", "state", "tls", *EDGE_KEYS}
)


def resolve_workers(app: App, app_count: int, cpu_count: int, memory_mb: int) -> int:
    """The number of workers: as given, or for ``auto`` one per CPU within 2 to 8 and within the memory.

    The memory is the app's own limit, else its even share of half the machine, for two slots at 150 MB a worker.
    """
    if app["workers"] != "auto":
        return int(app["workers"])
    wanted = min(max(cpu_count, AUTO_WORKERS_MIN), AUTO_WORKERS_MAX)
    share_mb = app["memory_mb"] or memory_mb * APPS_SHARE_OF_MEMORY / app_count / SLOTS
    return max(1, min(wanted, int(share_mb // WORKER_MB)))


def database_url(app: App) -> str | None:
    """``DATABASE_URL``: the given one, else the local database by peer authentication, else None."""
    if app["database_url"]:
        return str(app["database_url"])
    if not app["database"]:
        return None
    scheme, name = app["database_url_scheme"], app["name"]
    return f"{scheme}://{name}@/{app['database']['name']}?host={POSTGRESQL_SOCKET_DIR}"


def _secret(secrets: Mapping[str, Any], app: App, key: str) -> str:
    value = app.get(key) or (secrets.get(app["name"]) or {}).get(key)
    if not value:
        raise RingstandError(f"Failed to find {key} of the app {app['name']!r}: the app and the secrets lack it")
    return str(value)


def environment(app: App, workers: int, secrets: Mapping[str, Any]) -> dict[str, str]:
    """The app's whole environment but for RELEASE_ID and SENTRY_RELEASE, which each release sets. It is secret."""
    values = {
        "FLASK_DEBUG": "0",
        "PYTHONUNBUFFERED": "1",
        "SECRET_KEY": _secret(secrets, app, "secret_key"),
        "WEB_CONCURRENCY": str(workers),
    }
    if app["flask_app"]:
        values["FLASK_APP"] = app["flask_app"]
    url = database_url(app)
    if url:
        values["DATABASE_URL"] = url
    for purpose, name in (("queue", "REDIS_URL"), ("cache", "REDIS_CACHE_URL")):
        if purpose in app["redis"]:
            password = quote(_secret(secrets, app, "redis_password"), safe="")
            values[name] = _redis_url(f"{app['name']}:{password}", app["redis"][purpose])
    return {**values, **app["environment"]}


def _redis_url(login: str, instance: App) -> str:
    """Where the app finds its own instance. With remote clients it speaks nothing but TLS.

    The name in its certificate is then the one that those use: on loopback there is nobody to mistake it for.
    """
    place = f"{login}@{REDIS_ADDRESS}:{instance['port']}/0"
    return f"rediss://{place}?ssl_cert_reqs=none" if instance.get("clients") else f"redis://{place}"


def redis_instances(apps: Any, secrets: Any, overrides: Any = None) -> list[App]:
    """One Redis instance per app and purpose, with the app as its only user."""
    secrets = plain(secrets or {})
    return [
        {
            "name": f"{app['name']}-{purpose}",
            "purpose": purpose,
            **{key: value for key, value in settings.items() if key != "clients"},
            **_redis_bind(settings.get("clients") or []),
            "users": [{"name": app["name"], "password": _secret(secrets, app, "redis_password")}],
        }
        for app in normalise(apps, overrides).values()
        for purpose, settings in app["redis"].items()
    ]


def _redis_bind(clients: list[str]) -> App:
    """The addresses that remote clients need beside loopback: all of a kind, of which the firewall lets theirs in."""
    if not clients:
        return {}
    versions = {ip_network(client).version for client in clients}
    everywhere = "0.0.0.0"  # noqa: S104 - for those that the firewall lets in
    return {"bind": [everywhere if 4 in versions else "127.0.0.1", "::" if 6 in versions else "::1"]}


def redis_firewall(apps: Any, overrides: Any = None) -> list[App]:
    """One firewall rule per remote client of each instance."""
    return [
        {"port": settings["port"], "proto": "tcp", "from": client}
        for app in normalise(apps, overrides).values()
        for settings in app["redis"].values()
        for client in settings.get("clients", [])
    ]


def nginx_sites(apps: Any, overrides: Any = None) -> list[App]:
    """One site per app in front of the link to its live slot."""
    return [
        {
            "name": app["name"],
            "domains": app["domains"],
            "upstream_socket": f"/run/{app['name']}/live.sock",
            "static": [{"url": app["static"]["url"], "dir": f"/srv/{app['name']}/static"}] if app["static"] else [],
            "client_max_body_size_mb": app["client_max_body_size_mb"],
            "timeout_seconds": app["timeout_seconds"],
            "maintenance": app["maintenance"],
            "media": [{**media, "dir": f"/srv/{app['name']}/shared/{media['dir']}"} for media in as_list(app["media"])],
            **{key: plain(app[key]) for key in EDGE_KEYS},
            **_own_certificate(app),
            **_max_connections(app),
        }
        for app in normalise(apps, overrides).values()
    ]


def _own_certificate(app: App) -> App:
    given = {key: app["tls"][key] for key in OWN_CERTIFICATE if app["tls"].get(key)}
    return {"certificate": given} if app["tls"]["certificate"] == OWN else {}


def _max_connections(app: App) -> App:
    """How many requests may be under way to the app or wait for it; any more are asked to come back (503).

    Without a limit they fill nginx's connections, which then cuts off visitors of all sites, and wait longer than it
    waits for an answer. The role shares its connections out, which is enough for all but the largest apps. No limit
    for workers that answer many requests at once: they have limits of their own.
    """
    if app["max_connections"] is not None:
        return {"max_connections": app["max_connections"]}
    if app["worker_class"] not in ("gthread", "sync"):
        return {"max_connections": 0}
    workers = AUTO_WORKERS_MAX if app["workers"] == "auto" else int(app["workers"])
    busy = UNDER_WAY_PER_THREAD * workers * int(app["threads"])
    return {"max_connections": busy} if busy > UNDER_WAY_MOST else {}


def backup_databases(apps: Any, overrides: Any = None) -> list[str]:
    """The local databases to dump every night."""
    return [app["database"]["name"] for app in normalise(apps, overrides).values() if app["database"] and app["backup"]]


def backup_elsewhere(apps: Any, overrides: Any = None) -> list[str]:
    """The apps whose PostgreSQL databases are on other hosts, to be dumped every night as well."""
    found = normalise(apps, overrides).values()
    return [app["name"] for app in found if app["backup"] and is_postgresql(app["database_url"])]


def is_postgresql(url: Any) -> bool:
    """Whether a URL leads to PostgreSQL, whatever the driver."""
    return str(url or "").partition("://")[0].split("+")[0] in ("postgresql", "postgres")


def backup_paths(apps: Any, overrides: Any = None) -> list[App]:
    """What each app keeps in files: uploads and other things that outlive a release."""
    return [
        {"name": app["name"], "paths": [f"/srv/{app['name']}/shared"]}
        for app in normalise(apps, overrides).values()
        if app["backup"]
    ]


def certbot_certificates(apps: Any, overrides: Any = None) -> list[App]:
    """One certificate per app that takes it from an ACME directory, named like the app's site."""
    return [
        {"name": app["name"], "domains": all_names(app), **_dns_plugin(app)}
        for app in normalise(apps, overrides).values()
        if app["tls"]["certificate"] == ACME
    ]


def _dns_plugin(app: App) -> App:
    return {"dns_plugin": app["tls"]["dns_plugin"]} if app["tls"].get("dns_plugin") else {}


def gunicorn_apps(apps: Any, secrets: Any, cpu_count: int, memory_mb: int, overrides: Any = None) -> list[App]:
    """Everything that the gunicorn role and a release need to know of each app, environment included: it is secret."""
    complete, secrets = normalise(apps, overrides), plain(secrets or {})
    items = []
    for app in complete.values():
        workers = resolve_workers(app, len(complete), int(cpu_count), int(memory_mb))
        values = environment(app, workers, secrets)
        item = {key: value for key, value in app.items() if key not in NOT_FOR_GUNICORN and value is not None}
        item.update(workers=workers, environment=values, local_database=bool(app["database"]))
        if app["migrations"] == "auto" and "DATABASE_URL" not in values and not app["migration_command"]:
            item["migrations"] = "none"
        items.append(item)
    return items


def redis_removed_instances(apps: Any, overrides: Any = None) -> list[str]:
    """The Redis instances of absent apps, whatever they had of them."""
    return [f"{name}-{purpose}" for name in absent(apps, overrides) for purpose in REDIS_PURPOSES]


def flask_apps_packages(apps: Any, overrides: Any = None) -> list[str]:
    """The union of the apps' ``apt_packages``, sorted."""
    return sorted({package for app in normalise(apps, overrides).values() for package in app["apt_packages"]})

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The dictionary ``flask_apps``: its conventions, its defaults and one complete description per app.

An app's name is its system user, its database role, its database and the middle of its unit names; every path
follows from it. The functions here expect input that the ``validate`` plugin has accepted and raise
:class:`RingstandError` only for what they cannot work with.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from typing import Any

from .errors import RingstandError

App = dict[str, Any]

POSTGRESQL_SOCKET_DIR = "/run/postgresql"
REDIS_ADDRESS = "127.0.0.1"
# Below the range that Linux gives to outgoing connections (32768 and up), above the usual services.
REDIS_FIRST_PORT = 20000
REDIS_PORT_COUNT = 10000
REDIS_PURPOSES = ("queue", "cache")
REDIS_MAXMEMORY_MB = 64

# Where the certificate that nginx shows comes from.
ACME, OWN, SELF_SIGNED = TLS_CERTIFICATES = ("acme", "own", "self_signed")
# One of both pairs, of which the first holds PEM and the second names files of the host.
OWN_CERTIFICATE = ("chain", "key", "chain_path", "key_path")

# An absent app is taken out of service, and its data stays until it is purged.
PRESENT, ABSENT = STATES = ("present", "absent")
# A scheduler is never running twice; of a worker there may be as many as one likes.
WORKER, SCHEDULER = PROCESS_KINDS = ("worker", "scheduler")
PROCESS_DEFAULTS: App = {
    "count": 1,
    "memory_mb": None,
    "stop_signal": "SIGTERM",
    "stop_timeout_seconds": 60,
}
_SCHEDULERS = re.compile(r"\b(rqscheduler|rq-scheduler|celery\b.*\s(beat|-B|--beat))\b")
_SCHEDULER_NAMES = ("beat", "celerybeat", "clock", "cron", "scheduler")
HOOKS = ("before_build", "after_build", "before_switch", "after_switch", "on_failure")

REQUIRED = ("domains", "source")
DEFAULTS: App = {
    "state": PRESENT,
    "wsgi": None,
    "workers": "auto",
    "worker_class": "gthread",
    "timeout_seconds": 30,
    "graceful_timeout_seconds": 30,
    "start_timeout_seconds": 60,
    "max_requests": 0,
    "max_requests_jitter": None,
    "environment": {},
    "secret_key": None,
    "database": True,
    "database_url": None,
    "database_url_scheme": "postgresql",
    "redis": True,
    "redis_password": None,
    "migrations": "auto",
    "migrations_dir": None,
    "migration_command": None,
    "migration_database_url": None,
    "migration_unversioned_tables_allowed": False,
    "migration_lock_timeout_seconds": 5,
    "migration_statement_timeout_seconds": 0,
    "migration_timeout_seconds": 1800,
    "release_command": [],
    "first_deploy_command": [],
    "hooks": {},
    "hook_timeout_seconds": 600,
    "processes": None,
    "webhook_url": None,
    "health": {},
    "static": None,
    "tls": {"certificate": ACME},
    "maintenance": {},
    "media": None,
    "security": {},
    "access": {},
    "rate_limit": None,
    "connection_limit": None,
    "locations": [],
    "redirects": [],
    "trusted_proxies": {},
    "error_pages": {},
    "extra_configuration": "",
    "client_max_body_size_mb": 10,
    "max_connections": None,
    "keep_releases": 5,
    "switch": "auto",
    "backup": True,
    "apt_packages": [],
    "extra_packages": [],
    "python": None,
    "python_path": None,
    "requirements_path": None,
    "writable_dirs": [],
    "outbound_network": True,
    "memory_mb": None,
    "package_index_url": "",
    "package_index_ca_path": "",
}
# A folder of the app's ``shared``.
MEDIA_DEFAULTS: App = {"url": "/media/", "dir": "media", "internal": False}
# How nginx serves an app: the same keys and values as those of a site of the nginx role.
EDGE_KEYS = (
    *("security", "access", "rate_limit", "connection_limit", "locations", "redirects", "trusted_proxies"),
    *("error_pages", "extra_configuration"),
)
MAINTENANCE_DEFAULTS: App = {"allow": [], "page": "", "retry_after_seconds": 120}
# Of threads only gthread makes use; gunicorn turns "sync" with threads silently into "gthread".
GTHREAD_THREADS = 4
HEALTH_DEFAULTS: App = {
    "path": "/health",
    "status": [200],
    "json": {},
    "text": "",
    "consecutive": 3,
    "timeout_seconds": 60,
    "observe_seconds": 3,
    "probation_seconds": 5,
}


def plain(value: Any) -> Any:
    """A copy of ``value`` made of plain dict, list, str, int, float, bool and None.

    Ansible hands over subclasses that carry tags and lazy containers; serializers and ``type() is`` trip over them.
    A value of another type (a vaulted string, a YAML date) becomes its text.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(item) for item in value]
    return str.__str__(str(value))


def deep_merge(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``overrides`` laid over it: dictionaries merge key by key, everything else is replaced."""
    merged = dict(base)
    for key, value in overrides.items():
        old = merged.get(key)
        merged[key] = deep_merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def as_list(value: Any) -> list[Any]:
    """``value`` itself when it is a list, nothing for None and the empty string, else the list of this one value."""
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def to_ascii_domain(domain: str) -> str:
    """The form of ``domain`` that DNS, nginx and certificates use: lower case, international labels in punycode."""
    try:
        return domain.lower() if domain.isascii() else domain.encode("idna").decode("ascii").lower()
    except UnicodeError as error:
        raise RingstandError(f"Failed to convert the domain '{domain}' to punycode: {error}") from error


def redis_port(app: str, purpose: str) -> int:
    """The port of an app's Redis instance: the same on every host and at every run."""
    return REDIS_FIRST_PORT + zlib.crc32(f"{app}/{purpose}".encode()) % REDIS_PORT_COUNT


def process_settings(name: str, given: Any) -> App:
    """One process beside the web, complete. What by its name or command makes appointments is a scheduler."""
    process = {"command": given} if isinstance(given, str) else dict(given)
    command = str(process.get("command") or "")
    is_scheduler = name in _SCHEDULER_NAMES or _SCHEDULERS.search(command)
    stated = {key: value for key, value in process.items() if value is not None}
    return {"kind": SCHEDULER if is_scheduler else WORKER, **PROCESS_DEFAULTS, **stated}


def _database(name: str, app: App) -> App | bool:
    wanted = app["database"]
    if app["database_url"] or wanted is False:
        return False
    given = wanted if isinstance(wanted, Mapping) else {}
    return {
        "name": given.get("name") or name,
        "extensions": as_list(given.get("extensions")),
        "readers": as_list(given.get("readers")),
    }


def _redis(name: str, app: App) -> dict[str, App]:
    wanted = app["redis"]
    if not wanted:
        return {}
    given: Mapping[str, Any] = wanted if isinstance(wanted, Mapping) else dict.fromkeys(REDIS_PURPOSES, {})
    return {
        purpose: {
            "port": (given[purpose] or {}).get("port") or redis_port(name, purpose),
            "maxmemory_mb": (given[purpose] or {}).get("maxmemory_mb") or REDIS_MAXMEMORY_MB,
            **{key: given[purpose][key] for key in ("clients", "tls") if (given[purpose] or {}).get(key)},
        }
        for purpose in REDIS_PURPOSES
        if purpose in given
    }


def _normalise(name: str, given: Mapping[str, Any]) -> App:
    missing = [key for key in REQUIRED if not given.get(key)]
    if missing:
        raise RingstandError(f"Failed to read flask_apps.{name}: it lacks {', '.join(missing)}")
    app = {**DEFAULTS, **{key: value for key, value in given.items() if value is not None}}
    app["name"] = name
    app["domains"] = list(dict.fromkeys(to_ascii_domain(str(domain)) for domain in as_list(app["domains"])))
    app["threads"] = app.get("threads") or (GTHREAD_THREADS if app["worker_class"] == "gthread" else 1)
    app["flask_app"] = app["wsgi"] if app.get("flask_app") is None else app["flask_app"]  # None: as each release says
    app["environment"] = {key: str(value) for key, value in app["environment"].items()}
    app["database"] = _database(name, app)
    app["redis"] = _redis(name, app)
    for key in ("release_command", "first_deploy_command"):
        app[key] = as_list(app[key])
    app["hooks"] = {hook: as_list(commands) for hook, commands in app["hooks"].items()}
    if app["processes"] is not None:
        app["processes"] = {key: process_settings(key, process) for key, process in app["processes"].items()}
    app["tls"] = {**DEFAULTS["tls"], **app["tls"]}
    app["maintenance"] = {**MAINTENANCE_DEFAULTS, **app["maintenance"]}
    app["maintenance"]["allow"] = as_list(app["maintenance"]["allow"])
    if app["media"] is not None:
        app["media"] = {**MEDIA_DEFAULTS, **app["media"]}
    app["health"] = {**HEALTH_DEFAULTS, "host": app["domains"][0], **app["health"]}
    app["health"]["status"] = as_list(app["health"]["status"])
    return app


def normalise(apps: Any, overrides: Any = None) -> dict[str, App]:
    """Every present app of ``flask_apps``, complete: overrides merged in, defaults filled in, short forms spelt out.

    ``database`` becomes ``{name, extensions, readers}`` or False, ``redis`` maps each purpose to
    ``{port, maxmemory_mb}``, and to ``clients`` and ``tls`` where others reach it, ``domains`` are in punycode. The
    result is a valid argument again and stays as it is.
    """
    return {name: _normalise(name, app) for name, app in _merged(apps, overrides).items() if not is_absent(app)}


def absent(apps: Any, overrides: Any = None) -> list[str]:
    """The names of the apps of ``flask_apps`` that are to be taken out of service, sorted."""
    return sorted(name for name, app in _merged(apps, overrides).items() if is_absent(app))


def is_absent(app: Mapping[str, Any]) -> bool:
    """Whether an app, its overrides merged in, is to be taken out of service."""
    return bool(app.get("state") == ABSENT)


def _merged(apps: Any, overrides: Any) -> dict[str, App]:
    apps, overrides = plain(apps or {}), plain(overrides or {})
    for variable, value in (("flask_apps", apps), ("flask_app_overrides", overrides)):
        if not isinstance(value, dict) or not all(isinstance(app, dict) for app in value.values()):
            raise RingstandError(f"Failed to read {variable}: it must map names of apps to dictionaries")
    return {name: deep_merge(app, overrides.get(name, {})) for name, app in apps.items()}

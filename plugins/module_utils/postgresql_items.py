# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What PostgreSQL gets from ``flask_apps``: roles and databases, and what the apps take of connections and memory."""

from __future__ import annotations

from typing import Any

from .app_items import AUTO_WORKERS_MAX, SLOTS, WORKER_MB, resolve_workers
from .apps import App, normalise
from .layout import IN_PLACE

# A process beside the web is a pool of its own: SQLAlchemy keeps 5 connections.
PROCESS_CONNECTIONS = 5
# SQLAlchemy's pool of 5 and its overflow of 10, where any number of requests share a worker.
POOL_CONNECTIONS = 15


def postgresql_roles(apps: Any, overrides: Any = None) -> list[App]:
    """One role per app with a local database, without a password, because peer authentication needs none; its readers.

    A reader may have a password, so the result is secret then.
    """
    found: list[App] = []
    for app in normalise(apps, overrides).values():
        if app["database"]:
            found += [{"name": app["name"]}, *app["database"]["readers"]]
    return found


def postgresql_databases(apps: Any, overrides: Any = None) -> list[App]:
    """One database per app that has a local one, owned by the app's role."""
    return [
        {
            "name": app["database"]["name"],
            "owner": app["name"],
            "extensions": app["database"]["extensions"],
            **({"readers": [reader["name"] for reader in app["database"]["readers"]]}
               if app["database"]["readers"] else {}),
        }
        for app in normalise(apps, overrides).values()
        if app["database"]
    ]  # fmt: skip


def _slots(app: App) -> int:
    return 1 if app["switch"] == IN_PLACE else SLOTS


def connections_of(app: App, workers: int) -> int:
    """Connections that a complete app may hold while a deploy switches: each thread of each worker of both slots."""
    each = int(app["threads"])
    if app["worker_class"] not in ("gthread", "sync"):
        each = max(each, POOL_CONNECTIONS)
    beside = sum(int(process["count"]) for process in (app["processes"] or {}).values())
    return workers * each * _slots(app) + beside * PROCESS_CONNECTIONS


def connections_by_app(apps: Any, cpu_count: int, memory_mb: int, overrides: Any = None) -> dict[str, int]:
    """The connections of each app with a local database; without a known machine, of as many workers as can be."""
    complete = normalise(apps, overrides)
    found = {}
    for name, app in complete.items():
        if app["database"]:
            workers = AUTO_WORKERS_MAX if app["workers"] == "auto" else int(app["workers"])
            if cpu_count and memory_mb:
                workers = resolve_workers(app, len(complete), cpu_count, memory_mb)
            found[name] = connections_of(app, workers)
    return found


def postgresql_connections(apps: Any, cpu_count: int, memory_mb: int, overrides: Any = None) -> int:
    """Connections that all apps together may hold at once."""
    return sum(connections_by_app(apps, int(cpu_count), int(memory_mb), overrides).values())


def postgresql_reserved_memory(apps: Any, cpu_count: int, memory_mb: int, overrides: Any = None) -> int:
    """MB that the apps need during a deploy, in both slots, with the processes of their variables and with Redis."""
    complete = normalise(apps, overrides)
    total = 0
    for app in complete.values():
        workers = resolve_workers(app, len(complete), int(cpu_count), int(memory_mb))
        total += (app["memory_mb"] or workers * WORKER_MB) * _slots(app)
        for process in (app["processes"] or {}).values():
            total += int(process["count"]) * (process["memory_mb"] or WORKER_MB)
        total += sum(instance["maxmemory_mb"] for instance in app["redis"].values())
    return int(total)

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Apps and instances against each other and against the machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..apps import REDIS_MAXMEMORY_MB, REDIS_PURPOSES, redis_port
from .problems import Problems, join
from .schema import is_integer

# What a host of ours may listen on already.
TAKEN_PORTS = {5432: "PostgreSQL", 6379: "the instance that the package brings"}
LOWEST_PORT, HIGHEST_PORT = 1024, 65535


def check_ports(ports: list[tuple[str, int, bool]], problems: Problems) -> None:
    """``ports`` are triples of a path, a port and whether it was given (else it follows from the names)."""
    seen: dict[int, str] = {}
    for path, port, given in ports:
        if port in TAKEN_PORTS:
            problems.add(path, f"{TAKEN_PORTS[port]} uses this port", "Choose another, say from 20000 to 29999", port)
        elif port in seen:
            rule = f"{seen[port]} has this port already" if given else f"its computed port is that of {seen[port]}"
            problems.add(path, rule, "Give one of both another port, say from 20000 to 29999", port)
        seen.setdefault(port, path)


def check_memory(sizes: list[tuple[str, Any]], memory_mb: int | None, problems: Problems) -> None:
    """``sizes`` are pairs of a path and its megabytes: each and all together must fit into the machine."""
    if not memory_mb:
        return
    total = 0
    for path, size in sizes:
        if not is_integer(size):
            continue
        total += size
        if size >= memory_mb:
            problems.add(path, f"the machine has {memory_mb} MB", "Lower it or take a larger machine", size)
        elif total >= memory_mb:
            rule = f"with what comes before it this makes {total} MB, but the machine has {memory_mb} MB"
            problems.add(path, rule, "Lower them or take a larger machine", size)
            return


def redis_of(apps: Mapping[str, Any]) -> list[tuple[str, int, bool, Any]]:
    """Path, port, whether the port was given, and megabytes of every Redis instance of the apps."""
    found = []
    for name, app in apps.items():
        wanted = app.get("redis", True)
        given = wanted if isinstance(wanted, dict) else dict.fromkeys(REDIS_PURPOSES, {}) if wanted is not False else {}
        for purpose in (purpose for purpose in REDIS_PURPOSES if purpose in given):
            settings = given[purpose] if isinstance(given[purpose], dict) else {}
            port: Any = settings.get("port")
            path = join(join(join("flask_apps", name), "redis"), purpose)
            known = is_integer(port)
            size = settings.get("maxmemory_mb", REDIS_MAXMEMORY_MB)
            found.append((join(path, "port"), port if known else redis_port(name, purpose), known, size))
    return found

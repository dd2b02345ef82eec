# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filters of the role postgresql; documented in one YAML file each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.postgresql_tuning import (
    DEFAULT_CONNECTIONS,
    conf_value,
    connections_for,
    memory_for,
    sized_settings,
)
from ansible_collections.ringstand.flask.plugins.module_utils.scram import is_verifier, make_verifier
from ansible_collections.ringstand.flask.plugins.module_utils.storage import SSD
from ansible_collections.ringstand.flask.plugins.plugin_utils.filters import domain_errors

ROLE_FILES = Path(__file__).resolve().parents[2] / "roles/postgresql/files"


def _sized(
    memory_mb: Any,
    cpu_count: Any,
    max_connections: Any = DEFAULT_CONNECTIONS,
    storage: str = SSD,
    disk_mb: Any = 0,
    version: str = "",
) -> dict[str, Any]:
    try:
        numbers = int(memory_mb), int(cpu_count), int(max_connections)
        return sized_settings(*numbers, storage, int(disk_mb), str(int(version)) if version else "")
    except (TypeError, ValueError) as error:
        raise RingstandError(f"Failed to size PostgreSQL: {error}") from error


def _memory(machine_mb: Any, reserved_mb: Any = None) -> int:
    return memory_for(int(machine_mb), None if reserved_mb is None else int(reserved_mb))


def _libraries(given: Any, wanted: list[str]) -> list[str]:
    """The libraries of the user, as a list or as postgresql.conf has them, then ours that are not among them."""
    listed = given.split(",") if isinstance(given, str) else list(given or [])
    names = [str(name).strip() for name in listed if str(name).strip()]
    return list(dict.fromkeys([*names, *wanted]))


def _role_verifier(name: str, roles: list[dict[str, Any]]) -> str:
    password = next((str(role["password"]) for role in roles if role["name"] == name and role.get("password")), "")
    return password if not password or is_verifier(password) else make_verifier(password)


def _firewall(clients: list[dict[str, Any]], settings: dict[str, Any]) -> list[dict[str, Any]]:
    """One rule per address of a client, each once."""
    port = int(settings.get("port") or 5432)
    addresses = dict.fromkeys(str(address) for client in clients for address in client["addresses"])
    return [{"port": port, "proto": "tcp", "from": address} for address in addresses]


def _pgdg_source(codename: str, url: str, key: str = "") -> str:
    """A deb822 source with its key inside, so that one file is all that apt needs."""
    armored = key or (ROLE_FILES / "apt.postgresql.org.asc").read_text(encoding="ascii")
    lines = [f" {line.strip() or '.'}" for line in armored.strip().splitlines()]
    head = ["# Written by the role ringstand.flask.postgresql.", "Types: deb", f"URIs: {url}"]
    return "\n".join([*head, f"Suites: {codename}-pgdg", "Components: main", "Signed-By:", *lines]) + "\n"


class FilterModule:
    """Ansible finds the filters through this class."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters by name."""
        return {
            "postgresql_firewall": domain_errors(_firewall),
            "postgresql_libraries": domain_errors(_libraries),
            "postgresql_max_connections": domain_errors(connections_for),
            "postgresql_memory": domain_errors(_memory),
            "postgresql_pgdg_source": domain_errors(_pgdg_source),
            "postgresql_role_verifier": domain_errors(_role_verifier),
            "postgresql_sized_settings": domain_errors(_sized),
            "postgresql_value": domain_errors(conf_value),
        }

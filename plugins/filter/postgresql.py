# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filters of the role postgresql; documented in one YAML file each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.postgresql_tuning import conf_value, sized_settings
from ansible_collections.ringstand.flask.plugins.module_utils.scram import is_verifier, make_verifier
from ansible_collections.ringstand.flask.plugins.plugin_utils.filters import domain_errors


def _sized(memory_mb: Any, cpu_count: Any, max_connections: Any = 100) -> dict[str, Any]:
    try:
        numbers = int(memory_mb), int(cpu_count), int(max_connections)
    except (TypeError, ValueError) as error:
        raise RingstandError(f"Failed to size PostgreSQL: {error}") from error
    return sized_settings(*numbers)


def _role_verifier(name: str, roles: list[dict[str, Any]]) -> str:
    password = next((str(role["password"]) for role in roles if role["name"] == name and role.get("password")), "")
    return password if not password or is_verifier(password) else make_verifier(password)


class FilterModule:
    """Ansible finds the filters through this class."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters by name."""
        return {
            "postgresql_role_verifier": domain_errors(_role_verifier),
            "postgresql_sized_settings": domain_errors(_sized),
            "postgresql_value": domain_errors(conf_value),
        }

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filters of the nginx role; documented in one YAML file each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.ringstand.flask.plugins.module_utils import nginx_items
from ansible_collections.ringstand.flask.plugins.plugin_utils.filters import domain_errors


class FilterModule:
    """Ansible finds the filters through this class."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters by name."""
        return {
            "nginx_certificates": domain_errors(nginx_items.nginx_certificates),
            "nginx_complete": domain_errors(nginx_items.nginx_complete),
            "nginx_names": domain_errors(nginx_items.nginx_names),
        }

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filters of the gunicorn role; documented in one YAML file each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.ringstand.flask.plugins.module_utils import gunicorn_items
from ansible_collections.ringstand.flask.plugins.plugin_utils.filters import domain_errors


class FilterModule:
    """Ansible finds the filters through this class."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters by name."""
        return {
            name: domain_errors(getattr(gunicorn_items, name))
            for name in (
                "app_sandbox",
                "app_settings",
                "build_environment",
                "gunicorn_complete",
                "gunicorn_outdated",
                "gunicorn_scaled",
                "gunicorn_stale",
                "gunicorn_units",
                "gunicorn_unsettled",
                "systemd_environment",
            )
        }

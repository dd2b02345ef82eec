# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filters that turn the dictionary flask_apps into what each role takes; documented in one YAML file each."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.ringstand.flask.plugins.module_utils import app_items, apps
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError


def _filter(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except RingstandError as error:
            raise AnsibleFilterError(error.message) from error

    return run


class FilterModule:
    """Ansible finds the filters through this class."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters by name."""
        return {
            "flask_apps_normalised": _filter(apps.normalise),
            "flask_apps_packages": _filter(app_items.flask_apps_packages),
            "gunicorn_apps": _filter(app_items.gunicorn_apps),
            "nginx_sites": _filter(app_items.nginx_sites),
            "postgresql_databases": _filter(app_items.postgresql_databases),
            "postgresql_roles": _filter(app_items.postgresql_roles),
            "redis_instances": _filter(app_items.redis_instances),
        }

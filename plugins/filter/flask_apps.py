# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filters that turn the dictionary flask_apps into what each role takes; documented in one YAML file each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.ringstand.flask.plugins.module_utils import app_items, apps, postgresql_items
from ansible_collections.ringstand.flask.plugins.plugin_utils.filters import domain_errors


class FilterModule:
    """Ansible finds the filters through this class."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters by name."""
        return {
            "backup_databases": domain_errors(app_items.backup_databases),
            "backup_elsewhere": domain_errors(app_items.backup_elsewhere),
            "backup_paths": domain_errors(app_items.backup_paths),
            "certbot_certificates": domain_errors(app_items.certbot_certificates),
            "flask_apps_absent": domain_errors(apps.absent),
            "flask_apps_normalised": domain_errors(apps.normalise),
            "flask_apps_packages": domain_errors(app_items.flask_apps_packages),
            "gunicorn_apps": domain_errors(app_items.gunicorn_apps),
            "nginx_sites": domain_errors(app_items.nginx_sites),
            "postgresql_connections": domain_errors(postgresql_items.postgresql_connections),
            "postgresql_databases": domain_errors(postgresql_items.postgresql_databases),
            "postgresql_reserved_memory": domain_errors(postgresql_items.postgresql_reserved_memory),
            "postgresql_roles": domain_errors(postgresql_items.postgresql_roles),
            "redis_firewall": domain_errors(app_items.redis_firewall),
            "redis_removed_instances": domain_errors(app_items.redis_removed_instances),
            "redis_instances": domain_errors(app_items.redis_instances),
        }

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is derived from flask_apps passes the argument specs and the checks of the role that takes it."""

from __future__ import annotations

from typing import Any

import pytest
import role_readme
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.ringstand.flask.plugins.module_utils import app_items, postgresql_items
from ansible_collections.ringstand.flask.plugins.module_utils.validation.roles import check_role

LEAST = {
    "domains": ["shop.example.com"],
    "source": {"git": "https://git.example.com/acme/shop.git", "version": "v1"},
    "wsgi": "shop:create_app()",
}
MOST = {
    **LEAST,
    "domains": ["blog.example.com"],
    "tls": {"certificate": "self_signed"},
    "workers": 3,
    "environment": {"MAIL_PORT": 587},
    "database": {
        "name": "blog_production",
        "extensions": ["citext"],
        "readers": [{"name": "blog_reader", "password": "Zq7-wr2_Xp9-m4K"}],
    },
    "redis": {
        "queue": {"maxmemory_mb": 128},
        "cache": {"clients": ["192.0.2.7"], "tls": {"chain_path": "/etc/tls/a.pem", "key_path": "/etc/tls/a.key"}},
    },
    "migrations": "flask",
    "migration_lock_timeout_seconds": 2.5,
    "release_command": "flask translate compile",
    "health": {"path": "/up", "status": 204, "json": {"ok": True}},
    "static": {"url": "/static/", "dir": "blog/static"},
    "extra_packages": ["gunicorn==23.0.0"],
    "memory_mb": 512,
    "package_index_url": "https://packages.example.com/simple",
    "package_index_ca_path": "/etc/ssl/certs/ca-certificates.crt",
}
APPS = {"shop": LEAST, "blog": MOST, "a" * 31: {**LEAST, "domains": ["a.example.com"], "database": False}}
SECRETS = {name: {"secret_key": "Zq7-wr2_Xp9-m4K", "redis_password": "Zq7-wr2_Xp9-m4K"} for name in APPS}
DERIVED: dict[str, Any] = {
    "certbot_certificates": app_items.certbot_certificates(APPS),
    "gunicorn_apps": app_items.gunicorn_apps(APPS, SECRETS, 4, 8192),
    "nginx_sites": app_items.nginx_sites(APPS),
    "postgresql_databases": postgresql_items.postgresql_databases(APPS),
    "postgresql_roles": postgresql_items.postgresql_roles(APPS),
    "redis_instances": app_items.redis_instances(APPS, SECRETS),
}


@pytest.mark.parametrize("variable", DERIVED)
def test_a_role_accepts_what_is_derived(variable: str) -> None:
    role = variable.split("_")[0]
    spec = role_readme.specs_of(role_readme.ROLES_DIR / role)["main"]["options"][variable]
    result = ArgumentSpecValidator({variable: spec}).validate({variable: DERIVED[variable]})
    assert result.error_messages == []
    assert check_role(role, {variable: DERIVED[variable]}, {"memory_mb": 8192}).errors == []


def test_an_item_with_an_unknown_key_is_refused() -> None:
    spec = role_readme.specs_of(role_readme.ROLES_DIR / "nginx")["main"]["options"]["nginx_sites"]
    items = [{**DERIVED["nginx_sites"][0], "unknown": 1}]
    assert ArgumentSpecValidator({"nginx_sites": spec}).validate({"nginx_sites": items}).error_messages

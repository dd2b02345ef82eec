# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The variables of one role: what its argument specs cannot say."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .app import check_release, check_static_url
from .app_fields import APP_FIELDS
from .backup_values import check_backup_databases, check_backup_paths
from .certbot import PATH, SOURCE, check_certbot
from .domains import check_domains, check_unique_domains
from .edge import check_edge, redirected_domains
from .edge_fields import EDGE_FIELDS
from .machine import check_memory, check_ports
from .maintenance import check_maintenance
from .names import check_app_name, check_database_name, check_environment_names, check_item_name, check_role_name
from .postgresql import check_clients, check_expected_connections, check_tls, check_version
from .problems import Problems, join
from .role_values import VALUES, addresses, is_loopback
from .schema import Field, check
from .secrets import check_postgresql_password, check_secret
from .sources import check_absolute_path
from .tls import check_dns_plugin, check_own_certificate

Facts = Mapping[str, Any]
PORT = Field((int,), minimum=1024, maximum=65535)
MAXMEMORY_MB = Field((int,), minimum=8, maximum=1_048_576)
Checker = Callable[[str, Any, Facts, Problems], None]


def _items(variable: str, value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for position, item in enumerate(value if isinstance(value, list) else []):
        if isinstance(item, dict):
            yield join(variable, position), item


def _check_unique_names(variable: str, value: Any, problems: Problems) -> None:
    seen: dict[Any, str] = {}
    for path, item in _items(variable, value):
        name = item.get("name")
        if name in seen:
            problems.add(join(path, "name"), f"{seen[name]} has this name already", "Keep one of both", name)
        seen.setdefault(name, join(path, "name"))


def _check_postgresql_roles(variable: str, value: Any, _facts: Facts, problems: Problems) -> None:
    _check_unique_names(variable, value, problems)
    for path, item in _items(variable, value):
        check_role_name(str(item.get("name", "")), join(path, "name"), problems)
        check_postgresql_password(item.get("password"), join(path, "password"), problems)


def _check_postgresql_databases(variable: str, value: Any, _facts: Facts, problems: Problems) -> None:
    _check_unique_names(variable, value, problems)
    for path, item in _items(variable, value):
        check_database_name(str(item.get("name", "")), join(path, "name"), problems)
        for position, reader in enumerate(item.get("readers") or []):
            here = join(join(path, "readers"), position)
            check_role_name(str(reader), here, problems)
            if reader == item.get("owner"):
                problems.add(here, "this role owns the database", "Name another one", reader)


def _check_redis_instances(variable: str, value: Any, facts: Facts, problems: Problems) -> None:
    _check_unique_names(variable, value, problems)
    items = list(_items(variable, value))
    check_ports([(join(path, "port"), item.get("port", 0), True) for path, item in items], problems)
    check_memory(
        [(join(path, "maxmemory_mb"), item.get("maxmemory_mb")) for path, item in items], _memory(facts), problems
    )
    for path, item in items:
        check_item_name(item.get("name"), join(path, "name"), problems)
        check(item.get("port"), PORT, join(path, "port"), problems)
        check(item.get("maxmemory_mb"), MAXMEMORY_MB, join(path, "maxmemory_mb"), problems)
        bound = Problems()
        addresses(join(path, "bind"), item.get("bind") or [], bound)
        problems.errors += bound.errors
        problems.notes += [] if item.get("tls") else bound.notes
        if item.get("tls"):
            check_own_certificate(item["tls"], join(path, "tls"), problems)
        elif not item.get("plaintext_allowed") and not all(map(is_loopback, item.get("bind") or [])):
            rule = "passwords and data would cross a network unencrypted"
            remedy = "Set tls with chain and key, or plaintext_allowed: true when the network is encrypted itself"
            problems.add(join(path, "bind"), rule, remedy, item["bind"])
        if not item.get("users"):
            problems.add(join(path, "users"), "without a user nobody can log in", "Name at least one")
        for user_path, user in _items(join(path, "users"), item.get("users")):
            if not re.fullmatch(r"[A-Za-z0-9_.-]+", str(user.get("name", ""))) or user.get("name") == "default":
                rule = "a user has letters, digits, '_', '.' and '-', and is not 'default', which is off"
                problems.add(join(user_path, "name"), rule, "Rename it", user.get("name"))
            check_secret(user.get("password"), join(user_path, "password"), problems)


def _check_certbot_certificates(variable: str, value: Any, _facts: Facts, problems: Problems) -> None:
    _check_unique_names(variable, value, problems)
    for path, item in _items(variable, value):
        check_item_name(item.get("name"), join(path, "name"), problems)
        if not item.get("domains"):
            problems.add(join(path, "domains"), "a certificate is for at least one domain", "Add it")
        check_domains(item.get("domains") or [], join(path, "domains"), problems, bool(item.get("dns_plugin")))
        check_dns_plugin(item.get("dns_plugin"), join(path, "dns_plugin"), problems)
        if item.get("dir") is not None:
            check_absolute_path(item["dir"], join(path, "dir"), problems)


def _check_nginx_sites(variable: str, value: Any, _facts: Facts, problems: Problems) -> None:
    _check_unique_names(variable, value, problems)
    items = list(_items(variable, value))
    domains = [(join(path, "domains"), item.get("domains")) for path, item in items]
    check_unique_domains(domains + [pair for path, item in items for pair in redirected_domains(item, path)], problems)
    for path, item in items:
        check_item_name(item.get("name"), join(path, "name"), problems)
        check_domains(item.get("domains") or [], join(path, "domains"), problems, wildcards=True)
        if item.get("certificate"):
            check_own_certificate(item["certificate"], join(path, "certificate"), problems)
        for key in ("upstream_socket", "certificate_dir"):
            if item.get(key) is not None:
                check_absolute_path(item[key], join(path, key), problems)
        for key in ("static", "media"):
            for static_path, static in _items(join(path, key), item.get(key)):
                check_absolute_path(static.get("dir"), join(static_path, "dir"), problems)
                check_static_url(static.get("url"), join(static_path, "url"), problems)
        check_edge(item, path, problems)
        for key in ("timeout_seconds", "client_max_body_size_mb", "max_connections", "maintenance", *EDGE_FIELDS):
            check(item.get(key), APP_FIELDS[key], join(path, key), problems)
        check_maintenance(item.get("maintenance") or {}, join(path, "maintenance"), problems)


def _check_backup_paths(variable: str, value: Any, _facts: Facts, problems: Problems) -> None:
    _check_unique_names(variable, value, problems)
    check_backup_paths(_items(variable, value), problems)


def _check_backup_databases(variable: str, value: Any, _facts: Facts, problems: Problems) -> None:
    check_backup_databases(variable, value, problems)


def _check_gunicorn_apps(variable: str, value: Any, facts: Facts, problems: Problems) -> None:
    _check_unique_names(variable, value, problems)
    items = list(_items(variable, value))
    check_memory([(join(path, "memory_mb"), item.get("memory_mb")) for path, item in items], _memory(facts), problems)
    for path, item in items:
        check_app_name(str(item.get("name", "")), join(path, "name"), problems, variable)
        for key in (key for key in APP_FIELDS if key in item):
            check(item[key], APP_FIELDS[key], join(path, key), problems)
        check_release(item, path, problems)
        check_environment_names(item.get("environment") or {}, join(path, "environment"), problems)


def _check_postgresql_tls(variable: str, value: Any, _facts: Facts, problems: Problems) -> None:
    check_tls(variable, value, problems)


def _memory(facts: Facts) -> int | None:
    return facts.get("memory_mb")


CHECKERS: dict[str, dict[str, Checker]] = {
    "backup": {"backup_databases": _check_backup_databases, "backup_paths": _check_backup_paths},
    "certbot": {"certbot_certificates": _check_certbot_certificates},
    "gunicorn": {"gunicorn_apps": _check_gunicorn_apps},
    "nginx": {"nginx_sites": _check_nginx_sites},
    "postgresql": {
        "postgresql_databases": _check_postgresql_databases,
        "postgresql_roles": _check_postgresql_roles,
        "postgresql_tls": _check_postgresql_tls,
    },
    "redis": {"redis_instances": _check_redis_instances},
}


# Variables that are checked together with others only.
TOGETHER = {"certbot": (PATH, SOURCE), "postgresql": ("postgresql_clients",)}


def role_variables(role: str) -> list[str]:
    """The variables of ``role`` that have checks here."""
    return [*CHECKERS.get(role, {}), *VALUES.get(role, {}), *TOGETHER.get(role, ())]


def site_variables() -> list[str]:
    """The variables of all roles that have checks here and that ``site.yml`` does not derive itself."""
    return [name for names in (*VALUES.values(), *TOGETHER.values()) for name in names]


def check_role(role: str, values: Mapping[str, Any], facts: Facts) -> Problems:
    """Every problem of a role's variables; ``values`` holds those that are set."""
    problems = Problems()
    for variable, checker in CHECKERS.get(role, {}).items():
        if values.get(variable) is not None:
            checker(variable, values[variable], facts, problems)
    check_values(values, problems)
    if role == "certbot":
        certificates = _items("certbot_certificates", values.get("certbot_certificates"))
        plugins = [(join(path, "dns_plugin"), item.get("dns_plugin")) for path, item in certificates]
        check_certbot(plugins, values, facts, problems)
    if role == "postgresql":
        check_expected_connections(values, problems)
        check_version(values, facts, problems)
        items = [item for _path, item in _items("postgresql_roles", values.get("postgresql_roles"))]
        check_clients(values, {str(item.get("name")): bool(item.get("password")) for item in items}, problems)
    return problems


def check_values(values: Mapping[str, Any], problems: Problems) -> None:
    """Single values of any role, as far as they are set."""
    for checkers in VALUES.values():
        for variable, check_value in checkers.items():
            if values.get(variable) is not None:
                check_value(variable, values[variable], problems)

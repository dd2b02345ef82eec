# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The input of a whole site: ``flask_apps``, ``flask_app_overrides`` and the names of all variables."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from ..app_items import is_postgresql
from ..apps import ACME, deep_merge, is_absent, normalise
from .app import check_app
from .certbot import check_certbot
from .domains import check_certifiable, check_unique_domains
from .edge import redirected_domains
from .machine import check_memory, check_ports, redis_of
from .postgresql import check_clients, check_connections, check_readers, check_tls, check_version, roles_of
from .problems import Problem, Problems, join, nearest
from .roles import check_values, site_variables
from .variables import check_variable_names

SITE_VARIABLES = ("flask_apps", "flask_app_overrides", "postgresql_tls", *site_variables())
# What site.yml derives from flask_apps, and what a site's user writes instead; a role's user writes these.
_APPS = "Describe the apps in flask_apps instead"
_ABSENT = "Name each in flask_apps with 'state: absent' instead, as in {old: {state: absent}}"
_NOTHING = "Remove it: site.yml needs it as it is"
DERIVED_VARIABLES = {
    "backup_databases": _APPS,
    "backup_elsewhere": "Set flask_apps.<app>.database_url, or .backup, instead",
    "backup_paths": "Set backup_host_paths, or flask_apps.<app>.backup, instead",
    "certbot_certificates": "Set flask_apps.<app>.domains and .tls instead",
    "certbot_removed_certificates": _ABSENT,
    "cli_install_enabled": _NOTHING,
    "gunicorn_apps": _APPS,
    "gunicorn_build_packages": "Set flask_apps.<app>.apt_packages instead",
    "gunicorn_in_parts_enabled": _NOTHING,
    "gunicorn_probe_port": _NOTHING,
    "gunicorn_removed_apps": _ABSENT,
    "host_apps": _NOTHING,
    "host_facts_read": _NOTHING,
    "host_firewall_managed": "Set host_firewall_allow instead",
    "host_in_parts_enabled": _NOTHING,
    "host_package_files": _NOTHING,
    "host_packages": "Set host_base_packages, or flask_apps.<app>.apt_packages, instead",
    "nginx_in_parts_enabled": _NOTHING,
    "nginx_removed_sites": _ABSENT,
    "nginx_sites": _APPS,
    "postgresql_databases": "Set flask_apps.<app>.database instead",
    "postgresql_expected_connections": "Set postgresql_settings.max_connections instead",
    "postgresql_managed_settings": "Set postgresql_settings instead",
    "postgresql_reserved_memory_mb": "Set postgresql_memory_mb instead",
    "postgresql_roles": "Set flask_apps.<app>.database instead",
    "ringstand_postgresql_enabled": _NOTHING,
    "redis_instances": "Set flask_apps.<app>.redis instead",
    "redis_removed_instances": _ABSENT,
}
ARCHIVE_SETTINGS = {
    "archive_command": "Remove it",
    "archive_library": "Remove it",
    "archive_mode": "Remove it",
    "archive_timeout": "Set backup_archive_timeout_seconds instead",
}
MINIMAL_APP = "Describe an app with its domains and its source"


def _located(problem: Problem, overrides: Mapping[str, Any]) -> Problem:
    """The problem at the path where the user wrote the value: in the overrides when they hold it."""
    item: Any = overrides
    for key in problem.path.split(".")[1:]:
        key = key.split("[")[0]
        if not isinstance(item, Mapping) or key not in item:
            return problem
        item = item[key]
    return dataclasses.replace(problem, path=problem.path.replace("flask_apps", "flask_app_overrides", 1))


def _check_overrides(apps: Mapping[str, Any], overrides: Any, problems: Problems) -> dict[str, Any]:
    if not isinstance(overrides, dict):
        remedy = "Write it like flask_apps, with the keys that differ"
        problems.add("flask_app_overrides", "this maps names of apps to dictionaries", remedy, overrides)
        return {}
    for name in overrides:
        if name not in apps:
            close = nearest(name, apps)
            remedy = f"Did you mean '{close}'?" if close else f"Use one of: {', '.join(apps)}"
            problems.add(join("flask_app_overrides", name), "flask_apps has no such app", remedy)
        elif not isinstance(overrides[name], dict):
            problems.add(join("flask_app_overrides", name), "this must be a dictionary", "Name the keys that differ")
    return {name: value for name, value in overrides.items() if name in apps and isinstance(value, dict)}


def _check_apps(apps: Mapping[str, Any], variables: Mapping[str, Any], facts: Mapping[str, Any]) -> Problems:
    problems, inner = Problems(), Problems()
    overrides = variables.get("flask_app_overrides") or {}
    overrides = _check_overrides(apps, overrides, problems)
    merged = {
        name: deep_merge(app, overrides.get(name, {})) if isinstance(app, dict) else app for name, app in apps.items()
    }
    for name, app in merged.items():
        check_app(name, app, inner)
    described = {name: app for name, app in merged.items() if isinstance(app, dict) and not is_absent(app)}
    domains = [(f"flask_apps.{name}.domains", app.get("domains")) for name, app in described.items()]
    domains += [pair for name, app in described.items() for pair in redirected_domains(app, f"flask_apps.{name}")]
    check_certifiable(_acme_domains(described), variables.get("certbot_directory_url"), inner)
    check_unique_domains(domains, inner)
    _check_unique_databases(described, inner)
    _note_uncovered(described, inner)
    redis = redis_of(described)
    check_ports([(path, port, given) for path, port, given, _size in redis], inner)
    sizes = [(path.replace(".port", ".maxmemory_mb"), size) for path, _port, _given, size in redis]
    sizes += [(f"flask_apps.{name}.memory_mb", app.get("memory_mb")) for name, app in described.items()]
    check_memory(sizes, facts.get("memory_mb"), inner)
    check_readers(described, inner)
    check_clients(variables, roles_of(described), inner)
    check_certbot(_dns_plugins(described), variables, facts, inner)
    if not inner.errors:  # what has any cannot be counted
        check_connections(normalise(described), variables.get("postgresql_settings"), facts, inner)
    problems.errors += [_located(problem, overrides) for problem in inner.errors]
    problems.notes += [_located(problem, overrides) for problem in inner.notes]
    return problems


def _note_uncovered(apps: Mapping[str, Any], problems: Problems) -> None:
    for name, app in apps.items():
        if not app.get("database_url"):
            continue
        rule, remedy = "the backups of this host do not cover a database elsewhere", "Back it up where it is"
        if is_postgresql(app["database_url"]) and app.get("backup", True) is True:
            rule = "of a database elsewhere there are nightly dumps only, and no restore to a moment"
            remedy = "See that it has its own backups where it is"
        problems.note(f"flask_apps.{name}.database_url", rule, remedy)


def _tls(app: Mapping[str, Any]) -> Mapping[str, Any]:
    return app["tls"] if isinstance(app.get("tls"), dict) else {}


def _with_acme(apps: Mapping[str, Any]) -> dict[str, Any]:
    return {name: app for name, app in apps.items() if _tls(app).get("certificate") in (None, ACME)}


def _acme_domains(apps: Mapping[str, Any]) -> list[tuple[str, Any]]:
    found = []
    for name, app in _with_acme(apps).items():
        found.append((f"flask_apps.{name}.domains", app.get("domains")))
        found += redirected_domains(app, f"flask_apps.{name}")
    return found


def _dns_plugins(apps: Mapping[str, Any]) -> list[tuple[str, Any]]:
    found = _with_acme(apps)
    return [(f"flask_apps.{name}.tls.dns_plugin", _tls(app).get("dns_plugin")) for name, app in found.items()]


def _check_unique_databases(apps: Mapping[str, Any], problems: Problems) -> None:
    seen: dict[str, str] = {}
    for name, app in apps.items():
        database = app.get("database", True)
        if database is False or app.get("database_url"):
            continue
        wanted = (database.get("name") if isinstance(database, dict) else None) or name
        path = f"flask_apps.{name}.database.name"
        if wanted in seen:
            problems.add(path, f"{seen[wanted]} has this database already", "Give each app its own", wanted)
        seen.setdefault(str(wanted), path)


def check_site(
    variables: Mapping[str, Any], names: Iterable[str], known: Iterable[str], facts: Mapping[str, Any]
) -> Problems:
    """Every problem of a site's input.

    ``variables`` holds the values of those of ``SITE_VARIABLES`` that are set;
    ``names`` are the names of all variables of the host, ``known`` those that mean something here; ``facts`` is
    ``ansible_facts.ringstand`` or empty.
    """
    problems = Problems()
    check_values(variables, problems)
    check_variable_names(names, known, problems)
    check_version(variables, facts, problems)
    check_tls("postgresql_tls", variables.get("postgresql_tls"), problems)
    apps = variables.get("flask_apps")
    if apps is None:
        problems.add("flask_apps", "this is required", MINIMAL_APP)
        return problems
    if not isinstance(apps, dict):
        problems.add("flask_apps", "this maps names of apps to dictionaries", MINIMAL_APP, apps)
        return problems
    given = variables.get("postgresql_settings")
    settings: Mapping[str, Any] = given if isinstance(given, dict) else {}
    for name in (name for name in ARCHIVE_SETTINGS if name in settings):
        rule = "the role backup sets this itself, because backups need it"
        problems.add(join("postgresql_settings", name), rule, ARCHIVE_SETTINGS[name], settings[name])
    apps = {str(name): app for name, app in apps.items()}
    found = _check_apps(apps, variables, facts)
    problems.errors += found.errors
    problems.notes += found.notes
    return problems

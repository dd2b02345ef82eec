# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""PostgreSQL: its version against the data, its connections against the apps, its roles against each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..postgresql_items import connections_by_app
from ..postgresql_tuning import AUTO_CONNECTIONS_MAX, RESERVED_CONNECTIONS
from .names import check_database_name, check_role_name
from .networks import check_networks
from .problems import Problems, join
from .schema import is_integer
from .tls import check_own_certificate

SETTING = "postgresql_settings.max_connections"


def max_connections(settings: Any) -> int | None:
    """What the user says in ``postgresql_settings``, or None; quoted numbers are taken as the server takes them."""
    given = settings.get("max_connections") if isinstance(settings, dict) else None
    if isinstance(given, str) and given.strip().isdigit():
        return int(given)
    return given if is_integer(given) else None


def check_connections(
    apps: Mapping[str, Any], settings: Any, facts: Mapping[str, Any], problems: Problems
) -> None:
    """All apps at once, in both slots of a deploy, against what the user allows or what is chosen without that.

    ``apps`` have no other problem. Before the machine is known, ``auto`` workers are not judged.
    """
    cpu_count, memory_mb = int(facts.get("cpu_count") or 0), int(facts.get("memory_mb") or 0)
    counted = connections_by_app(apps, cpu_count, memory_mb)
    if not (cpu_count and memory_mb):
        counted = {name: number for name, number in counted.items() if is_integer(apps[name].get("workers"))}
    expected, given = sum(counted.values()), max_connections(settings)
    needed = expected + RESERVED_CONNECTIONS
    if not counted or needed <= (given or AUTO_CONNECTIONS_MAX):
        return
    most = max(counted, key=lambda name: counted[name])
    each = ", ".join(f"{name} {number}" for name, number in sorted(counted.items()))
    rule = (
        f"workers × threads in both slots of a deploy, and processes, need {expected} connections ({each}), and "
        f"{RESERVED_CONNECTIONS} are kept for backups, migrations and people"
    )
    if given:
        remedy = f"Set it to {needed} or more, or lower workers, threads or processes"
        problems.add(SETTING, rule, remedy, given)
        return
    remedy = f"Lower workers or threads, or set {SETTING} to {needed} or more, for which the machine needs memory"
    problems.add(join(join("flask_apps", most), "workers"), rule, remedy, apps[most].get("workers", "auto"))


def check_expected_connections(values: Mapping[str, Any], problems: Problems) -> None:
    """For the role alone: the clients' connections against ``max_connections``."""
    expected, given = values.get("postgresql_expected_connections"), max_connections(values.get("postgresql_settings"))
    if isinstance(expected, int) and given and expected + RESERVED_CONNECTIONS > given:
        rule = (
            f"postgresql_expected_connections is {expected}, and {RESERVED_CONNECTIONS} are kept for backups, "
            "migrations and people"
        )
        problems.add(SETTING, rule, f"Set it to {expected + RESERVED_CONNECTIONS} or more, or remove it", given)


def check_version(values: Mapping[str, Any], facts: Mapping[str, Any], problems: Problems) -> None:
    """A version under which the cluster would be empty, beside the data of another one."""
    wanted, name = str(values.get("postgresql_version") or ""), str(values.get("postgresql_cluster") or "main")
    clusters = [str(item).partition("/") for item in facts.get("postgresql_clusters") or []]
    versions = [version for version, _slash, cluster in clusters if cluster == name]
    if wanted and versions and wanted not in versions:
        rule = f"the data is in the cluster {versions[-1]}/{name}, and {wanted}/{name} would be empty"
        newer = wanted.isdigit() and float(wanted) > float(versions[-1])
        way = f"or upgrade the cluster with playbooks/upgrade.yml -e version={wanted}" if newer else "or move it away"
        remedy = f'Set it to "{versions[-1]}", {way}'
        problems.add("postgresql_version", rule, remedy, wanted)


def check_readers(apps: Mapping[str, Any], problems: Problems) -> None:
    """A role that reads is one of its own: neither an app's nor another database's, of which it would see all."""
    seen: dict[str, str] = {}
    for app, settings in apps.items():
        database = settings.get("database")
        readers = database.get("readers") if isinstance(database, dict) else None
        for position, reader in enumerate(readers if isinstance(readers, list) else []):
            name = reader.get("name") if isinstance(reader, dict) else None
            path = join(join(join(f"flask_apps.{app}.database", "readers"), position), "name")
            if name in apps:
                problems.add(path, f"this is the role of the app {name}", "Choose another, say shop_reader", name)
            elif name in seen:
                problems.add(path, f"{seen[str(name)]} is this role already", "Give each database its own", name)
            seen.setdefault(str(name), path)


def check_clients(
    values: Mapping[str, Any], roles: Mapping[str, bool] | None, problems: Problems
) -> None:
    """Remote clients, and a server that listens to the network without any.

    ``roles`` tells of each role that is known whether it has a password; None accepts roles that are not known.
    """
    clients = values.get("postgresql_clients") or []
    for position, client in enumerate(clients if isinstance(clients, list) else []):
        if not isinstance(client, dict):
            continue
        path = join("postgresql_clients", position)
        name = str(client.get("role", ""))
        check_role_name(name, join(path, "role"), problems)
        check_database_name(str(client.get("database", "")), join(path, "database"), problems)
        if not client.get("addresses"):
            problems.add(join(path, "addresses"), "nobody could connect", "Name the addresses of the client")
        remedy = "Name the addresses of the client"
        check_networks(client.get("addresses"), join(path, "addresses"), problems, ("this is everybody", remedy))
        if roles is not None and name in roles and not roles[name]:
            rule = "this role has no password, without which nobody can connect from outside"
            problems.add(join(path, "role"), rule, "Give it one, or name a reader of a database", name)
    settings = values.get("postgresql_settings")
    listen = settings.get("listen_addresses") if isinstance(settings, dict) else None
    listed = listen if isinstance(listen, list) else str(listen or "").split(",")
    everywhere = [item for item in (str(one).strip() for one in listed) if item in ("*", "0.0.0.0", "::")]  # noqa: S104
    if everywhere and not clients:
        rule = "the server would listen on every network, and no client from outside is named"
        remedy = "Remove it, or name who may connect in postgresql_clients"
        problems.add("postgresql_settings.listen_addresses", rule, remedy, listen)


def roles_of(apps: Mapping[str, Any]) -> dict[str, bool]:
    """The roles of a site, and whether each has a password: the apps' have none, their readers may have one."""
    found = dict.fromkeys(apps, False)
    for settings in apps.values():
        database = settings.get("database")
        readers = database.get("readers") if isinstance(database, dict) else None
        for reader in readers if isinstance(readers, list) else []:
            if isinstance(reader, dict):
                found[str(reader.get("name"))] = bool(reader.get("password"))
    return found


def check_tls(variable: str, value: Any, problems: Problems) -> None:
    """Nothing, or both halves of a certificate, as text or as files."""
    if value:
        check_own_certificate(value, variable, problems)

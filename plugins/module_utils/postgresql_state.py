# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What differs between a PostgreSQL cluster and what is wanted of it: read in one query per database."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .errors import RingstandError
from .postgresql_clients import foreign
from .postgresql_cluster import DROP_IN, Cluster
from .postgresql_readers import READERS_SQL
from .postgresql_readers import statements as reader_statements
from .postgresql_tuning import conf_value, kept_size, same_value
from .scram import matches

# The options of ALTER ROLE and the column of pg_authid that each one sets. A role has LOGIN unless it is refused.
ATTRIBUTES = {
    "superuser": "rolsuper",
    "createdb": "rolcreatedb",
    "createrole": "rolcreaterole",
    "replication": "rolreplication",
    "bypassrls": "rolbypassrls",
}
# From this version on, the schema public belongs to the database's owner from the start and PUBLIC cannot create in it.
SAFE_SCHEMA_VERSION = 15

NO_LIMIT = -1

SERVER_SQL = """
SELECT json_build_object(
  'checksums', current_setting('data_checksums') = 'on',
  'loaded_at', extract(epoch FROM pg_conf_load_time()),
  'files', (SELECT json_agg(DISTINCT path) FROM (
      SELECT setting FROM pg_settings WHERE name IN ('config_file', 'hba_file', 'ident_file')
      UNION SELECT sourcefile FROM pg_file_settings) AS f (path)),
  'pending_restart', (SELECT coalesce(json_agg(name ORDER BY name), '[]') FROM pg_settings WHERE pending_restart),
  'file_errors', (SELECT coalesce(json_agg(json_build_object('file', sourcefile, 'line', sourceline,
      'error', error)), '[]') FROM pg_file_settings WHERE error IS NOT NULL AND (name IS NULL
      OR name NOT IN (SELECT name FROM pg_settings WHERE context IN ('postmaster', 'internal')))),
  'hba', (SELECT coalesce(json_agg(json_build_object('line', line_number, 'type', type, 'database', database,
      'user', user_name, 'method', auth_method, 'error', error, 'address', address,
      'netmask', netmask) ORDER BY line_number), '[]') FROM pg_hba_file_rules),
  'altered', (SELECT coalesce(json_agg(DISTINCT name), '[]') FROM pg_file_settings
      WHERE sourcefile LIKE '%%/postgresql.auto.conf' AND name IN (%(settings)s)),
  'values', (SELECT coalesce(json_object_agg(name, json_build_object('setting', setting, 'unit', unit,
      'type', vartype, 'boot', boot_val, 'wanted', name IN (%(settings)s))), '{}') FROM pg_settings
      WHERE context = 'postmaster' AND (name IN (%(settings)s) OR sourcefile LIKE '%%/' || %(drop_in)s)),
  'sources', (SELECT coalesce(json_object_agg(name, sourcefile), '{}') FROM pg_settings
      WHERE sourcefile IS NOT NULL AND name IN (%(settings)s)),
  'roles', (SELECT coalesce(json_object_agg(rolname, to_json(r)), '{}') FROM pg_authid r
      WHERE rolname IN (%(roles)s)),
  'databases', (SELECT coalesce(json_object_agg(datname, json_build_object('owner', pg_get_userbyid(datdba),
      'encoding', pg_encoding_to_char(encoding), 'limit', datconnlimit,
      'public', has_database_privilege('public', oid, 'CONNECT') OR has_database_privilege('public', oid, 'TEMP'))),
      '{}') FROM pg_database WHERE datname IN (%(databases)s)),
  'available', (SELECT coalesce(json_agg(name), '[]') FROM pg_available_extensions WHERE name IN (%(extensions)s)))
"""

DATABASE_SQL = """
SELECT json_build_object(
  %(readers)s,
  'extensions', (SELECT coalesce(json_agg(extname), '[]') FROM pg_extension),
  'schema_public', (SELECT has_schema_privilege('public', oid, 'CREATE')
        OR pg_get_userbyid(nspowner) NOT IN ('pg_database_owner', %(owner)s)
      FROM pg_namespace WHERE nspname = 'public'))
"""


def literals(values: Iterable[str]) -> str:
    """Values as a list of SQL literals, never empty (NULL equals nothing)."""
    return ", ".join("'" + value.replace("'", "''") + "'" for value in values) or "NULL"


def read(cluster: Cluster, settings: Iterable[str], roles: Sequence[Any], databases: Sequence[Any]) -> dict[str, Any]:
    """Everything that :func:`compare` needs, from one query and one more per existing database."""
    server = cluster.query(
        SERVER_SQL
        % {
            "settings": literals(settings),
            "drop_in": literals([DROP_IN]),
            "roles": literals(role["name"] for role in roles),
            "databases": literals(database["name"] for database in databases),
            "extensions": literals({name for database in databases for name in database["extensions"]}),
        }
    )
    for database in databases:
        if database["name"] in server["databases"]:
            owner, readers = literals([database["owner"]]), literals(database.get("readers") or [])
            sql = DATABASE_SQL % {"owner": owner, "readers": READERS_SQL % {"owner": owner, "readers": readers}}
            server["databases"][database["name"]].update(cluster.query(sql, database["name"]))
    return server


def reload_needed(files: Iterable[str], config_dir: str, loaded_at: float) -> bool:
    """Whether a configuration file, or the list of drop-in files, changed after the server loaded them."""
    for path in [*files, os.path.join(config_dir, os.path.dirname(DROP_IN))]:
        try:
            status = os.stat(path)
        except FileNotFoundError:
            continue
        if max(status.st_mtime, status.st_ctime) > loaded_at:
            return True
    return False


def role_flags(wanted: Mapping[str, Any]) -> str:
    """A role's attributes as CREATE ROLE and ALTER ROLE take them, those it must not have included."""
    flags = [name if name in wanted["attributes"] else f"no{name}" for name in ATTRIBUTES]
    return ",".join(["login", *flags]).upper()


def role_limits(found: Mapping[str, Any] | None) -> dict[str, Any]:
    """What lifts the limits that a role got by hand: an end of its password, a number of connections."""
    lifted: dict[str, Any] = {}
    if found and found["rolvaliduntil"] not in (None, "infinity"):
        lifted["expires"] = "infinity"
    if found and found["rolconnlimit"] != NO_LIMIT:
        lifted["conn_limit"] = NO_LIMIT
    return lifted


def role_differs(wanted: Mapping[str, Any], found: Mapping[str, Any] | None) -> bool:
    """Whether a role is missing, has other attributes, limits, or another password than a wanted one."""
    if found is None or not found["rolcanlogin"]:
        return True
    if any(found[column] != (name in wanted["attributes"]) for name, column in ATTRIBUTES.items()):
        return True
    if role_limits(found):
        return True
    return bool(wanted.get("password")) and not matches(wanted["password"], found["rolpassword"])


def local_method(rules: Sequence[Mapping[str, Any]], database: str, role: str) -> str | None:
    """The authentication method of the first pg_hba.conf rule for a role on the socket.

    None when no rule fits, or when one decides that cannot be judged here (group membership, expressions).
    """
    for rule in rules:
        if rule["type"] != "local":
            continue
        names = [*rule["database"], *rule["user"]]
        if any(name.startswith(("+", "/")) or name in ("samerole", "samegroup") for name in names):
            return None
        fits_database = {"all", database} | ({"sameuser"} if database == role else set())
        if fits_database & set(rule["database"]) and {"all", role} & set(rule["user"]):
            return str(rule["method"])
    return None


def restart_foreseen(values: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    """The settings that take effect with a restart and run with another value than is wanted now.

    ``values`` has those of the server with their ``setting``, ``unit``, ``type`` and ``boot`` value, each of them
    ``wanted`` or only in the file of ours; one of the latter goes back to its boot value.
    """
    return sorted(
        name
        for name, value in values.items()
        if not same_value(settings[name] if value["wanted"] else value["boot"], value)
    )


def kept_settings(
    values: Mapping[str, Any], settings: Mapping[str, Any], steady: Sequence[str]
) -> dict[str, str]:
    """Those of the ``steady`` settings that stay as they run, because what is wanted is about the same."""
    sizes = {name: kept_size(settings[name], values[name]) for name in steady if name in settings and name in values}
    return {name: size for name, size in sizes.items() if size}


def new_objects(
    server: Mapping[str, Any], roles: Sequence[Mapping[str, Any]], databases: Sequence[Mapping[str, Any]]
) -> dict[str, list[str]]:
    """The roles and databases that are missing, and what psql is told to make them as they have to be, in order.

    A role with a password is not among them, because a statement would show it, nor is a database whose owner is such
    a role. Names have been checked: none has a quote in it.
    """
    made = [role for role in roles if role["name"] not in server["roles"] and not role.get("password")]
    statements = [f'CREATE ROLE "{role["name"]}" {role_flags(role).replace(",", " ")}' for role in made]
    owners = {*server["roles"], *(role["name"] for role in made)}
    missing = [one for one in databases if one["name"] not in server["databases"] and one["owner"] in owners]
    for database in missing:
        name, owner = database["name"], database["owner"]
        statements.append(f'CREATE DATABASE "{name}" OWNER "{owner}" TEMPLATE template0 ENCODING \'UTF8\'')
        statements.append(f'REVOKE CONNECT, TEMPORARY ON DATABASE "{name}" FROM PUBLIC')
    for database in missing:
        if database["extensions"]:
            statements.append(f'\\connect "{database["name"]}"')
        for extension in database["extensions"]:
            quoted = extension.replace('"', '""')
            statements.append(f'CREATE EXTENSION IF NOT EXISTS "{quoted}" CASCADE')
    return {
        "roles": [role["name"] for role in made],
        "databases": [database["name"] for database in missing],
        "statements": [text if text.startswith("\\") else f"{text};" for text in statements],
    }


def _pending(server: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """The settings that wait for a restart, with the value that runs and the wanted one where both are known."""
    values, words = server.get("values") or {}, []
    for name in server["pending_restart"]:
        running = values.get(name)
        if running and name in settings:
            unit = f" × {running['unit']}" if running["unit"] else ""
            words.append(f"{name} ({running['setting']}{unit} now, {conf_value(settings[name])} wanted)")
        else:
            words.append(name)
    return ", ".join(words)


def _warnings(
    cluster: Cluster,
    server: Mapping[str, Any],
    stale: bool,
    roles: Sequence[Any],
    databases: Sequence[Any],
    settings: Mapping[str, Any],
) -> list[str]:
    found = []
    if not server["checksums"]:
        found.append(
            f"The cluster {cluster} exists without data checksums. They can be added while it is stopped: "
            f"pg_checksums --enable -D {cluster.data_dir}, run as {cluster.owner}"
        )
    if server["pending_restart"] and not stale:
        found.append(
            f"The cluster {cluster} takes {_pending(server, settings)} only after a restart: set "
            f"postgresql_restart_enabled to true for one run, or run systemctl restart {cluster.unit}"
        )
    own = os.path.join(cluster.config_dir, DROP_IN)
    # A file that is not loaded yet, or a value that waits for a restart, is no sign that another file wins.
    loaded = own in server["files"] and not stale
    for name, source in sorted(server["sources"].items()):
        if loaded and source != own and name not in (*server["pending_restart"], *server["altered"]):
            found.append(f"The setting {name} of the cluster {cluster} is ruled by {source}: remove it there")
    without_password = {role["name"] for role in roles if not role.get("password")}
    for database in databases:
        state = server["databases"].get(database["name"])
        if state and state["encoding"] != "UTF8":
            found.append(f"The database {database['name']} is encoded in {state['encoding']}, not UTF8: it stays so")
        method = local_method(server["hba"], database["name"], database["owner"])
        if database["owner"] in without_password and method not in (None, "peer"):
            found.append(
                f"The role {database['owner']} has no password, but pg_hba.conf wants {method} for it on the socket: "
                f'put "local {database["name"]} {database["owner"]} peer" above that rule'
            )
    return found


def _check(cluster: Cluster, server: Mapping[str, Any], databases: Sequence[Any]) -> None:
    # An error in the role's own drop-in file is left to the role: it writes the file anew.
    errors = [
        f"{error['file']} line {error['line']}: {error['error']}"
        for error in server["file_errors"]
        if error["file"] != os.path.join(cluster.config_dir, DROP_IN)
    ]
    errors += [f"pg_hba.conf line {rule['line']}: {rule['error']}" for rule in server["hba"] if rule["error"]]
    if errors:
        raise RingstandError(f"Failed to load the configuration of the cluster {cluster}: {'; '.join(errors)}")
    for database in databases:
        installed = (server["databases"].get(database["name"]) or {}).get("extensions", [])
        for name in database["extensions"]:
            if name not in server["available"] and name not in installed:
                raise RingstandError(
                    f"Failed to plan the database {database['name']}: PostgreSQL {cluster.version} has no extension "
                    f"{name!r}. Add the package that ships it to postgresql_extra_packages, or correct the name"
                )


def compare(
    cluster: Cluster,
    server: Mapping[str, Any],
    roles: Sequence[Any],
    databases: Sequence[Any],
    clients: Sequence[Any] = (),
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What has to change, as lists of names; a missing database is judged as a new one will be.

    Raises :class:`RingstandError` for configuration files that the server refuses and for unknown extensions.
    """
    _check(cluster, server, databases)
    stale = reload_needed(server["files"], cluster.config_dir, server["loaded_at"])
    schema_public = float(cluster.version) < SAFE_SCHEMA_VERSION
    fresh: dict[str, Any] = {"owner": None, "limit": NO_LIMIT, "public": True, "extensions": []}
    fresh["schema_public"] = schema_public
    states = [(database, server["databases"].get(database["name"], fresh)) for database in databases]
    return {
        "reload_needed": stale,
        "pending_restart": server["pending_restart"],
        "altered_settings": server["altered"],
        "data_checksums": server["checksums"],
        "roles": [
            {"name": role["name"], "flags": role_flags(role), **role_limits(server["roles"].get(role["name"]))}
            for role in roles
            if role_differs(role, server["roles"].get(role["name"]))
        ],
        "databases": [
            database["name"]
            for database, state in states
            if state["owner"] != database["owner"] or state["limit"] != NO_LIMIT
        ],
        "missing_databases": [database["name"] for database, state in states if state is fresh],
        "public_databases": [database["name"] for database, state in states if state["public"]],
        "public_schemas": [database["name"] for database, state in states if state["schema_public"]],
        "extensions": [
            {"database": database["name"], "name": name}
            for database, state in states
            for name in database["extensions"]
            if name not in state["extensions"]
        ],
        "new": new_objects(server, roles, databases),
        "reader_statements": reader_statements(databases, server["databases"]),
        "warnings": [
            *_warnings(cluster, server, stale, roles, databases, settings or {}),
            *(
                f"pg_hba.conf of the cluster {cluster} lets others in from outside: {rule}. Remove it there, or "
                "name it in postgresql_clients"
                for rule in (foreign(server["hba"], clients) if clients else [])
            ),
        ],
    }

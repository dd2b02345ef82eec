# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Roles that may read a whole database and change nothing in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# In the database itself. A reader is known by its read-only setting for this database together with default privileges
# of the database's owner: what a role was granted by hand has not both.
READERS_SQL = """
  'readers', (SELECT coalesce(json_object_agg(r.rolname, json_build_object(
      'connect', has_database_privilege(r.oid, current_database(), 'CONNECT'),
      'read_only', EXISTS (SELECT FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
          WHERE d.datname = current_database() AND s.setrole = r.oid
          AND 'default_transaction_read_only=on' = ANY (s.setconfig)),
      'future', (SELECT count(DISTINCT a.defaclobjtype) FROM pg_default_acl a, aclexplode(a.defaclacl) e
          WHERE a.defaclnamespace = 0 AND pg_get_userbyid(a.defaclrole) = %(owner)s AND e.grantee = r.oid
          AND (a.defaclobjtype, e.privilege_type) IN (('r', 'SELECT'), ('S', 'SELECT'), ('n', 'USAGE'))) = 3,
      'missing', (SELECT count(*) FROM pg_namespace n WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
          AND (NOT has_schema_privilege(r.oid, n.oid, 'USAGE') OR EXISTS (SELECT FROM pg_class c
              WHERE c.relnamespace = n.oid AND (c.relkind IN ('r', 'p', 'v', 'm', 'f')
              AND NOT has_table_privilege(r.oid, c.oid, 'SELECT') OR c.relkind = 'S'
              AND NOT has_sequence_privilege(r.oid, c.oid, 'SELECT'))))))), '{}')
      FROM pg_roles r WHERE r.rolname IN (%(readers)s) OR EXISTS (
          SELECT FROM pg_default_acl a, aclexplode(a.defaclacl) e WHERE a.defaclnamespace = 0
          AND pg_get_userbyid(a.defaclrole) = %(owner)s AND e.grantee = r.oid AND e.privilege_type = 'SELECT'))
"""
_SCHEMAS = "FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'"
_SCHEMA_PRIVILEGES = ("USAGE ON SCHEMA", "SELECT ON ALL TABLES IN SCHEMA", "SELECT ON ALL SEQUENCES IN SCHEMA")
_FUTURE_PRIVILEGES = ("SELECT ON TABLES", "SELECT ON SEQUENCES", "USAGE ON SCHEMAS")


def differing(wanted: Sequence[str], found: Mapping[str, Mapping[str, Any]]) -> tuple[list[str], list[str]]:
    """The readers that cannot read everything yet, and the roles that are readers and shall not be any more."""
    lacking = [
        name for name in wanted
        if name not in found or found[name]["missing"]
        or not all(found[name][key] for key in ("connect", "read_only", "future"))
    ]  # fmt: skip
    stale = [name for name in sorted(found) if name not in wanted and found[name]["read_only"]]
    return lacking, stale


def statements(databases: Sequence[Mapping[str, Any]], states: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What psql has to be told, as a superuser; a database without a state is a new one.

    Names have been checked: none has a quote in it.
    """
    script: list[str] = []
    for database in databases:
        found = (states.get(database["name"]) or {}).get("readers") or {}
        lacking, stale = differing(database.get("readers") or [], found)
        here = f'DATABASE "{database["name"]}"'
        if lacking or stale:
            script.append(f'\\connect "{database["name"]}"')
        for name in stale:
            script += _change(database, name, "REVOKE", "FROM")
            script.append(f'ALTER ROLE "{name}" IN {here} RESET default_transaction_read_only;')
        for name in lacking:
            script += _change(database, name, "GRANT", "TO")
            script.append(f'ALTER ROLE "{name}" IN {here} SET default_transaction_read_only = on;')
    return script


def _change(database: Mapping[str, Any], role: str, verb: str, preposition: str) -> list[str]:
    ends = f'{preposition} "{role}"'
    future = f'ALTER DEFAULT PRIVILEGES FOR ROLE "{database["owner"]}" {verb}'
    return [
        f'{verb} CONNECT ON DATABASE "{database["name"]}" {ends};',
        *(f"SELECT format('{verb} {what} %I {ends}', nspname) {_SCHEMAS} \\gexec" for what in _SCHEMA_PRIVILEGES),
        *(f"{future} {what} {ends};" for what in _FUTURE_PRIVILEGES),
    ]

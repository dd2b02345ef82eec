# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Start psql with the database of an app. It runs as the app's user, in whose environment systemd has put the URL.

Sent to a Python of its own, so it uses nothing else of this collection. psql gets everything in its environment: an
argument, which a URL with its password would be, can be read by every user of the host.
"""

from __future__ import annotations

import os
import sys
from urllib.parse import parse_qsl, unquote

# The parameters of libpq that have a variable, which is all that a URL may hold; from PostgreSQL's documentation of
# environment variables.
VARIABLES = {
    **{name: f"PG{name.upper()}" for name in ("host", "hostaddr", "port", "user", "password", "passfile", "service")},
    **{name: f"PG{name.upper()}" for name in ("options", "sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl")},
    **{name: f"PG{name.upper()}" for name in ("sslnegotiation", "sslsni", "requirepeer", "gssencmode")},
    "dbname": "PGDATABASE",
    "application_name": "PGAPPNAME",
    "client_encoding": "PGCLIENTENCODING",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "channel_binding": "PGCHANNELBINDING",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "require_auth": "PGREQUIREAUTH",
    "load_balance_hosts": "PGLOADBALANCEHOSTS",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION",
}


def connection_environment(url: str) -> dict[str, str]:
    """The variables by which libpq connects to where ``url`` leads. Raises ValueError, never with the URL in it."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.split("+")[0] not in ("postgresql", "postgres"):
        raise ValueError(f"DATABASE_URL is not PostgreSQL's but begins with {scheme[:20]!r}" if separator else "no URL")
    rest = rest.partition("#")[0]
    before, _mark, query = rest.partition("?")
    authority, _slash, database = before.partition("/")
    login, _at, places = authority.rpartition("@")
    user, colon, password = login.partition(":")
    found = {"PGUSER": unquote(user), "PGDATABASE": unquote(database), "PGPASSWORD": unquote(password) if colon else ""}
    hosts, ports = [], []
    for place in places.split(","):
        # The address of IPv6 has colons itself, and brackets for that.
        host, _colon, port = place.rpartition(":") if not place.endswith("]") and ":" in place else (place, "", "")
        hosts.append(unquote(host.strip("[]")))
        ports.append(port)
    found["PGHOST"] = ",".join(hosts).strip(",")
    found["PGPORT"] = ",".join(ports) if any(ports) else ""
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in VARIABLES:
            raise ValueError(f"its parameter {name!r} is not known to PostgreSQL's client")
        found[VARIABLES[name]] = value
    return {name: value for name, value in found.items() if value}


def main() -> None:
    """Become psql, or what ``--program=`` names; ends with 2 without a usable URL, with 127 without the program."""
    arguments = sys.argv[1:]
    program = arguments.pop(0).partition("=")[2] if arguments[:1] and arguments[0].startswith("--program=") else "psql"
    environment = dict(os.environ)
    try:
        environment.update(connection_environment(environment.pop("DATABASE_URL", "")))
    except ValueError as error:
        sys.stderr.write(f"ringstand: Failed to open the database: {error}\n")
        raise SystemExit(2) from error
    try:
        # pg_restore connects only when it is told a database.
        arguments = [f"--dbname={environment['PGDATABASE']}" if item == "--dbname=" else item for item in arguments]
        os.execvpe(program, [program, *arguments], environment)  # noqa: S606 - a shell would only be in the way
    except FileNotFoundError as error:
        sys.stderr.write(f"ringstand: Failed to start {program}: install the package postgresql-client\n")
        raise SystemExit(127) from error


if __name__ == "__main__":
    main()

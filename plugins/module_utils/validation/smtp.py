# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A server that takes mail: where it is, how it is reached, who sends to whom. The password is never shown."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from .problems import Problems, join
from .schema import Field, check
from .sources import check_absolute_path

EMAIL = re.compile(r"[^@\s,]+@[^@\s,]+\.[^@\s,]+")
# A server of the host itself may be named plainly, and so may its users.
_ADDRESS = re.compile(r"[^@\s,<>]+@[^@\s,<>]+")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:-]*[A-Za-z0-9])?")
_PORT = Field((int,), minimum=1, maximum=65535)


def check_smtp(variable: str, value: Any, problems: Problems) -> None:
    """Settings of the form ``{host, port, security, user, password, ca_path, from, to}``."""
    given = value if isinstance(value, dict) else {}
    host = str(given.get("host") or "")
    if not _HOST.fullmatch(host):
        remedy = "Write one such as mail.example.com"
        problems.add(join(variable, "host"), "this is not the name of a server", remedy, host)
    if given.get("port") is not None:
        check(given["port"], _PORT, join(variable, "port"), problems)
    to = given.get("to")
    recipients = to if isinstance(to, list) else []
    if not recipients:
        problems.add(join(variable, "to"), "nobody would be told", "Write one address at least", to)
    for path, address in [(join(variable, "from"), given.get("from")),
                          *((join(join(variable, "to"), position), item) for position, item in enumerate(recipients))]:
        if not _ADDRESS.fullmatch(str(address or "")):
            problems.add(path, "this is not an e-mail address", "Write one such as ops@example.com", address)
    if bool(given.get("user")) != bool(given.get("password")):
        missing = "password" if given.get("user") else "user"
        problems.add(join(variable, missing), "a user and a password belong together", "Write both, or neither")
    if given.get("security") == "none" and not _is_local(host):
        rule = "the message, and the password, would go over the network in the clear"
        problems.add(join(variable, "security"), rule, "Write starttls or tls", "none")
    if given.get("ca_path"):
        check_absolute_path(given["ca_path"], join(variable, "ca_path"), problems)


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

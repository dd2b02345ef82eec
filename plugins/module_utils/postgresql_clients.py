# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Remote clients in pg_hba.conf: a block of our own at its end, and what others let in beside it."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping, Sequence
from typing import Any

from .errors import RingstandError

BEGIN = "# BEGIN ringstand: written by the role ringstand.flask.postgresql, which overwrites changes up to END"
END = "# END ringstand"
METHOD = "scram-sha-256"
# What the modules take, as Ansible describes options.
OPTION = {
    "type": "list",
    "elements": "dict",
    "default": [],
    "options": {
        "role": {"type": "str", "required": True},
        "database": {"type": "str", "required": True},
        "addresses": {"type": "list", "elements": "str", "required": True},
    },
}


def read(config_dir: str) -> str:
    """The text of a cluster's pg_hba.conf, or an empty one."""
    try:
        with open(os.path.join(config_dir, "pg_hba.conf"), encoding="utf-8", errors="surrogateescape") as stream:
            return stream.read()
    except FileNotFoundError:
        return ""


def clients_differ(config_dir: str, clients: Sequence[Mapping[str, Any]]) -> bool:
    """Whether our block in pg_hba.conf is another one than these clients need."""
    text = read(config_dir)
    return with_block(text, clients) != text


def network(address: str) -> str:
    """An address or a network as pg_hba.conf takes it, with the length of its prefix."""
    return str(ipaddress.ip_network(address))


def lines(clients: Sequence[Mapping[str, Any]]) -> list[str]:
    """One line per client and address, which only TLS matches. Names have been checked: none has a quote in it."""
    return [
        f'hostssl "{client["database"]}" "{client["role"]}" {network(address)} {METHOD}'
        for client in clients
        for address in client["addresses"]
    ]


def with_block(text: str, clients: Sequence[Mapping[str, Any]]) -> str:
    """The text of pg_hba.conf with our block at its end, or without one when there are no clients.

    Raises :class:`RingstandError` for a block that has no end, because nobody knows then what is ours.
    """
    before, begun, rest = text.partition(f"{BEGIN}\n")
    if begun:
        _ours, ended, after = rest.partition(f"{END}\n")
        if not ended:
            raise RingstandError(
                f"Failed to read pg_hba.conf: the line {BEGIN!r} has no line {END!r} after it. Put it back where the "
                "lines of the role end, or remove both"
            )
        before += after
    if not clients:
        return before
    before += "" if not before or before.endswith("\n") else "\n"
    return "\n".join([f"{before}{BEGIN}", *lines(clients), f"{END}\n"])


def foreign(rules: Sequence[Mapping[str, Any]], clients: Sequence[Mapping[str, Any]]) -> list[str]:
    """The rules of others, as line numbers with their words, that let in somebody from outside."""
    ours = set(lines(clients))
    found = []
    for rule in rules:
        address = rule.get("address") or ""
        if rule["type"] == "local" or rule["method"] == "reject" or not address or _is_loopback(address):
            continue
        words = " ".join([rule["type"], ",".join(rule["database"]), ",".join(rule["user"]), address, rule["method"]])
        quoted = [
            f'{rule["type"]} "{database}" "{user}" {_joined(address, rule.get("netmask"))} {rule["method"]}'
            for database in rule["database"]
            for user in rule["user"]
        ]
        if not ours.issuperset(quoted):
            found.append(f"line {rule['line']} ({words})")
    return found


def _joined(address: str, netmask: str | None) -> str:
    try:
        if netmask and ":" in netmask:  # the server shows an IPv6 mask as an address
            return f"{address}/{bin(int(ipaddress.ip_address(netmask))).count('1')}"
        return str(ipaddress.ip_network(f"{address}/{netmask}" if netmask else address, strict=False))
    except ValueError:
        return address


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_network(address, strict=False).is_loopback
    except ValueError:
        return address == "samehost"

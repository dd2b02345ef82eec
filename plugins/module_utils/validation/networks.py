# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Addresses and networks of clients."""

from __future__ import annotations

import ipaddress
from typing import Any

from ..apps import as_list
from .problems import Problems, join


def check_networks(value: Any, path: str, problems: Problems, everybody: tuple[str, str] | None = None) -> None:
    """An address or a network, or a list of them; ``everybody`` is the rule and remedy where none may hold all."""
    for position, item in enumerate(as_list(value)):
        here = join(path, position) if isinstance(value, list) else path
        try:
            network = ipaddress.ip_network(str(item))
        except ValueError:
            problems.add(here, "this is not an address or a network", _remedy(str(item)), item)
            continue
        if everybody and network.prefixlen == 0:
            problems.add(here, *everybody, item)


def _remedy(text: str) -> str:
    try:
        return f"Write {ipaddress.ip_network(text, strict=False)}"
    except ValueError:
        return "Write one such as 192.0.2.7 or 192.0.2.0/24"

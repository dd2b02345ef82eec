# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is set of an app's maintenance."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from ..apps import as_list
from .problems import Problems, join


def check_maintenance(maintenance: Mapping[str, Any], path: str, problems: Problems) -> None:
    """Each item of ``allow`` is an address or a network that does not hold everybody."""
    allow = maintenance.get("allow")
    for position, item in enumerate(as_list(allow)):
        here = join(join(path, "allow"), position) if isinstance(allow, list) else join(path, "allow")
        try:
            network = ipaddress.ip_network(str(item))
        except ValueError:
            problems.add(here, "this is not an address or a network", _remedy(str(item)), item)
            continue
        if network.prefixlen == 0:
            problems.add(here, "nobody would see the maintenance page", "Name the networks that are let through", item)


def _remedy(text: str) -> str:
    try:
        return f"Write {ipaddress.ip_network(text, strict=False)}"
    except ValueError:
        return "Write one such as 192.0.2.7 or 192.0.2.0/24"

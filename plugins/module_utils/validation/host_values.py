# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Values of the host role: time zone, firewall rules, patterns."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from .problems import Problems, join, nearest

TIMEZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*")


def _timezones() -> set[str]:
    """The names that this machine knows; empty when it has no database of time zones."""
    try:
        from zoneinfo import available_timezones
    except ImportError:
        return set()
    return available_timezones()


def timezone(variable: str, value: Any, problems: Problems) -> None:
    """A name as Europe/Berlin; empty leaves the host as it is."""
    if not value or not isinstance(value, str):
        return
    known = _timezones()
    if value in known or (not known and TIMEZONE.fullmatch(value)):
        return
    close = nearest(value, known)
    remedy = f"Did you mean {close}?" if close else "Write a name such as Europe/Berlin"
    problems.add(variable, "there is no such time zone", remedy, value)


def _check_port(path: str, value: Any, problems: Problems) -> None:
    first, colon, last = str(value).partition(":")
    numbers = [int(text) if text.isdigit() else 0 for text in ([first, last] if colon else [first])]
    if isinstance(value, bool) or not all(1 <= port <= 65535 for port in numbers) or numbers != sorted(numbers):
        problems.add(path, "this is neither a port nor a range of ports", 'Write 443 or "8000:8010"', value)


def _check_network(path: str, value: Any, problems: Problems) -> None:
    if value in (None, "any"):
        return
    try:
        network = ipaddress.ip_network(str(value), strict=False)
    except ValueError:
        problems.add(path, "this is no address or network", "Write it as 192.0.2.7 or 192.0.2.0/24", value)
        return
    if "/" in str(value) and str(network) != str(value).lower():
        problems.add(path, "the address is not the first one of its network", f"Write {network}", value)


def firewall_rules(variable: str, value: Any, problems: Problems) -> None:
    """Each rule a port or range, from everywhere or from one network."""
    for position, rule in enumerate(value if isinstance(value, list) else []):
        if isinstance(rule, dict):
            path = join(variable, position)
            _check_port(join(path, "port"), rule.get("port"), problems)
            _check_network(join(path, "from"), rule.get("from"), problems)


def regular_expressions(variable: str, value: Any, problems: Problems) -> None:
    """Each item compiles."""
    for position, item in enumerate(value if isinstance(value, list) else []):
        try:
            re.compile(str(item))
        except re.error as error:
            problems.add(join(variable, position), f"this is no regular expression ({error})", "Correct it", item)

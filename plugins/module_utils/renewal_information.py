# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ask the certificate authority when a certificate should be renewed (ARI, RFC 9773), with any version of certbot."""

from __future__ import annotations

import base64
import calendar
import re
import time
from typing import Any

from . import acme_directory, x509
from .certificate_due import HOUR_SECONDS, Window

# RFC 9773, 4.3: as often as the authority says, within these.
ASK_MIN_SECONDS, ASK_SECONDS, ASK_MAX_SECONDS = HOUR_SECONDS, 6 * HOUR_SECONDS, 24 * HOUR_SECONDS
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)")


def ask(directory_url: str, der: bytes, ca_bundle_path: str, now: float) -> tuple[Window | None, float]:
    """The window that the authority suggests, or None, and when to ask it again. Never raises for its failures."""
    try:
        context = acme_directory.trust(ca_bundle_path)
        directory, _headers = acme_directory.get(directory_url, context)
        base = directory.get("renewalInfo")
        name = certificate_id(der)
        if not isinstance(base, str) or not base.startswith("https://") or not name:
            return None, now + ASK_MAX_SECONDS
        answer, headers = acme_directory.get(f"{base.rstrip('/')}/{name}", context)
        return read_window(answer), now + _ask_again(headers.get("Retry-After"))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None, now + ASK_SECONDS


def certificate_id(der: bytes) -> str:
    """The name of a certificate in renewal information: its authority's key identifier and its serial number.

    RFC 9773, 4.1. Empty when the certificate has no key identifier of its authority.
    """
    key = x509.authority_key(der)
    return f"{_encode(key)}.{_encode(x509.serial_bytes(der))}" if key else ""


def read_window(answer: dict[str, Any]) -> Window | None:
    """The suggested window of an answer, or None when it has none that makes sense."""
    window = answer["suggestedWindow"]
    start, end = _seconds(window["start"]), _seconds(window["end"])
    return Window(start, end) if start < end else None


def _ask_again(header: str | None) -> float:
    seconds = float(header) if header and header.isdigit() else ASK_SECONDS
    return min(max(seconds, ASK_MIN_SECONDS), ASK_MAX_SECONDS)


def _encode(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def _seconds(text: str) -> float:
    """RFC 3339 as seconds since the epoch."""
    found = _TIME.fullmatch(text)
    if not found:
        raise ValueError(text)
    zone = found[2]
    hours, minutes = (0, 0) if zone == "Z" else (int(zone[1:3]), int(zone[4:6]))
    offset = (hours * 3600 + minutes * 60) * (-1 if zone.startswith("-") else 1)
    return float(calendar.timegm(time.strptime(found[1], "%Y-%m-%dT%H:%M:%S")) - offset)

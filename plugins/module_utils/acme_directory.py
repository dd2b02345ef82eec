# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a certificate authority says of itself in its ACME directory (RFC 8555, 7.1.1)."""

from __future__ import annotations

import json
import ssl
import urllib.request
from typing import Any

_TIMEOUT_SECONDS = 10.0
_MAX_BYTES = 100_000


def trust(ca_bundle_path: str) -> ssl.SSLContext:
    """What connections to the authority are verified with: the bundle, or without one the system's."""
    return ssl.create_default_context(cafile=ca_bundle_path or None)


def get(url: str, context: ssl.SSLContext) -> tuple[dict[str, Any], Any]:
    """The JSON at ``url`` and the headers that came with it; raises OSError or ValueError."""
    request = urllib.request.Request(url, headers={"User-Agent": "ringstand"})  # noqa: S310 - https, as validated
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))
    with opener.open(request, timeout=_TIMEOUT_SECONDS) as answer:
        return json.loads(answer.read(_MAX_BYTES)), answer.headers


def caa_identities(directory_url: str, ca_bundle_path: str) -> list[str]:
    """The names by which CAA records allow the authority; none when it gives none, or cannot be asked."""
    try:
        directory, _headers = get(directory_url, trust(ca_bundle_path))
        return [str(name).lower() for name in directory["meta"]["caaIdentities"]]
    except (OSError, ValueError, TypeError, KeyError):
        return []

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What goes before the order of a certificate: what can be seen on this host, and a rehearsal that costs nothing."""

from __future__ import annotations

import hashlib
import json

from . import acme_preflight, certbot
from .certbot_lineage import WHOLE, Lineage
from .certificate_attempts import PREFLIGHT, REHEARSAL, Attempts
from .certificates import Wanted
from .errors import RingstandError

# That the staging directory is away, or has enough of this host, says nothing about the order.
_REHEARSAL_MAY_FAIL = (certbot.UNREACHABLE, certbot.RATE_LIMIT, certbot.NONCE, certbot.LOCKED)


def prepare(client: certbot.Client, site: Wanted, lineage: Lineage, attempts: Attempts) -> None:
    """Find out whether an order would succeed. Raises RingstandError with ``step`` among its details."""
    if not site.dns_plugin:
        fault = acme_preflight.fault(client.renewal.webroot, site.domains)
        if fault:
            raise RingstandError(fault, step=PREFLIGHT)
    known = set(lineage.details.domains) if lineage.details else set()
    mark = _mark(client, site)
    # Names that the authority has certified before need none, nor what has passed one already.
    if client.staging_url and not set(site.domains) <= known and attempts.rehearsed != mark:
        _rehearse(client, site, lineage.state == WHOLE)
        attempts.rehearsed = mark


def subject(client: certbot.Client, site: Wanted) -> str:
    """A mark of what is asked for and of whom: what one authority says of some names counts for no other ones."""
    return _hash([client.renewal.directory_url, *sorted(site.domains)])


def _mark(client: certbot.Client, site: Wanted) -> str:
    return _hash([client.renewal.directory_url, client.staging_url, site.dns_plugin, *sorted(site.domains)])


def _hash(words: list[str]) -> str:
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()[:16]


def _rehearse(client: certbot.Client, site: Wanted, replaces: bool) -> None:
    try:
        certbot.rehearse(client, site, replaces)
    except RingstandError as error:
        if error.details.get("kind") not in _REHEARSAL_MAY_FAIL:
            message = f"the rehearsal failed, so nothing was ordered: {error.message}"
            raise RingstandError(message, **{**error.details, "step": REHEARSAL}) from error

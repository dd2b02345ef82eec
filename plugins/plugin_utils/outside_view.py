# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the controller sees of a host's port 80, which is what a certificate authority may see of it too."""

from __future__ import annotations

import errno
import http.client
import socket
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from . import caa

PORT = 80
# How an authority has a domain proven (RFC 8555, 8.3 and 8.4).
HTTP, DNS = "http-01", "dns-01"
_TIMEOUT_SECONDS = 5.0
_NO_ROUTE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
OURS, OTHER, NOBODY, NO_ROUTE = "ours", "other", "nobody", "no route"


@dataclass
class View:
    """``refused`` has a reason for each site whose challenge would fail; ``warnings`` are what may be a mistake."""

    refused: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def look(
    sites: Mapping[str, Sequence[str]],
    path: str,
    content: str,
    host_addresses: Sequence[str],
    caa_identities: Sequence[str] = (),
    sites_by_dns: Mapping[str, Sequence[str]] | None = None,
) -> View:
    """Ask every address of every domain for ``path``, all at once. ``sites`` are domains by the name of a site.

    ``caa_identities`` are the authority's names in CAA records, by which each domain has to let it issue; also those of
    ``sites_by_dns``, whose addresses nobody asks.
    """
    view = View()
    proofs = [(site, domain, HTTP) for site, names in sites.items() for domain in names]
    proofs += [(site, domain, DNS) for site, names in (sites_by_dns or {}).items() for domain in names]
    domains = sorted({domain for names in sites.values() for domain in names})
    with ThreadPoolExecutor(max_workers=32) as pool:
        reasons = pool.map(lambda proof: caa.fault(proof[1], caa_identities, proof[2]), proofs)
        for (site, _domain, _method), reason in zip(proofs, reasons):
            if reason:
                view.refused.setdefault(site, reason)
        found = dict(zip(domains, pool.map(_addresses, domains)))
        pairs = [(domain, address) for domain in domains for address in found[domain]]
        answers = dict(zip(pairs, pool.map(lambda pair: ask(pair[0], pair[1], path, content), pairs)))
    for site, names in sites.items():
        for domain in names:
            if not found[domain]:
                view.warnings.append(f"{domain} does not resolve here; no authority can verify it unless it does there")
            for address in found[domain]:
                verdict, said = answers[domain, address]
                foreign = "" if address in host_addresses else ", which is none of the host's own"
                if verdict == OTHER:
                    view.refused.setdefault(
                        site,
                        f"{domain} leads to {address}{foreign}, which answers a challenge of ours with {said}. Correct "
                        "its DNS records (A and AAAA), or set certbot_preflight_enabled to false if the authority gets "
                        "to this host on another way than this machine",
                    )
                elif verdict == NOBODY or (verdict == NO_ROUTE and foreign):
                    view.warnings.append(f"{domain} leads to {address}{foreign}; port {PORT} cannot be asked: {said}")
    return view


def _addresses(domain: str) -> list[str]:
    try:
        found = socket.getaddrinfo(domain, PORT, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return sorted({str(entry[4][0]) for entry in found})


def ask(domain: str, address: str, path: str, content: str) -> tuple[str, str]:
    """What one address answers for ``http://domain/path``: a verdict and what was said."""
    connection = http.client.HTTPConnection(address, PORT, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", path, headers={"Host": domain})
        answer = connection.getresponse()
        body = answer.read(200).decode(errors="replace")
    except OSError as error:
        return NO_ROUTE if error.errno in _NO_ROUTE else NOBODY, str(error.strerror or error)
    except http.client.HTTPException as error:
        return OTHER, f"something that is not HTTP ({type(error).__name__})"
    finally:
        connection.close()
    if answer.status == 200 and body == content:
        return OURS, ""
    if 300 <= answer.status < 400:  # an authority follows it, to HTTPS as well
        return NOBODY, f"status {answer.status}, to {answer.headers.get('Location')}"
    return OTHER, f"status {answer.status}" if answer.status != 200 else "something else"


def addresses_of(text: Any) -> list[str]:
    """The addresses that a name of the inventory stands for; none when it is only known to SSH."""
    return _addresses(str(text)) if text else []

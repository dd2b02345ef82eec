# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Domains as nginx, DNS and certificate authorities take them."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from ..apps import to_ascii_domain
from ..errors import RingstandError
from .problems import Problems, join

# Let's Encrypt: at most 100 names in a certificate.
MAX_DOMAINS = 100
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# Let's Encrypt's certificates and its staging ones.
PUBLIC_DIRECTORY = re.compile(r"https://[a-z0-9.-]+\.letsencrypt\.org(/|$)")
# RFC 6761, RFC 6762, and what ICANN keeps for private use.
PRIVATE_TLDS = ("localhost", "test", "invalid", "example", "local", "internal")
# RFC 6761, 6.5: kept for documentation, as in the example inventory.
DOCUMENTATION_DOMAIN = re.compile(r"(^|\.)example\.(com|net|org)$")
# The two standards of international domain names (2003, which Python has, and 2008) differ in these.
IDNA_DEVIATIONS = "ßς\u200c\u200d"


def _is_address(domain: str) -> bool:
    try:
        ipaddress.ip_address(domain.strip("[]"))
    except ValueError:
        return False
    return True


def _fault(domain: str) -> tuple[str, str] | None:
    """The rule that ``domain`` breaks and the remedy, or None."""
    if "://" in domain:
        return "a domain has no scheme", f"Write {domain.split('://', 1)[1].split('/')[0]!r}"
    if _is_address(domain):
        return "this is an IP address", "Write a domain that resolves to it"
    if "*" in domain:
        return "a wildcard cannot be proven over HTTP", "List each domain, or set dns_plugin"
    if "/" in domain or ":" in domain:
        return "a domain has neither a path nor a port", f"Write {re.split('[/:]', domain)[0]!r}"
    if domain.endswith("."):
        return "a domain has no final dot here", f"Write {domain.rstrip('.')!r}"
    if any(character in IDNA_DEVIATIONS for character in domain):
        return "the standards for international domains disagree on this one", "Write its punycode form, xn--…"
    return _syntax_fault(domain)


def _syntax_fault(domain: str) -> tuple[str, str] | None:
    try:
        name = to_ascii_domain(domain)
    except RingstandError:
        return "this is no valid international domain", "Correct it or write its punycode form, xn--…"
    if len(name) > 253:
        return "a domain has at most 253 characters", "Shorten it"
    labels = name.split(".")
    if not all(LABEL.fullmatch(label) for label in labels):
        return (
            "between dots a domain has 1 to 63 letters, digits and '-', which is neither first nor last",
            "Correct it",
        )
    if labels[-1].isdigit():
        return "the last part of a domain is not a number", "Correct it"
    return None


def check_domain(domain: Any, path: str, problems: Problems, wildcard: bool = False) -> bool:
    """True when ``domain`` is one plain host name, or with ``wildcard`` one behind ``*.``.

    An international one is accepted with a note.
    """
    if not isinstance(domain, str):
        return False
    fault = _fault(domain.removeprefix("*.") if wildcard else domain)
    if fault:
        problems.add(path, *fault, domain)
        return False
    if not domain.isascii():
        problems.note(path, "the domain is international", f"It is used as {to_ascii_domain(domain)}", domain)
    return True


def check_domains(domains: list[Any], path: str, problems: Problems, wildcards: bool = False) -> None:
    """Every domain of one site; ``wildcards`` are possible where nothing is proven by HTTP."""
    if len(domains) > MAX_DOMAINS:
        problems.add(
            path, f"{len(domains)} domains are more than the {MAX_DOMAINS} of one certificate", "Split the app"
        )
    for position, domain in enumerate(domains):
        check_domain(domain, join(path, position), problems, wildcards)


def check_certifiable(sites: list[tuple[str, Any]], directory_url: Any, problems: Problems) -> None:
    """``sites`` are pairs of a path and domains that an authority shall certify: a public one must be able to.

    ``directory_url`` is the authority's; None stands for the default, which is public.
    """
    if directory_url is not None and not PUBLIC_DIRECTORY.match(str(directory_url)):
        return
    for path, domains in sites:
        for position, domain in enumerate(domains if isinstance(domains, list) else []):
            if not isinstance(domain, str) or _fault(domain):
                continue
            here, last = join(path, position), domain.lower().rpartition(".")[2]
            if "." not in domain or last in PRIVATE_TLDS:
                remedy = "Set the app's tls: {certificate: self_signed}, or certbot_directory_url to one of your own"
                problems.add(here, "no public certificate authority certifies this name", remedy, domain)
            elif DOCUMENTATION_DOMAIN.search(domain.lower()):
                rule = "this name is reserved for documentation; no public certificate authority certifies it"
                problems.note(here, rule, "Replace it, or set the app's tls: {certificate: self_signed}", domain)


def check_unique_domains(sites: list[tuple[str, Any]], problems: Problems) -> None:
    """``sites`` are pairs of a path and its list of domains; no domain may occur twice."""
    seen: dict[str, str] = {}
    for path, domains in sites:
        for position, domain in enumerate(domains if isinstance(domains, list) else []):
            if not isinstance(domain, str) or _fault(domain):
                continue
            here, name = join(path, position), to_ascii_domain(domain)
            if name in seen:
                problems.add(here, f"{seen[name]} has this domain already", "Keep it in one place", domain)
            seen.setdefault(name, here)

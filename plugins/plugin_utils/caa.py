# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether the CAA records of a domain let an authority issue for it (RFC 8659), as this machine's resolver has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

try:
    import dns.exception
    import dns.name
    import dns.resolver
except ImportError:  # then nobody looks, and the authority says it after the attempt
    HAS_DNSPYTHON = False
else:
    HAS_DNSPYTHON = True

_SECONDS = 5.0
_CRITICAL = 128
_KNOWN = ("issue", "issuewild", "iodef")


def fault(domain: str, identities: Sequence[str], method: str, resolver: Any = None) -> str | None:
    """Why an authority of these ``identities`` must not issue for ``domain``, proven by ``method``, or None.

    None too when it has no identities, dnspython is not installed, or the records cannot be read.
    """
    if not identities or not HAS_DNSPYTHON:
        return None
    try:
        owner, records = _relevant(domain.removeprefix("*."), resolver or dns.resolver.Resolver())
    except dns.exception.DNSException:
        return None
    values: dict[str, list[str]] = {}
    for record in records:
        tag = record.tag.decode("ascii", "replace").lower()
        if record.flags & _CRITICAL and tag not in _KNOWN:
            return f"the CAA records of {owner} have the critical property {tag!r}, which no authority may pass over"
        values.setdefault(tag, []).append(record.value.decode("ascii", "replace"))
    tag = "issuewild" if domain.startswith("*.") and "issuewild" in values else "issue"
    if tag not in values:
        return None
    allowed = [_parse(value) for value in values[tag]]
    ours = [methods for issuer, methods in allowed if issuer in identities]
    if any(not methods or method in methods for methods in ours):
        return None
    remedy = f'Add the record: {owner} CAA 0 {tag} "{identities[0]}"'
    if ours:
        named = ", ".join(sorted({name for methods in ours for name in methods}))
        return f"the CAA records of {owner} let this authority prove {domain} by {named}, not by {method}. {remedy}"
    named = ", ".join(sorted({issuer for issuer, _methods in allowed if issuer})) or "nobody"
    return f"the CAA records of {owner} allow {named} to issue for {domain}, and not this authority. {remedy}"


def _parse(value: str) -> tuple[str, list[str]]:
    """The issuer of a property, and the methods by which it may prove a domain (RFC 8657, 4); none stands for all."""
    issuer, *parameters = (part.strip().lower() for part in value.split(";"))
    found = [text.partition("=") for text in parameters]
    methods = [text for name, _equals, text in found if name.strip() == "validationmethods"]
    return issuer, [method.strip() for text in methods for method in text.split(",")]


def _relevant(domain: str, resolver: Any) -> tuple[str, list[Any]]:
    """The records of the domain or, where it has none, of the nearest one above it that has some."""
    name = dns.name.from_text(domain)
    while len(name) > 1:  # the root's own label is left
        try:
            answer = resolver.resolve(name, "CAA", lifetime=_SECONDS, search=False)
        except (dns.resolver.NoAnswer, dns.resolver.NXDOMAIN):
            name = name.parent()
        else:
            return name.to_text(omit_final_dot=True), list(answer)
    return domain, []

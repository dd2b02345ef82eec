# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where the certificate of a site comes from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..apps import ACME, OWN, OWN_CERTIFICATE
from .problems import Problems, join
from .sources import check_absolute_path

PLUGIN = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def check_tls(app: Mapping[str, Any], path: str, problems: Problems) -> None:
    """The key ``tls`` of an app, whose types are known to be right or told already."""
    tls, here = app.get("tls"), join(path, "tls")
    if not isinstance(tls, dict):
        return
    certificate = tls.get("certificate") or ACME
    if certificate == OWN:
        check_own_certificate(tls, here, problems)
    for key in (key for key in OWN_CERTIFICATE if tls.get(key) and certificate != OWN):
        problems.add(join(here, key), "this belongs to an own certificate", "Set certificate: own, or remove it")
    if tls.get("dns_plugin") and certificate != ACME:
        problems.add(join(here, "dns_plugin"), "nothing is proven for this certificate", "Remove it")
    check_dns_plugin(tls.get("dns_plugin"), join(here, "dns_plugin"), problems)
    domains = app.get("domains")
    if isinstance(domains, list) and domains and str(domains[0]).startswith("*"):
        rule = "the first domain is the one that the app is asked by, which a wildcard cannot be"
        problems.add(join(join(path, "domains"), 0), rule, "Put another one first", domains[0])


def check_dns_plugin(plugin: Any, path: str, problems: Problems) -> None:
    """The name of one of certbot's plugins for DNS."""
    if isinstance(plugin, str) and plugin and not PLUGIN.fullmatch(plugin):
        rule = "a plugin is named as in its package python3-certbot-dns-…"
        problems.add(path, rule, "Write it as cloudflare or route53", plugin)


def check_own_certificate(given: Mapping[str, Any], path: str, problems: Problems) -> None:
    """A certificate of the user's: both as PEM, or both as paths on the host."""
    texts, files = ([key for key in keys if given.get(key)] for keys in (OWN_CERTIFICATE[:2], OWN_CERTIFICATE[2:]))
    if (texts and files) or len(texts or files) != 2:
        rule = "an own certificate is a chain and a key"
        problems.add(path, rule, "Write chain_path and key_path, or chain and key")
    for key in files:
        check_absolute_path(given[key], join(path, key), problems)
    if "chain" in texts and "-----BEGIN CERTIFICATE-----" not in str(given["chain"]):
        rule = "this is no certificate in PEM"
        problems.add(join(path, "chain"), rule, "Copy it whole, with its BEGIN and END lines")
    if "key" in texts and not re.search(r"-----BEGIN (RSA |EC )?PRIVATE KEY-----", str(given["key"])):
        rule = "this is no key in PEM, or has a passphrase"
        problems.add(join(path, "key"), rule, "Convert it with: openssl pkey -in old.key -out new.key")

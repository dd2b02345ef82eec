# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The certificates of a host's sites, as files and as served."""

from __future__ import annotations

import os
import time
from typing import Any

from . import (
    certbot_lineage,
    certbot_run,
    certificate_attempts,
    certificate_deploy,
    certificate_due,
    certificate_settings,
    certificate_sites,
    links,
    own_certificates,
    x509,
)
from .certificate_attempts import Memory, utc
from .certificates import CHAIN, CURRENT, PREFIX, Wanted

CERTIFICATES_DIR = "/etc/ringstand/certificates"
PLACEHOLDER, ISSUED, SERVED, MISSING = "placeholder", "issued", "served", "missing"
# So many failures in a row are no passing fault any more.
_ALARM_FAILURES = 3
_JOURNAL, _BRING = "see journalctl -u ringstand-certificates", "whoever brings it has to bring a new one"


def all_states(now: float | None = None) -> list[dict[str, Any]]:
    """One row per site, by name: those with certificates of certbot's, then all others that nginx serves."""
    memory = certificate_attempts.load()
    settings = certificate_settings.load()
    wanted = {site.name: site for site in settings.sites} if settings else {}
    rows = [site_state(site, True, now, memory) for site in wanted.values()]
    taken = {site.directory for site in wanted.values()}
    others = [site for site in _served() if site.name not in wanted and site.directory not in taken]
    rows += [site_state(site, False, now, memory) for site in others]
    return sorted(rows, key=lambda row: str(row["site"]))


def _served() -> list[Wanted]:
    """The sites that nginx serves. Where they are not written down yet, each directory of certificates is one."""
    sites = certificate_sites.load()
    if sites is None:
        names = sorted(os.listdir(CERTIFICATES_DIR)) if os.path.isdir(CERTIFICATES_DIR) else []
        sites = [Wanted(name, [], os.path.join(CERTIFICATES_DIR, name)) for name in names]
        sites = [site for site in sites if os.path.isdir(site.directory)]
    return sites


def site_state(site: Wanted, from_acme: bool, now: float | None = None, memory: Memory | None = None) -> dict[str, Any]:
    """How far the certificate of a site is. Times are ISO 8601 in UTC, or None.

    ``site``, ``state``, ``domains``, ``serial``, ``expires``; ``renews`` (when it will be renewed) and ``issued``;
    ``attempt``, the last failure, which is empty after a success; ``problem`` (text or None) and ``alarm``, whether it
    is one that somebody has to see to. States: placeholder (self-signed), issued (a real certificate that is not
    served), served, missing.
    """
    now, memory = time.time() if now is None else now, memory or Memory()
    attempts = memory.certificates.get(site.name) or certificate_attempts.Attempts()
    row: dict[str, Any] = {"site": site.name, "domains": list(site.domains), "serial": None, "expires": None}
    row.update(renews=None, issued=utc(attempts.issued) if attempts.issued else None, attempt=attempts.as_dict())
    details = x509.read(os.path.join(site.directory, CHAIN))
    if details is None:
        problem = f"{site.directory}/{CHAIN} cannot be read; run site.yml"
        return {**row, "state": MISSING, "problem": problem, "alarm": True}
    domains = list(site.domains) or [name for name in details.domains if "*" not in name]
    row.update(domains=domains, serial=details.serial, expires=utc(details.expires))
    if (links.target_of(os.path.join(site.directory, CURRENT)) or "").startswith(PREFIX):
        waited = f"a certificate is wanted and there is none yet; {_told(attempts)}" if from_acme else None
        alarm = from_acme and attempts.failures >= _ALARM_FAILURES
        return {**row, "state": PLACEHOLDER, "problem": waited, "alarm": alarm}
    if from_acme:
        row["renews"] = utc(certbot_run.due_at(details, memory, site.name))
    fault = certificate_deploy.not_served(details, domains)
    lacks = sorted(domain for domain in domains if not _is_for(details, domain, from_acme))
    age = age_problem(details, now, _JOURNAL if from_acme else _BRING)
    found = fault or age
    if lacks and not found:
        found = f"it lacks {', '.join(lacks)}; {_told(attempts) if from_acme else _BRING}"
    elif age and attempts.failures:
        found = f"{found}; {_told(attempts)}"
    alarm = bool(fault or age) or (not from_acme or attempts.failures >= _ALARM_FAILURES) and bool(lacks)
    return {**row, "state": ISSUED if fault else SERVED, "problem": found, "alarm": alarm}


def _is_for(details: x509.Details, domain: str, from_acme: bool) -> bool:
    """What is ordered has each name; in one that somebody brings a wildcard is enough."""
    return domain in details.domains if from_acme else own_certificates.covers(details.domains, domain)


def _told(attempts: certificate_attempts.Attempts) -> str:
    """What is known of the last attempt, and what comes next."""
    if not attempts.failures:
        return "run site.yml"
    times = "" if attempts.failures == 1 else f" ({attempts.failures} times in a row)"
    return f"its {attempts.step} failed{times}: {attempts.reason}. Asked again after {utc(attempts.next)}"


def age_problem(details: x509.Details, now: float, remedy: str) -> str | None:
    """That a certificate has expired, or should have been renewed by now."""
    left = details.expires - now
    if left <= 0:
        return "it has expired"
    if certificate_due.is_alarming(details.starts, details.expires, now):
        return f"it ends in {left / 86400:.1f} days and was not renewed: {remedy}"
    return None


def deploy_lineage(live_dir: str) -> bool | None:
    """Deploy what certbot has renewed; None when no site of this host uses it.

    A site that is not asked for any more is served with it as long as its links lead to it.
    """
    live_dir = live_dir.rstrip("/")
    name = os.path.basename(live_dir)
    if live_dir != certbot_lineage.live_dir(name):
        return None
    settings = certificate_settings.load()
    site = next((site for site in settings.sites if site.name == name), None) if settings else None
    if site is None:
        details = x509.read(os.path.join(live_dir, "cert.pem"))
        names = list(details.domains) if details else []
        served = next((site for site in certificate_sites.load() or [] if site.name == name), None)
        site = served or Wanted(name, names, os.path.join(CERTIFICATES_DIR, name))
        if not certificate_deploy.is_current(site, live_dir):
            return None
    return certificate_deploy.deploy(site, live_dir)

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bring a host's certificates to what is wanted of them: read, decide, ask for what is missing, serve, prove."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from . import acme_preflight, certbot, certbot_lineage, certificate_deploy, unit_control, units, x509
from .certificates import Wanted
from .errors import RingstandError

RENEWAL_SERVICE = "certbot.service"


@dataclass
class Outcome:
    """What was found about one certificate and what was done (in check mode: would be done)."""

    reasons: list[str] = field(default_factory=list)
    issued: bool = False
    deployed: bool = False
    set_aside: str = ""
    failure: str = ""
    details: x509.Details | None = None

    @property
    def changed(self) -> bool:
        """Whether anything on the host was changed."""
        return self.issued or self.deployed or bool(self.set_aside)

    def as_dict(self) -> dict[str, Any]:
        """For programs; it holds nothing secret."""
        details = self.details
        return {
            "reasons": self.reasons,
            "issued": self.issued,
            "deployed": self.deployed,
            "set_aside": self.set_aside,
            "serial": details.serial if details else None,
            "domains": list(details.domains) if details else [],
        }


def ensure_timer(timer: str, check: bool) -> bool:
    """Let the distribution's timer renew, enabled and running; return whether that had to be changed."""
    wanted = [units.Wanted(timer, enabled=True, masked=False, state=units.STARTED), units.Wanted(RENEWAL_SERVICE)]
    control = unit_control.Control(wanted, timeout_seconds=60, settle_seconds=0)
    try:
        outcomes = control.predict() if check else control.apply()
    except RingstandError as error:
        raise RingstandError(
            f"{error.message}. The package certbot of Debian and Ubuntu has this timer; without it nothing would renew "
            "the certificates.",
            **error.details,
        ) from error
    return any(outcome.actions for outcome in outcomes.values())


def ensure(sites: Sequence[Wanted], client: certbot.Client, check: bool) -> dict[str, Outcome]:
    """All certificates, one after the other; the failure of one keeps no other from its turn."""
    outcomes = {}
    for site in sites:
        outcomes[site.name] = outcome = Outcome()
        try:
            _ensure_one(site, client, check, outcome)
        except (RingstandError, OSError) as error:
            outcome.failure = error.message if isinstance(error, RingstandError) else str(error)
    return outcomes


def others(sites: Sequence[Wanted]) -> list[str]:
    """Certificates that certbot renews for this program although no site wants them any more."""
    wanted = {site.name for site in sites}
    found = []
    for name in certbot_lineage.names():
        if name in wanted:
            continue
        try:
            if certbot_lineage.read(name).hook == certbot_lineage.DEPLOY_HOOK:
                found.append(name)
        except RingstandError:  # kept somewhere else: somebody else's
            continue
    return found


def _ensure_one(site: Wanted, client: certbot.Client, check: bool, outcome: Outcome) -> None:
    lineage = certbot_lineage.read(site.name)
    linked = certificate_deploy.is_current(site, lineage.live_dir)
    whole = lineage.state == certbot_lineage.WHOLE
    if whole and not linked and lineage.hook != certbot_lineage.DEPLOY_HOOK:
        raise RingstandError(
            f"certbot has a certificate of this name that was not made here (see `certbot certificates`); "
            f"delete it with `certbot delete --cert-name {site.name}`, or name the site differently"
        )
    outcome.details = lineage.details
    outcome.reasons = certbot_lineage.reasons(lineage, site.domains, client.renewal)
    if outcome.reasons:
        outcome.issued = True
        if not check:
            outcome.issued = False
            _issue(site, client, lineage, outcome)
    elif not linked or certificate_deploy.not_served(lineage.details, site.domains):  # type: ignore[arg-type]
        outcome.reasons = ["it is not served"]
    outcome.deployed = bool(outcome.reasons)
    if outcome.deployed and not check:
        outcome.deployed = False
        certificate_deploy.deploy(site, lineage.live_dir)
        outcome.deployed = True


def _issue(site: Wanted, client: certbot.Client, lineage: certbot_lineage.Lineage, outcome: Outcome) -> None:
    fault = acme_preflight.fault(client.renewal.webroot, site.domains)
    if fault:
        raise RingstandError(fault)
    if lineage.state == certbot_lineage.BROKEN:
        outcome.set_aside = certbot_lineage.set_aside(site.name)
    certbot.issue(client, site.name, site.domains, replaces=lineage.state == certbot_lineage.WHOLE)
    outcome.issued = True
    outcome.details = x509.read(os.path.join(lineage.live_dir, "cert.pem"))

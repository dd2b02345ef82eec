# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bring a host's certificates to what is wanted of them: read, decide, ask for what is missing, serve, prove."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import (
    certbot,
    certbot_lineage,
    certificate_attempts,
    certificate_deploy,
    certificate_due,
    certificate_order,
    x509,
)
from .certbot_lineage import Lineage
from .certificate_attempts import Memory
from .certificates import Wanted
from .errors import RingstandError


@dataclass
class Outcome:
    """What was found about one certificate and what was done (in check mode: would be done)."""

    reasons: list[str] = field(default_factory=list)
    issued: bool = False
    deployed: bool = False
    waits: bool = False
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


@dataclass(frozen=True)
class Run:
    """One run over the certificates. ``by_timer`` renews what is due, and asks nobody before it is time to.

    When a person has started it, only a rate limit keeps it from asking: the cause of other failures may be mended.
    ``forced`` is the certificate that this person wants to have renewed in any case. ``refused`` says why some must not
    be ordered.
    """

    client: certbot.Client
    memory: Memory
    by_timer: bool = False
    check: bool = False
    forced: str = ""
    refused: Mapping[str, str] = field(default_factory=dict)

    def orders(self, sites: Sequence[Wanted]) -> list[Wanted]:
        """Those that will be ordered. What fails for one, fails again when it has its turn."""
        found = []
        for site in sites:
            with contextlib.suppress(RingstandError, OSError):
                if self._reasons(site, certbot_lineage.read(site.name)) and not self._must_wait(site):
                    found.append(site)
        return found

    def ensure(self, sites: Sequence[Wanted]) -> dict[str, Outcome]:
        """All certificates, one after the other; the failure of one keeps no other from its turn."""
        outcomes = {}
        for site in sites:
            outcomes[site.name] = outcome = Outcome()
            try:
                self._ensure_one(site, outcome)
            except (RingstandError, OSError) as error:
                outcome.failure = error.message if isinstance(error, RingstandError) else str(error)
        return outcomes

    def _ensure_one(self, site: Wanted, outcome: Outcome) -> None:
        lineage = certbot_lineage.read(site.name)
        linked = certificate_deploy.is_current(site, lineage.live_dir)
        whole = lineage.state == certbot_lineage.WHOLE
        if whole and not linked and lineage.hook != certbot_lineage.DEPLOY_HOOK:
            raise RingstandError(
                f"certbot has a certificate of this name that was not made here (see `certbot certificates`); "
                f"delete it with `certbot delete --cert-name {site.name}`, or name the site differently"
            )
        outcome.details = lineage.details
        outcome.reasons = self._reasons(site, lineage)
        outcome.waits = bool(outcome.reasons) and self._must_wait(site)
        if outcome.reasons and not outcome.waits:
            outcome.issued = True
            if not self.check:
                outcome.issued = False
                self._order(site, lineage, outcome)
        if not whole and not outcome.issued:
            return
        served = linked and not outcome.issued and lineage.details is not None
        if served and not certificate_deploy.not_served(lineage.details, site.domains):  # type: ignore[arg-type]
            return
        outcome.reasons = outcome.reasons or ["it is not served"]
        outcome.deployed = True
        if not self.check:
            outcome.deployed = False
            certificate_deploy.deploy(site, lineage.live_dir)
            outcome.deployed = True

    def _reasons(self, site: Wanted, lineage: Lineage) -> list[str]:
        reasons = certbot_lineage.reasons(lineage, site.domains, self.client.renewal, dns_plugin=site.dns_plugin)
        if reasons or lineage.details is None:
            return reasons
        if self.forced == site.name:
            return ["its renewal was asked for"]
        return ["it is time to renew it"] if self.by_timer and is_due(lineage.details, self.memory, site.name) else []

    def _must_wait(self, site: Wanted) -> bool:
        attempts = self.memory.of(site.name).about(certificate_order.subject(self.client, site))
        if self.check or not attempts.waits(time.time()):
            return False
        if self.by_timer:
            return True
        if attempts.kind != certbot.RATE_LIMIT:
            return False
        until = certificate_attempts.utc(attempts.next)
        raise RingstandError(f"{attempts.reason}. It is not asked again before {until}, and then by the timer")

    def _order(self, site: Wanted, lineage: Lineage, outcome: Outcome) -> None:
        attempts = self.memory.of(site.name).about(certificate_order.subject(self.client, site))
        try:
            if site.name in self.refused:
                raise RingstandError(self.refused[site.name], step=certificate_attempts.PREFLIGHT)
            certificate_order.prepare(self.client, site, lineage, attempts)
            if lineage.state == certbot_lineage.BROKEN:
                outcome.set_aside = certbot_lineage.set_aside(site.name)
            certbot.issue(self.client, site, replaces=lineage.state == certbot_lineage.WHOLE)
        except (RingstandError, OSError) as error:
            left = lineage.details.expires - time.time() if lineage.details else 0.0
            attempts.failed(error, left, time.time())
            certificate_attempts.save(self.memory)
            raise
        outcome.issued = True
        attempts.succeeded(time.time())
        certificate_attempts.save(self.memory)
        outcome.details = x509.read(os.path.join(lineage.live_dir, "cert.pem"))


def is_due(details: x509.Details, memory: Memory, name: str) -> bool:
    """Whether a certificate has to be renewed now."""
    return time.time() >= due_at(details, memory, name)


def due_at(details: x509.Details, memory: Memory, name: str) -> float:
    """When a certificate has to be renewed."""
    attempts = memory.certificates.get(name)
    window = attempts.window(details.serial) if attempts else None
    return certificate_due.renewal_time(details.starts, details.expires, details.serial, window)


def others(sites: Sequence[Wanted], ended: Sequence[str] = ()) -> list[str]:
    """Certificates that are renewed although no site wants them any more; not those whose renewal was ``ended``."""
    wanted = {site.name for site in sites} | set(ended)
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

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the timer runs: renew what is due, get what could not be got before, and raise the alarm in time."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Sequence
from typing import Any

from . import (
    certbot,
    certbot_lineage,
    certbot_run,
    certificate_attempts,
    certificate_order,
    certificate_settings,
    certificate_state,
    renewal_information,
    webhook,
)
from .certbot_run import Outcome
from .certificate_attempts import Memory
from .certificate_due import DAY_SECONDS
from .certificate_settings import Settings
from .certificates import Wanted
from .errors import RingstandError

TIMER = "ringstand-certificates.timer"


def renew(name: str = "") -> dict[str, Outcome]:
    """One run over all certificates of this host, or over the one ``name``, which is renewed in any case."""
    settings = certificate_settings.load()
    if settings is None:
        return {}
    sites = [site for site in settings.sites if name in ("", site.name)]
    if name and not sites:
        known = ", ".join(site.name for site in settings.sites)
        raise RingstandError(f"Failed to renew {name}: this host has no such certificate. It has {known or 'none'}")
    with certificate_attempts.held() as memory:
        if name:
            return certbot_run.Run(settings.client, memory, forced=name).ensure(sites)
        _ask_authority(settings, memory)
        outcomes = certbot_run.Run(settings.client, memory, by_timer=True).ensure(sites)
        for other in certbot_run.others(sites, memory.ended):
            outcomes[other] = _renew_other(other, settings.client, memory)
    return outcomes


def _ask_authority(settings: Settings, memory: Memory) -> None:
    """Bring the windows that the authority suggests up to date."""
    for site in settings.sites:
        with contextlib.suppress(RingstandError):
            details = certbot_lineage.read(site.name).details
            attempts, now = memory.of(site.name), time.time()
            if details is None or details.expires <= now:  # RFC 9773, 4.3: not for one that has expired
                continue
            if attempts.window_serial == details.serial and now < attempts.window_next <= now + DAY_SECONDS:
                continue
            client = settings.client
            window, asked = renewal_information.ask(
                client.renewal.directory_url, details.der, client.ca_bundle_path, now
            )
            kept = attempts.window(details.serial)
            window = window or kept
            attempts.window_serial, attempts.window_next = details.serial, asked
            attempts.window_start, attempts.window_end = (window.start, window.end) if window else (0, 0)


def _renew_other(name: str, client: certbot.Client, memory: Memory) -> Outcome:
    """Renew what no site asks for any more, for the names that are in it."""
    outcome = Outcome()
    try:
        lineage = certbot_lineage.read(name)
        details = outcome.details = lineage.details
        if details is None or not certbot_run.is_due(details, memory, name):
            return outcome
        plugin = lineage.settings.get("authenticator", "").partition("dns-")[2]
        site = Wanted(name, details.domains, "", plugin)
        attempts = memory.of(name).about(certificate_order.subject(client, site))
        outcome.reasons, outcome.waits = ["it is time to renew it"], attempts.waits(time.time())
        if outcome.waits:
            return outcome
        try:
            certbot.issue(client, site, replaces=True)
        except RingstandError as error:
            attempts.failed(error, details.expires - time.time(), time.time())
            raise
        attempts.succeeded(time.time())
        outcome.issued = True
        outcome.deployed = bool(certificate_state.deploy_lineage(lineage.live_dir))
    except (RingstandError, OSError) as error:
        outcome.failure = error.message if isinstance(error, RingstandError) else str(error)
    return outcome


def raise_alarm(rows: Sequence[dict[str, Any]], now: float | None = None) -> list[str]:
    """Tell the webhook of each certificate that somebody has to see to, once a day; return what could not be told."""
    now = time.time() if now is None else now
    try:
        with open(certificate_settings.WEBHOOK_PATH, encoding="utf-8") as stream:
            url = stream.read().strip()
    except FileNotFoundError:
        return []
    problems = []
    with certificate_attempts.held() as memory:
        for row in (row for row in rows if row["alarm"]):
            attempts = memory.of(row["site"])
            if url and not 0 <= now - attempts.alarmed < DAY_SECONDS:
                host = socket.gethostname()
                text = f"Certificate of {row['site']} on {host}: {row['problem']}"
                body = {"text": text, "event": "certificate", "host": host, "at": certificate_attempts.utc(now)}
                keys = ("site", "state", "domains", "expires", "problem")
                reason = webhook.post(url, {**body, **{key: row[key] for key in keys}})
                if reason:
                    problems.append(f"The webhook was not told about {row['site']}: {reason}.")
                else:
                    attempts.alarmed = now
    return problems

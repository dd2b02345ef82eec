# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Get a certificate with certbot, and say in its own words why it could not."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

from . import commands
from .certbot_lineage import DEPLOY_HOOK, Renewal
from .errors import RingstandError

TIMEOUT_SECONDS = 300.0
# A client may be told "bad nonce" at any request; certbot repeats the request once, and a whole order has about ten.
NONCE_ATTEMPTS = 6
LOCK_SECONDS = 60.0
LOG_PATH = "/var/log/letsencrypt/letsencrypt.log"
_LOG_BYTES = 20_000
# What certbot 2.1 (Debian 12) prints instead of the authority's answer: its error objects take no traceback.
_MASKED = "AttributeError: can't set attribute"
_LOCK_POLL_SECONDS = 3.0

LOCKED, NONCE, RATE_LIMIT, CHALLENGE, UNREACHABLE, OTHER = (
    *("locked", "nonce", "rate limit", "challenge", "unreachable"),
    "other",
)
# In this order: a failed challenge can have a cause that reads like an unreachable authority.
_SIGNS = (
    (LOCKED, r"Another instance of Certbot is already running"),
    (NONCE, r"badNonce|anti-replay nonce"),
    (RATE_LIMIT, r"acme:error:rateLimited|[Rr]ate limit|too many (certificates|failed authorizations|new orders)"),
    (CHALLENGE, r"Certbot failed to authenticate some domains|Some challenges have failed|Challenge failed for domain"),
    (
        UNREACHABLE,
        r"Max retries exceeded|NewConnectionError|Connection refused|Connection reset|ConnectTimeout|ReadTimeout"
        r"|[Nn]ame resolution|Name or service not known|CERTIFICATE_VERIFY_FAILED|Network is unreachable"
        r"|Requesting \S+: |Remote end closed connection|Server Error for url",
    ),
)
_PROBLEM = re.compile(r"Domain: *(\S+)\s+Type: *(\S+)\s+Detail: *(.+?)(?=\n\s*\n|\n\s*Domain:|\nHint:|\Z)", re.DOTALL)
_NOISE = re.compile(
    r"^(Saving debug log|Ask for help|See the logfile|Plugins selected|Requesting a certificate|Renewing an existing"
    r"|Account registered|Performing the following|Waiting for verification|Cleaning up challenges"
    r"|http-01 challenge for|Using the webroot path|- - -|$)"
)


@dataclass(frozen=True)
class Client:
    """How this host talks to its certificate authority; ``email`` and ``ca_bundle_path`` may be empty."""

    renewal: Renewal
    email: str = ""
    ca_bundle_path: str = ""


def arguments(client: Client, name: str, domains: Sequence[str], replaces: bool) -> list[str]:
    """The command line. ``replaces`` says that certbot has a certificate of that name, so that it never has to ask."""
    argv = ["certbot", "certonly", "--non-interactive", "--agree-tos", "--cert-name", name]
    argv += ["--server", client.renewal.directory_url, "--key-type", client.renewal.key_type]
    argv += ["--email", client.email, "--no-eff-email"] if client.email else ["--register-unsafely-without-email"]
    argv += ["--webroot", "--webroot-path", client.renewal.webroot, "--deploy-hook", DEPLOY_HOOK]
    if replaces:
        argv += ["--force-renewal", "--renew-with-new-domains"]
    for domain in domains:
        argv += ["--domain", domain]
    return argv


def issue(client: Client, name: str, domains: Sequence[str], replaces: bool) -> None:
    """Get a certificate. Raises RingstandError with the reason; a challenge that failed is never tried again here."""
    argv = arguments(client, name, domains, replaces)
    environment = {"REQUESTS_CA_BUNDLE": client.ca_bundle_path} if client.ca_bundle_path else {}
    deadline = time.monotonic() + LOCK_SECONDS
    attempts = 0
    while True:
        run = commands.run(argv, TIMEOUT_SECONDS, environment)
        if run.rc == 0:
            return
        output = f"{run.stdout}\n{run.stderr}"
        if _MASKED in output:
            output = last_problem(_log()) or output
        kind = OTHER if run.rc in (124, 127) else classify(output)
        attempts += kind == NONCE
        if kind == LOCKED and time.monotonic() < deadline:
            time.sleep(_LOCK_POLL_SECONDS)
        elif kind != NONCE or attempts >= NONCE_ATTEMPTS:
            raise RingstandError(explain(kind, output, client.renewal.directory_url), kind=kind)


def _log() -> str:
    """The end of the log of certbot's last run, where each run begins a new file."""
    try:
        with open(LOG_PATH, "rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - _LOG_BYTES))
            return stream.read().decode(errors="replace")
    except FileNotFoundError:
        return ""


def last_problem(log: str) -> str:
    """The last problem document that a log of certbot tells of, such as badNonce; empty when there is none."""
    return (["", *re.findall(r"urn:ietf:params:acme:error:\w+[^\n]*", log)])[-1]


def classify(output: str) -> str:
    """What kind of failure certbot's output tells of."""
    return next((kind for kind, signs in _SIGNS if re.search(signs, output)), OTHER)


def explain(kind: str, output: str, directory_url: str) -> str:
    """One sentence for people, with certbot's own words."""
    said = commands.redact(" ".join(line.strip() for line in output.splitlines() if not _NOISE.match(line.strip())))
    said = said if len(said) <= 600 else f"{said[:300]} … {said[-300:]}"
    if kind == LOCKED:
        return f"another certbot has been running for more than {LOCK_SECONDS:g} s; run this again when it has ended"
    if kind == NONCE:
        return f"{directory_url} refused the nonce of {NONCE_ATTEMPTS} attempts in a row: {said}"
    if kind == RATE_LIMIT:
        return f"{directory_url} has a rate limit that is reached; wait as long as it says: {said}"
    if kind == UNREACHABLE:
        return f"{directory_url} cannot be reached, or is not trusted: {said}"
    if kind == CHALLENGE:
        found = [
            f"{domain} ({type_}): {' '.join(detail.split())}" for domain, type_, detail in _PROBLEM.findall(output)
        ]
        return (
            f"{directory_url} could not verify {'; '.join(found) or said}. "
            "Does each domain lead to this host, and does port 80 reach it from outside?"
        )
    return f"certbot failed: {said}"

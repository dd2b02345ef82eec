# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Get a certificate with certbot, and say in its own words why it could not."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from . import certbot_dns, certificate_due, commands
from .certbot_lineage import DEPLOY_HOOK, Renewal, set_account_aside
from .certificates import Wanted
from .errors import RingstandError

TIMEOUT_SECONDS = 300.0
# A client may be told "bad nonce" at any request; certbot repeats the request once, and a whole order has about ten.
NONCE_ATTEMPTS = 6
LOCK_SECONDS = 60.0
LOG_PATH = "/var/log/letsencrypt/letsencrypt.log"
_LOG_BYTES = 20_000
# The first one with --required-profile.
PROFILE_VERSION = (4, 0)
# What certbot 2.1 (Debian 12) prints instead of the authority's answer: its error objects take no traceback.
_MASKED = "AttributeError: can't set attribute"
_LOCK_POLL_SECONDS = 3.0

LOCKED, NONCE, RATE_LIMIT, ACCOUNT, CHALLENGE, UNREACHABLE, OTHER = KINDS = (
    *("locked", "nonce", "rate limit", "account", "challenge", "unreachable"),
    "other",
)
# In this order: a failed challenge can have a cause that reads like an unreachable authority.
_SIGNS = (
    (LOCKED, r"Another instance of Certbot is already running"),
    (NONCE, r"badNonce|anti-replay nonce"),
    (RATE_LIMIT, r"acme:error:rateLimited|[Rr]ate limit|too many (certificates|failed authorizations|new orders)"),
    (ACCOUNT, r"acme:error:accountDoesNotExist"),
    (CHALLENGE, r"Certbot failed to authenticate some domains|Some challenges have failed|Challenge failed for domain"),
    (
        UNREACHABLE,
        r"Max retries exceeded|NewConnectionError|Connection refused|Connection reset|ConnectTimeout|ReadTimeout"
        r"|[Nn]ame resolution|Name or service not known|CERTIFICATE_VERIFY_FAILED|Network is unreachable"
        r"|Requesting \S+: |Remote end closed connection|Server Error for url",
    ),
)
# From 5.3 on they say identifier, because it may be an address.
_PROBLEM = re.compile(
    r"(?:Domain|Identifier): *(\S+)\s+Type: *(\S+)\s+Detail: *(.+?)(?=\n\s*\n|\n\s*(?:Domain|Identifier):|\nHint:|\Z)",
    re.DOTALL,
)
# In a traceback, of the exception that was caught.
_CAUSE = re.compile(r"^[\w.]+: ([^\n]+)\n\n(?:During handling of the above|The above exception was the)", re.MULTILINE)
_NOISE = re.compile(
    r"^(Saving debug log|Ask for help|See the logfile|Plugins selected|Requesting a certificate|Renewing an existing"
    r"|Account registered|Performing the following|Waiting for verification|Cleaning up challenges"
    r"|http-01 challenge for|Using the webroot path|- - -|$)"
)


@dataclass(frozen=True)
class Client:
    """How this host talks to its certificate authority. All but ``renewal`` and ``program`` may be empty.

    ``config_path`` is a file with what must not be in a command line: the binding of the account to one outside.
    ``staging_url`` is the directory for a rehearsal, and ``profile`` the authority's name of a kind of certificate.
    ``propagation_seconds`` is how long a plugin for DNS, by its name, waits until its records are everywhere.
    """

    renewal: Renewal
    email: str = ""
    ca_bundle_path: str = ""
    program: str = "certbot"
    config_path: str = ""
    staging_url: str = ""
    profile: str = ""
    propagation_seconds: Mapping[str, int] = field(default_factory=dict)

    def environment(self, site: Wanted) -> dict[str, str]:
        """What certbot has to find in its environment."""
        trust = {"REQUESTS_CA_BUNDLE": self.ca_bundle_path} if self.ca_bundle_path else {}
        return {**trust, **certbot_dns.environment(site.dns_plugin)}

    def timeout_seconds(self, site: Wanted) -> float:
        """How long an order may take."""
        waited = self.propagation_seconds.get(site.dns_plugin)
        return TIMEOUT_SECONDS + certbot_dns.wait_seconds(site.dns_plugin, waited)


def check_abilities(client: Client) -> None:
    """Raise RingstandError when the installed certbot cannot do what is asked of it."""
    if not client.profile:
        return
    found = re.search(r"(\d+)\.(\d+)", commands.run([client.program, "--version"]).stdout)
    if not found:
        raise RingstandError(f"Failed to ask {client.program} for its version: is it installed?")
    if (int(found[1]), int(found[2])) < PROFILE_VERSION:
        least = ".".join(map(str, PROFILE_VERSION))
        raise RingstandError(
            f"Failed to ask for the profile {client.profile!r}: certbot {found[0]} has no profiles, {least} and newer "
            "have. Set certbot_source to virtual_environment, or remove certbot_profile. Nothing was ordered."
        )


def arguments(client: Client, site: Wanted, replaces: bool, rehearsal: bool = False) -> list[str]:
    """The command line. ``replaces`` says that certbot has a certificate of that name, so that it never has to ask.

    A rehearsal goes through everything with the staging directory and keeps nothing.
    """
    argv = [client.program, "certonly", "--non-interactive", "--agree-tos", "--cert-name", site.name]
    argv += ["--server", client.staging_url if rehearsal else client.renewal.directory_url]
    argv += ["--key-type", client.renewal.key_type]
    argv += ["--email", client.email, "--no-eff-email"] if client.email else ["--register-unsafely-without-email"]
    argv += ["--required-profile", client.profile] if client.profile else []
    if site.dns_plugin:
        argv += certbot_dns.arguments(site.dns_plugin, client.propagation_seconds.get(site.dns_plugin))
    else:
        argv += ["--webroot", "--webroot-path", client.renewal.webroot]
    if rehearsal:
        argv += ["--dry-run"]
    else:
        # Its own timer would renew by the rules of its version; `ringstand certificate renew` has the same for all.
        argv += ["--deploy-hook", DEPLOY_HOOK, "--no-autorenew"]
        argv += ["--config", client.config_path] if client.config_path else []
    if replaces:
        argv += ["--force-renewal", "--renew-with-new-domains"]
    for domain in site.domains:
        argv += ["--domain", domain]
    return argv


def issue(client: Client, site: Wanted, replaces: bool) -> None:
    """Get a certificate. Raises RingstandError with the reason; a challenge that failed is never tried again here."""
    _run(client, site, arguments(client, site, replaces), client.renewal.directory_url)


def rehearse(client: Client, site: Wanted, replaces: bool) -> None:
    """Go through an order with the staging directory. Raises RingstandError with the reason like :func:`issue`."""
    _run(client, site, arguments(client, site, replaces, rehearsal=True), client.staging_url)


def _run(client: Client, site: Wanted, argv: Sequence[str], directory_url: str) -> None:
    """Run certbot until it has done it or a repetition would not help.

    The details of an error are its ``kind``, ``rate_limited`` and ``retry_at``, when the authority has said it.
    """
    deadline = time.monotonic() + LOCK_SECONDS
    nonces, account_is_new = 0, False
    while True:
        before = _log_size()
        run = commands.run(argv, client.timeout_seconds(site), client.environment(site))
        if run.rc == 0:
            return
        output, log = f"{run.stdout}\n{run.stderr}", _log(before)
        if _MASKED in output:
            output = last_problem(log) or output
        kind = OTHER if run.rc in (124, 127) else classify(output)
        if kind == OTHER:
            # Newer ones print what the authority says, but not its type, which the log has.
            kind = classify(last_problem(log))
            output += f"\n{hidden_cause(output, log)}"
        nonces += kind == NONCE
        if kind == LOCKED and time.monotonic() < deadline:
            time.sleep(_LOCK_POLL_SECONDS)
        elif kind == ACCOUNT and not account_is_new:
            # The authority has forgotten it; certbot would go on with it for ever.
            account_is_new = set_account_aside(directory_url) != ""
            if not account_is_new:
                raise _failed(kind, output, log, directory_url, site)
        elif kind != NONCE or nonces >= NONCE_ATTEMPTS:
            raise _failed(kind, output, log, directory_url, site)


def _failed(kind: str, output: str, log: str, directory_url: str, site: Wanted) -> RingstandError:
    limited = kind == RATE_LIMIT
    told = certificate_due.told_time(f"{output}\n{log}", time.time()) if limited else None
    text = explain(kind, output, directory_url, site.dns_plugin)
    return RingstandError(text, kind=kind, rate_limited=limited, retry_at=told)


def _log_size() -> int:
    try:
        return os.stat(LOG_PATH).st_size
    except FileNotFoundError:
        return 0


def _log(before: int) -> str:
    """The end of what certbot's last run has logged; ``before`` it the log had that size.

    Each run begins a new file, or not, as on Debian and Ubuntu, which rotate it by themselves.
    """
    try:
        with open(LOG_PATH, "rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(before if size >= before else 0, size - _LOG_BYTES))
            return stream.read().decode(errors="replace")
    except FileNotFoundError:
        return ""


def last_problem(log: str) -> str:
    """The last problem document that a log of certbot tells of, such as badNonce; empty when there is none."""
    return (["", *re.findall(r"urn:ietf:params:acme:error:\w+[^\n]*", log)])[-1]


def hidden_cause(output: str, log: str) -> str:
    """What led to the error that certbot prints, by its log; empty when there is nothing, or it prints that too.

    Before 2.0 it prints that it cannot register an account, and not why.
    """
    cause = (["", *_CAUSE.findall(log)])[-1]
    return "" if cause in output else cause


def classify(output: str) -> str:
    """What kind of failure certbot's output tells of."""
    return next((kind for kind, signs in _SIGNS if re.search(signs, output)), OTHER)


def explain(kind: str, output: str, directory_url: str, dns_plugin: str = "") -> str:
    """One sentence for people, with certbot's own words."""
    said = commands.redact(" ".join(line.strip() for line in output.splitlines() if not _NOISE.match(line.strip())))
    said = said if len(said) <= 600 else f"{said[:300]} … {said[-300:]}"
    if kind == LOCKED:
        return f"another certbot has been running for more than {LOCK_SECONDS:g} s; run this again when it has ended"
    if kind == NONCE:
        return f"{directory_url} refused the nonce of {NONCE_ATTEMPTS} attempts in a row: {said}"
    if kind == RATE_LIMIT:
        return f"{directory_url} has a rate limit that is reached; wait as long as it says: {said}"
    if kind == ACCOUNT:
        return f"{directory_url} does not know this host's account, and no new one could be made: {said}"
    if kind == UNREACHABLE:
        return f"{directory_url} cannot be reached, or is not trusted: {said}"
    if kind == CHALLENGE:
        found = [
            f"{domain} ({type_}): {' '.join(detail.split())}" for domain, type_, detail in _PROBLEM.findall(output)
        ]
        ask = "Does each domain lead to this host, and does port 80 reach it from outside?"
        if dns_plugin:
            ask = (
                "Does the world ask the name servers that the plugin changes, and have they all changed after "
                f"certbot_dns_propagation_seconds.{dns_plugin}?"
            )
        return f"{directory_url} could not verify {'; '.join(found) or said}. {ask}"
    return f"certbot failed: {said}"

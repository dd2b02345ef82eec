# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The certificates of a host's sites, as files and as served."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from . import certbot_lineage, certificate_deploy, links, x509
from .certificates import CHAIN, CURRENT, PREFIX, Wanted
from .errors import RingstandError

SETTINGS_PATH = "/etc/ringstand/certbot.json"
CERTIFICATES_DIR = "/etc/ringstand/certificates"
SCHEMA = 1
PLACEHOLDER, ISSUED, SERVED, MISSING = "placeholder", "issued", "served", "missing"
# Renewal starts with a third of the lifetime left, and is tried twice a day.
_OVERDUE_SHARE = 0.25


def load_wanted(path: str = SETTINGS_PATH) -> list[Wanted]:
    """The certificates that certbot shall have on this host, as its role wrote them; none where it did not run."""
    try:
        with open(path, encoding="utf-8") as handle:
            settings = json.load(handle)
        if settings["schema"] != SCHEMA:
            raise RingstandError(f"Failed to read {path}: its schema is {settings['schema']}, not {SCHEMA}")
        return [Wanted(item["name"], item["domains"], item["dir"]) for item in settings["certificates"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RingstandError(f"Failed to read {path}: {error!r}. Run site.yml or the role certbot again.") from error


def all_states(now: float | None = None) -> list[dict[str, Any]]:
    """One row per site, by name; those of certbot first asked for, then every other directory of certificates."""
    wanted = {site.name: site for site in load_wanted()}
    rows = [site_state(site, True, now) for site in wanted.values()]
    taken = {site.directory for site in wanted.values()}
    names = sorted(os.listdir(CERTIFICATES_DIR)) if os.path.isdir(CERTIFICATES_DIR) else []
    for name in names:
        directory = os.path.join(CERTIFICATES_DIR, name)
        if directory not in taken and os.path.isdir(directory):
            rows.append(site_state(Wanted(name, [], directory), False, now))
    return sorted(rows, key=lambda row: str(row["site"]))


def site_state(site: Wanted, from_acme: bool, now: float | None = None) -> dict[str, Any]:
    """``site``, ``state``, ``domains``, ``serial``, ``expires`` (ISO 8601 in UTC) and ``problem`` (text or None).

    States: placeholder (self-signed), issued (a real certificate that is not served), served, missing.
    """
    details = x509.read(os.path.join(site.directory, CHAIN))
    row: dict[str, Any] = {"site": site.name, "domains": list(site.domains), "serial": None, "expires": None}
    if details is None:
        return {**row, "state": MISSING, "problem": f"{site.directory}/{CHAIN} cannot be read; run site.yml"}
    domains = list(site.domains) or [name for name in details.domains if "*" not in name]
    expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(details.expires))
    row.update(domains=domains, serial=details.serial, expires=expires)
    if (links.target_of(os.path.join(site.directory, CURRENT)) or "").startswith(PREFIX):
        problem = "a certificate is wanted and there is none yet; run site.yml" if from_acme else None
        return {**row, "state": PLACEHOLDER, "problem": problem}
    fault = certificate_deploy.not_served(details, domains)
    return {**row, "state": ISSUED if fault else SERVED, "problem": fault or _age_problem(details, now)}


def _age_problem(details: x509.Details, now: float | None) -> str | None:
    left = details.expires - (time.time() if now is None else now)
    if left <= 0:
        return "it has expired"
    if left < (details.expires - details.starts) * _OVERDUE_SHARE:
        return f"it ends in {left / 86400:.1f} days and was not renewed: see journalctl -u certbot.service"
    return None


def deploy_lineage(live_dir: str) -> bool | None:
    """Deploy what certbot has renewed; None when no site of this host wants it."""
    name = os.path.basename(live_dir.rstrip("/"))
    site = next((site for site in load_wanted() if site.name == name), None)
    if site is None or live_dir.rstrip("/") != certbot_lineage.live_dir(name):
        return None
    return certificate_deploy.deploy(site, certbot_lineage.live_dir(name))

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What certbot has of a certificate (it calls that a lineage), and how it differs from what is wanted."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from . import x509
from .errors import RingstandError

ROOT = "/etc/letsencrypt"
# What certbot runs after each renewal.
DEPLOY_HOOK = "/usr/local/bin/ringstand certificate deploy"
MISSING, BROKEN, WHOLE = "missing", "broken", "whole"
_FILES = ("cert", "privkey", "chain", "fullchain")


@dataclass(frozen=True)
class Renewal:
    """How a certificate is got and renewed: the same for all of a host."""

    directory_url: str
    key_type: str
    webroot: str


@dataclass(frozen=True)
class Lineage:
    """One of certbot's certificates. ``fault`` says why it is broken; ``settings`` are those of its renewal."""

    name: str
    state: str
    fault: str = ""
    details: x509.Details | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    webroots: Sequence[str] = ()

    @property
    def live_dir(self) -> str:
        """The directory with the links to its files."""
        return live_dir(self.name)

    @property
    def hook(self) -> str:
        """The command that certbot runs after a renewal."""
        return self.settings.get("renew_hook") or self.settings.get("deploy_hook") or ""


def live_dir(name: str) -> str:
    """Where certbot keeps the links to the files of a certificate."""
    return os.path.join(ROOT, "live", name)


def parse_renewal(text: str) -> dict[str, dict[str, str]]:
    """The sections of a renewal configuration, by name; what stands before the first one is the section "".

    The format is ConfigObj's: ``[section]``, ``[[section within]]``, ``key = value``, comments with ``#``.
    """
    sections: dict[str, dict[str, str]] = {"": {}}
    current = sections[""]
    for line in (line.strip() for line in text.splitlines()):
        if line.startswith("["):
            current = sections.setdefault(line.strip("[] "), {})
        elif line and not line.startswith("#"):
            key, _equals, value = line.partition("=")
            current[key.strip().strip("'\"")] = value.strip().strip("'\"")
    return sections


def read(name: str) -> Lineage:
    """What certbot has under ``name``. Raises RingstandError when it keeps the files of that name somewhere else."""
    configuration = os.path.join(ROOT, "renewal", f"{name}.conf")
    remains = [path for path in remnants(name) if os.path.lexists(path)]
    if not remains:
        return Lineage(name, MISSING)
    try:
        with open(configuration, encoding="utf-8", errors="replace") as handle:
            sections = parse_renewal(handle.read())
    except OSError:
        return Lineage(name, BROKEN, f"{configuration} is missing beside {remains[0]}")
    settings, main = sections.get("renewalparams", {}), sections[""]
    paths = {kind: os.path.join(live_dir(name), f"{kind}.pem") for kind in _FILES}
    elsewhere = [main[kind] for kind in _FILES if kind in main and main[kind] != paths[kind]]
    if elsewhere:
        raise RingstandError(f"certbot keeps the files of {name} in {elsewhere[0]}, which was not made here")
    webroots = set(sections.get("webroot_map", {}).values()) or {settings.get("webroot_path", "").strip(", ")}
    details = x509.read(paths["cert"])
    fault = _fault(configuration, main, settings, paths, details)
    return Lineage(name, BROKEN if fault else WHOLE, fault, details, settings, sorted(webroots))


def remnants(name: str) -> list[str]:
    """All that certbot may have of a certificate."""
    return [
        os.path.join(ROOT, "renewal", f"{name}.conf"),
        live_dir(name),
        os.path.join(ROOT, "archive", name),
    ]


def _fault(
    configuration: str,
    main: Mapping[str, str],
    settings: Mapping[str, str],
    paths: Mapping[str, str],
    details: x509.Details | None,
) -> str:
    lacks = [key for key in _FILES if not main.get(key)] + [
        key for key in ("authenticator", "server") if key not in settings
    ]
    if lacks:
        return f"{configuration} lacks {', '.join(lacks)}"
    for path in paths.values():
        # certbot takes a lineage whose files are no links for damaged.
        if not os.path.islink(path) or not os.path.exists(path):
            return f"{path} is {'no link' if os.path.exists(path) else 'missing'}"
    if details is None:
        return f"{paths['cert']} is not a certificate"
    if not x509.is_pair(paths["fullchain"], paths["privkey"]):
        return f"{paths['privkey']} is not the key of {paths['fullchain']}"
    return ""


def reasons(
    lineage: Lineage, domains: Sequence[str], wanted: Renewal, now: float | None = None, dns_plugin: str = ""
) -> list[str]:
    """Why a certificate has to be got for ``domains``, in words; empty when the one that is there will do."""
    if lineage.state != WHOLE or lineage.details is None:
        return ["there is none" if lineage.state == MISSING else f"the one of certbot is broken: {lineage.fault}"]
    found = []
    has, wants = set(lineage.details.domains), set(domains)
    for names, verb in ((wants - has, "lacks"), (has - wants, "still names")):
        if names:
            found.append(f"it {verb} {', '.join(sorted(names))}")
    directory_url = lineage.settings.get("server", "")
    if directory_url != wanted.directory_url:
        found.append(f"it is from {directory_url}, not {wanted.directory_url}")
    if lineage.details.key_type != wanted.key_type:
        found.append(f"its key is {lineage.details.key_type}, not {wanted.key_type}")
    if lineage.details.expires <= (time.time() if now is None else now):
        found.append("it has expired")
    authenticator = lineage.settings.get("authenticator", "")
    if dns_plugin:
        if authenticator != f"dns-{dns_plugin}":
            found.append(f"its domains were proven by {authenticator}, not by dns-{dns_plugin}")
    elif authenticator != "webroot" or list(lineage.webroots) != [wanted.webroot]:
        found.append(f"it would be renewed by {authenticator} in {', '.join(lineage.webroots) or 'no directory'}")
    if lineage.hook != DEPLOY_HOOK:
        found.append("nginx would not learn of its renewal")
    return found


def set_aside(name: str, now: float | None = None) -> str:
    """Move what is left of a broken lineage out of certbot's way; return where it is.

    certbot would refuse the name, or take ``<name>-0001`` in its place. Nothing is deleted: keys may be among it.
    """
    target = _aside(name, now)
    for path in remnants(name):
        if os.path.lexists(path):
            kind = os.path.basename(os.path.dirname(path))
            os.rename(path, os.path.join(target, kind))
    return target


def set_account_aside(directory_url: str, now: float | None = None) -> str:
    """Move certbot's account with an authority out of its way; return where it is, empty when there is none."""
    address = urlsplit(directory_url)
    path = os.path.join(ROOT, "accounts", address.netloc, address.path.strip("/"))
    if not os.path.isdir(path):
        return ""
    target = _aside(f"account-{address.hostname}", now)
    os.rename(path, os.path.join(target, "account"))
    return target


def _aside(name: str, now: float | None) -> str:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    parent = os.path.join(ROOT, "ringstand-set-aside")
    os.makedirs(parent, mode=0o700, exist_ok=True)
    target = os.path.join(parent, f"{name}-{stamp}")
    os.mkdir(target, mode=0o700)
    return target


def names() -> list[str]:
    """The names of all certificates that certbot renews."""
    try:
        found = os.listdir(os.path.join(ROOT, "renewal"))
    except OSError:
        return []
    return sorted(name[: -len(".conf")] for name in found if name.endswith(".conf"))

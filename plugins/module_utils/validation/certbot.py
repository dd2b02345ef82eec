# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the certificates need that not every certbot can do, against the one that the host has or will have."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..certbot import PROFILE_VERSION
from .problems import Problems

VIRTUAL_ENVIRONMENT = "virtual_environment"
# Whose certbot is older than that; a test holds it against the versions in tests/contract/packages.yml.
WITHOUT_PROFILES = {"debian-12": "2.1.0", "ubuntu-22.04": "1.21.0", "ubuntu-24.04": "2.9.0"}
# Certbot's own plugins that can change nothing without a file. Others may take what they need from somewhere else.
WITH_CREDENTIALS = frozenset((
    *("cloudflare", "digitalocean", "dnsimple", "dnsmadeeasy", "gehirn", "linode", "luadns", "nsone", "ovh", "rfc2136"),
    "sakuracloud",
))  # fmt: skip
_PROFILE = "certbot_profile"
SOURCE, PATH, TEXT = "certbot_source", "certbot_requirements_path", "certbot_requirements"


def check_certbot(
    plugins: Sequence[tuple[str, Any]], values: Mapping[str, Any], facts: Mapping[str, Any], problems: Problems
) -> None:
    """``plugins`` are pairs of a path and a plugin for DNS, or None, of all certificates that certbot is to get.

    Among the values of the role's variables is the text of the requirements file, as ``certbot_requirements``, unless
    it could not be read, which is told already, or is not used.
    """
    if not plugins:
        return
    proven = [(path, str(plugin)) for path, plugin in plugins if plugin]
    given = values.get("certbot_dns_credentials")
    for path, plugin in proven:
        if plugin in WITH_CREDENTIALS and plugin not in (given if isinstance(given, dict) else ()):
            rule = "this plugin can change no record without credentials"
            problems.add(path, rule, f"Add certbot_dns_credentials.{plugin}, from a vault", plugin)
    if values.get(SOURCE) != VIRTUAL_ENVIRONMENT:
        _check_profile(values, *_distribution(facts), "Set certbot_source: virtual_environment, or remove it", problems)
    elif TEXT in values:
        requirements = str(values[TEXT])
        pinned = re.search(r"^certbot==(\S+)", requirements, re.MULTILINE)
        if not pinned:
            rule, remedy = "it does not pin certbot", "Make it with uv pip compile --generate-hashes, of certbot==5.8.0"
            problems.add(PATH, rule, remedy, values.get(PATH))
            return
        _check_profile(values, f"the certbot {pinned[1]} of {PATH}", pinned[1], "Name a newer one there", problems)
        for path, plugin in proven:
            # Those of others have names like certbot-plugin-gandi.
            if not re.search(rf"^certbot-(\S+-)?{re.escape(plugin)}==", requirements, re.MULTILINE):
                rule = f"{values.get(PATH)} does not name this plugin"
                remedy = f"Set {PATH} to a file of your own with certbot-dns-{plugin}, or certbot_source: distribution"
                problems.add(path, rule, remedy, plugin)


def _distribution(facts: Mapping[str, Any]) -> tuple[str, str]:
    """The certbot that is installed, else the one that will be, in words and as a version; empty when not known."""
    installed = str(facts.get("certbot_version") or "")
    if installed:
        return f"the certbot {installed} of this host", installed
    release = f"{facts.get('os_id')}-{facts.get('os_version')}"
    version = WITHOUT_PROFILES.get(release, "")
    return f"the certbot {version} of {release}", version


def _check_profile(values: Mapping[str, Any], what: str, version: str, remedy: str, problems: Problems) -> None:
    found = re.match(r"(\d+)\.(\d+)", version)
    if values.get(_PROFILE) and found and (int(found[1]), int(found[2])) < PROFILE_VERSION:
        least = ".".join(map(str, PROFILE_VERSION))
        problems.add(_PROFILE, f"{what} has no profiles, {least} and newer have", remedy, values[_PROFILE])

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every package that a role may install exists in each release, at least in the version that the role needs."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import image
import pytest
import role_readme
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.ringstand.flask.plugins.module_utils.certbot import PROFILE_VERSION
from ansible_collections.ringstand.flask.plugins.module_utils.validation.certbot import WITHOUT_PROFILES

LISTING: dict[str, dict[str, Any]] = yaml.safe_load(
    (role_readme.CHECKOUT / "tests/contract/packages.yml").read_text(encoding="utf-8")
)
UNKNOWN = ("listed", "unchecked")


def rendered(text: Any, defaults: dict[str, Any]) -> Any:
    trusted = {name: trust_as_template(value) if isinstance(value, str) else value for name, value in defaults.items()}
    return Templar(loader=DataLoader(), variables=trusted).template(trust_as_template(text))


def installed_by(role: Any) -> set[str]:
    """The names in a role's own lists, everything that is optional included; of alternatives the one it installs."""
    defaults = {**role_readme.load(role / "defaults/main.yml"), "host_locale": "de_DE.UTF-8"}
    entries: set[str] = set()
    for name, value in defaults.items():
        if name.endswith("_packages") and name != "host_packages":  # that one is the union of all
            entries |= set(rendered(value, defaults) if isinstance(value, str) else value)
    return {entry.split("|")[0].split("=")[0].strip() for entry in entries}


def versions() -> Iterator[tuple[str, str, str]]:
    for package, entry in LISTING.items():
        for release, version in entry["releases"].items():
            yield package, release, version


def at_least(version: str, least: str) -> bool:
    return subprocess.run(["dpkg", "--compare-versions", version, "ge", least], check=False).returncode == 0


@pytest.mark.parametrize("role", role_readme.roles(), ids=lambda role: role.name)
def test_every_package_of_a_role_is_listed(role: Any) -> None:
    assert installed_by(role) <= set(LISTING)


def test_the_lists_are_read() -> None:
    host, database = (installed_by(role_readme.ROLES_DIR / name) for name in ("host", "postgresql"))
    assert {"locales", "systemd-timesyncd", "ufw", "unattended-upgrades"} <= host
    assert database == {"postgresql", "python3-psycopg2"}


@pytest.mark.parametrize("package", LISTING)
def test_it_is_listed_for_every_release(package: str) -> None:
    assert set(LISTING[package]["releases"]) == set(image.DISTRIBUTIONS)


def test_what_a_role_needs_is_there() -> None:
    for package, release, version in versions():
        entry = LISTING[package]
        if "needed" in entry and version not in UNKNOWN:
            enough = at_least(version, entry["needed"]["version"])
            assert enough != (release in entry.get("lacking", {})), f"{package} {version} of {release}"


def test_the_releases_whose_certbot_has_no_profiles() -> None:
    least = ".".join(map(str, PROFILE_VERSION))
    versions = {release: version.split("-")[0] for release, version in LISTING["certbot"]["releases"].items()}
    assert {name: one for name, one in versions.items() if not at_least(one, least)} == WITHOUT_PROFILES


def test_only_the_base_system_is_unchecked() -> None:
    unchecked = {package for package, _release, version in versions() if version == "unchecked"}
    assert unchecked == {"ca-certificates", "iproute2", "locales", "openssl", "tar", "tzdata"}
    assert not [release for _package, release, version in versions() if version in UNKNOWN and "debian" in release]

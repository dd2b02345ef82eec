# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The collection's README is true: its index, its links, its commands and its inventory."""

from __future__ import annotations

import re

import role_readme
import yaml
from ansible_collections.ringstand.flask.plugins.module_utils.validation.site import check_site

README = role_readme.CHECKOUT / "README.md"


def text() -> str:
    return README.read_text(encoding="utf-8")


def test_the_index_is_up_to_date() -> None:
    assert text() == role_readme.with_index(text()), "run: python tests/contract/role_readme.py --write"


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text()):
        assert (role_readme.CHECKOUT / target).exists(), target


def test_every_command_exists() -> None:
    # inventories/mine is the copy that the reader makes.
    for path in re.findall(r"(?<![\w./])(?:bin|tests|playbooks|inventories/(?!mine))[\w./-]*/[\w./-]+", text()):
        assert (role_readme.CHECKOUT / path.rstrip("./")).exists(), path


def test_the_yaml_it_shows_is_valid_input() -> None:
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text(), re.DOTALL)]
    sites = [block for block in blocks if isinstance(block, dict) and "flask_apps" in block]
    assert sites
    for site in sites:
        assert check_site(site, site, [], {}).errors == []

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The example inventory names every option, and what it shows is valid input."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import pytest
import role_readme
import yaml
from ansible_collections.ringstand.flask.plugins.module_utils.apps import DEFAULTS, normalise
from ansible_collections.ringstand.flask.plugins.module_utils.validation.app_fields import APP_FIELDS
from ansible_collections.ringstand.flask.plugins.module_utils.validation.site import DERIVED_VARIABLES, check_site

EXAMPLE = Path(__file__).resolve().parents[2] / "inventories/example"
# Facades for people who take a role apart.
APART = {
    "cli_path",
    "host_base_packages",
    "gunicorn_by",
    "gunicorn_socket_group",
    "gunicorn_uv_version",
    "postgresql_cluster",
    # They follow from the variables above and from backup_archive_timeout_seconds.
    "backup_cluster",
    "backup_postgresql_settings",
    "backup_postgresql_version",
}
INTERNAL = re.compile(r"[a-z]+_(packages|package_files|install_enabled)")
OPTION = re.compile(r"^(\s*)# ([a-z0-9_]+: .*)$")


@functools.cache
def text() -> str:
    return (EXAMPLE / "group_vars/all.yml").read_text(encoding="utf-8")


def variants() -> list[dict[str, Any]]:
    """The file as it is, and once more with each commented option in force."""
    lines = text().splitlines()
    found = [yaml.safe_load(text())]
    for number, line in enumerate(lines):
        match = OPTION.match(line)
        if match:
            indent, option = match.groups()
            key = option.split(":")[0]
            rest = [other for other in lines if not other.startswith(f"{indent}{key}:")]
            position = rest.index(line) if line in rest else number
            rest[position] = f"{indent}{option}"
            found.append(yaml.safe_load("\n".join(rest)))
    return found


def is_real(value: Any) -> bool:
    return "{{" not in str(value)


@pytest.mark.parametrize("variables", variants())
def test_what_the_example_shows_is_valid(variables: dict[str, Any]) -> None:
    app = variables["flask_apps"]["shop"]
    # Templates stand for vaulted values and for paths on the user's machine.
    variables["flask_apps"]["shop"] = {key: value for key, value in app.items() if is_real(value)}
    variables["flask_apps"]["shop"].setdefault("source", {"git": "https://git.example.com/x.git"})
    variables = {key: value for key, value in variables.items() if key == "flask_apps" or is_real(value)}
    assert check_site(variables, variables, [], {}).errors == []
    normalise(variables["flask_apps"], variables.get("flask_app_overrides"))


def test_every_option_of_an_app_is_shown() -> None:
    shown = {key for variables in variants() for key in variables["flask_apps"]["shop"]}
    assert shown == set(APP_FIELDS)


def test_every_variable_for_a_user_is_shown() -> None:
    shown = {key for variables in variants() for key in variables}
    known = {name for role in role_readme.roles() for name in role_readme.specs_of(role)["main"].get("options", {})}
    expected = {name for name in known if not INTERNAL.fullmatch(name)} - set(DERIVED_VARIABLES) - APART
    assert shown - {"flask_apps", "flask_app_overrides"} == expected


def test_the_defaults_shown_are_the_defaults() -> None:
    for variables in variants():
        for key, value in variables["flask_apps"]["shop"].items():
            stated = f"    # {key}: " in text() and "e.g." not in text().split(f"    # {key}: ")[0].splitlines()[-1]
            if stated and key in DEFAULTS and is_real(value) and key != "health":
                assert value == DEFAULTS[key], f"{key} is shown as {value}"


def test_the_roles_defaults_shown_are_the_defaults() -> None:
    """A line before that ends in "e.g." or a value that cannot be a default marks an example."""
    lines = text().splitlines()
    for role in role_readme.roles():
        for name, default in role_readme.load(role / "defaults/main.yml").items():
            for number, line in enumerate(lines):
                example = lines[number - 1].endswith("e.g.") or not default
                if line.startswith(f"# {name}: ") and is_real(default) and not example:
                    assert yaml.safe_load(line[2:])[name] == default


def test_the_inventory_is_one_machine() -> None:
    hosts = yaml.safe_load((EXAMPLE / "hosts.yml").read_text(encoding="utf-8"))["all"]["hosts"]
    assert len(hosts) == 1

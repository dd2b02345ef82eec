# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Argument specs, defaults and README of each role say the same."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import role_readme

ROLES = [pytest.param(role, id=role.name) for role in role_readme.roles()]


def options_of(role: Path) -> dict[str, Any]:
    return {
        name: option
        for spec in role_readme.specs_of(role).values()
        for name, option in (spec.get("options") or {}).items()
    }


def all_options(options: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, option in options.items():
        yield f"{path}{name}", option
        yield from all_options(option.get("options") or {}, f"{path}{name}.")


def is_plain(value: Any) -> bool:
    return "{{" not in json.dumps(value)


def test_every_role_has_argument_specs() -> None:
    described = {role.name for role in role_readme.roles()}
    assert described == {path.parents[1].name for path in role_readme.ROLES_DIR.glob("*/tasks/main.yml")}


@pytest.mark.parametrize("role", ROLES)
def test_every_default_is_documented_and_every_option_has_one(role: Path) -> None:
    defaults, options = role_readme.load(role / "defaults/main.yml"), options_of(role)
    # Required, or optional without a value: the description says what happens then.
    bare = {name for name, option in options.items() if "default" not in option and name not in defaults}
    assert set(defaults) == set(options) - bare
    assert all(name.startswith(f"{role.name}_") for name in options), "a role's variables have its prefix"


@pytest.mark.parametrize("role", ROLES)
def test_the_specs_state_the_same_defaults(role: Path) -> None:
    defaults, options = role_readme.load(role / "defaults/main.yml"), options_of(role)
    stated = {name: option["default"] for name, option in options.items() if "default" in option}
    assert stated == {name: defaults[name] for name in stated}
    # A computed value or a long one stands in defaults alone; what ansible-doc can show, it shall show.
    simple = {name for name, value in defaults.items() if value is not None and value != [] and value != {}}
    simple = {name for name in simple if is_plain(defaults[name]) and not isinstance(defaults[name], (list, dict))}
    assert simple <= set(stated), f"the specs lack the default of {sorted(simple - set(stated))}"


@pytest.mark.parametrize("role", ROLES)
def test_every_option_is_described_and_checked(role: Path) -> None:
    for path, option in all_options(options_of(role)):
        assert option.get("description"), f"{path} has no description"
        assert option.get("type"), f"{path} has no type"
        assert option["type"] != "list" or option.get("elements"), f"{path} does not say what its elements are"
        secret = path.split(".")[-1] in ("password", "environment", "secret_key", "secret_content")
        assert not secret or option.get("no_log"), f"{path} is secret and needs no_log"


@pytest.mark.parametrize("role", ROLES)
def test_the_readme_is_up_to_date(role: Path) -> None:
    path = role / "README.md"
    assert path.exists(), "run: python tests/contract/role_readme.py --write"
    assert path.read_text(encoding="utf-8") == role_readme.render(role), (
        "run: python tests/contract/role_readme.py --write"
    )


@pytest.mark.parametrize("role", ROLES)
def test_the_role_shows_how_to_use_it(role: Path) -> None:
    example = role_readme.specs_of(role)["main"].get("examples", "")
    assert f"ringstand.flask.{role.name}" in example


@pytest.mark.parametrize("role", ROLES)
def test_task_files_stay_short(role: Path) -> None:
    for path in [*role.glob("tasks/*.yml"), *role.glob("templates/*")]:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 80, f"{path.name} is longer than 80 lines"


def test_ansible_doc_shows_every_role_with_its_options() -> None:
    command = ["ansible-doc", "--type", "role", *(f"ringstand.flask.{role.name}" for role in role_readme.roles())]
    done = subprocess.run(command, cwd=role_readme.CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    words = set(re.findall(r"[\w.]+", re.sub(r"\x1b\[\d+m", "", done.stdout)))
    for role in role_readme.roles():
        assert {f"ringstand.flask.{role.name}", *options_of(role)} <= words

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Arguments and answers of the module. That it migrates is shown on hosts, by the Molecule scenario "modules"."""

from __future__ import annotations

import grp
import json
import os
import pwd
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.ringstand.flask.plugins.module_utils.app_unit import unit_arguments
from ansible_collections.ringstand.flask.plugins.module_utils.migrations import MigrationResult
from ansible_collections.ringstand.flask.plugins.modules import db_upgrade
from module_result import result_of

USER = pwd.getpwuid(os.geteuid()).pw_name
CANARY = "postgresql://shop:canary-41ab@db/shop"


@pytest.fixture
def run(tmp_path: Path, capsys: Any) -> Any:
    def call(**options: Any) -> dict[str, Any]:
        defaults = {"app_dir": str(tmp_path), "venv_dir": sys.prefix, "user": USER}
        with patch_module_args({**defaults, **options}), pytest.raises(SystemExit):
            db_upgrade.main()
        return result_of(capsys.readouterr().out)

    return call


def options(**given: Any) -> dict[str, Any]:
    defaults = {name: rule.get("default") for name, rule in db_upgrade.ARGUMENTS.items()}
    return {**defaults, "app_dir": "/srv/shop", "venv_dir": "/srv/venv", "user": USER, **given}


def test_the_request() -> None:
    request = db_upgrade.request_of(options(upgrade_command="alembic -x 'a b' upgrade head", database_url=CANARY))
    assert request.app == "shop"
    assert request.upgrade_command == ["alembic", "-x", "a b", "upgrade", "head"]
    assert (request.database_url, request.lock_retries) == (CANARY, 3)
    assert db_upgrade.request_of(options(app_dir="/srv/shop/", name="stock")).app == "stock"


def test_the_unit_has_no_secret_and_the_group_of_the_user() -> None:
    unit = db_upgrade.unit_of(options(environment={"WORKERS": 2}, database_url=CANARY), "shop")
    assert unit.group == grp.getgrgid(os.getegid()).gr_name
    arguments = unit_arguments(unit, "x.service", 10)
    assert "--setenv=WORKERS=2" in arguments
    assert not any("canary" in argument for argument in arguments)


@pytest.mark.parametrize(("app_dir", "visible"), [("/srv/shop", False), ("/home/shop/app", True), ("/root/app", True)])
def test_an_app_below_home_is_visible_to_its_migration(app_dir: str, visible: bool, tmp_path: Path) -> None:
    unit = db_upgrade.unit_of(options(app_dir=app_dir, venv_dir=str(tmp_path)), "shop")
    assert unit.home_visible is visible
    assert ("--property=ProtectHome=read-only" in unit_arguments(unit, "x.service", 10)) is visible


def test_the_diff_shows_the_way() -> None:
    steps = [{"revision": "b2", "message": "add a note"}, {"revision": "c3", "message": "index it"}]
    pending = db_upgrade.diff_of(MigrationResult("pending", before="a1", after="a1", head="c3", pending=steps))
    assert (pending["before"], pending["after"]) == ("a1\n", "c3\n  b2: add a note\n  c3: index it\n")
    done = db_upgrade.diff_of(MigrationResult("upgraded", before="a1", after="c3", head="c3", applied=steps))
    assert done == pending
    current = db_upgrade.diff_of(MigrationResult("current", before="c3", after="c3", head="c3"))
    assert current["before"] == current["after"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"user": "nobody-yet"}, "user 'nobody-yet' does not exist"),
        ({"group": "nobody-yet"}, "group 'nobody-yet' does not exist"),
        ({"app_dir": "/nonexistent/shop"}, "Failed to migrate shop: app_dir '/nonexistent/shop' does not exist"),
        ({"environment_file": "/nonexistent"}, "environment_file '/nonexistent' does not exist"),
        ({"upgrade_command": "flask 'db"}, "close the quotes"),
        ({"database_url_variable": "A-B"}, "database_url_variable 'A-B'"),
        ({"timeout_seconds": -1}, "timeout_seconds -1.0"),
        ({"revision": "head"}, "revision"),
    ],
)
def test_bad_input(run: Any, given: dict[str, Any], words: str) -> None:
    result = run(**given, database_url=CANARY)
    assert result["failed"] is True
    assert words in result["msg"]
    assert "canary" not in json.dumps(result)


def test_check_mode_before_the_app_is_there(run: Any) -> None:
    result = run(app_dir="/nonexistent/shop", _ansible_check_mode=True)
    assert (result["changed"], result["state"]) == (True, "unknown")
    assert "app_dir '/nonexistent/shop' does not exist yet" in result["msg"]

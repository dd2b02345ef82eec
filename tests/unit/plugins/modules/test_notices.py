# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the program has noticed is a warning of each module that activates, once, and also when the activation fails."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args
from ansible_collections.ringstand.flask.plugins.module_utils import host_program
from ansible_collections.ringstand.flask.plugins.modules import deploy, follow, processes, restart, rollback
from module_result import result_of

NOTICE = "gunicorn.conf.py of the source is not read"
ABOUT = {"notices": [NOTICE], "processes": []}
OK = {"result": "ok", "changed": True, "release": "r2", "started": "2026-11-21T12:00:00Z", **ABOUT}
FAILED = {"result": "failed", "reason": "Failed to import", "details": {"phases": {}, **ABOUT}}
# With the arguments that the program is given.
MODULES = [
    pytest.param(deploy, {"source": {"path": "/src"}, "archive": "/a.tar", "sha": "5eed5ee", "version": "v1",
                          "migration_statement_timeout_seconds": 0, "migration_lock_timeout_seconds": 2.5},
                 ["deploy", "shop", "--archive", "/a.tar", "--sha", "5eed5ee", "--version", "v1", "--by", "ann",
                  "--root-directory=",
                  "--migration-lock-timeout-seconds", "2.5", "--migration-statement-timeout-seconds", "0.0"],
                 id="deploy"),
    pytest.param(follow, {"token": "t"}, ["follow", "shop", "--token", "t"], id="follow"),
    pytest.param(rollback, {"force": True}, ["rollback", "shop", "previous", "--by", "ann", "--force"], id="rollback"),
    pytest.param(restart, {}, ["restart", "shop", "--by", "ann"], id="restart"),
    pytest.param(processes, {"scale": {"worker": 3}}, ["scale", "shop", "worker=3", "--by", "ann"], id="processes"),
]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    def call(module: ModuleType, options: dict[str, Any], answer: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        program = tmp_path / "ringstand"
        program.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {tmp_path}/given\necho '{json.dumps(answer)}'\n")
        program.chmod(0o755)
        monkeypatch.setattr(host_program, "PROGRAM", str(program))
        by = {} if module is follow else {"by": "ann"}
        with patch_module_args({"app": "shop", **by, **options}), pytest.raises(SystemExit):
            module.main()
        return result_of(capsys.readouterr().out), (tmp_path / "given").read_text().splitlines()[3:]

    return call


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _self, text: found.append(text))
    return found


@pytest.mark.parametrize(("module", "options", "arguments"), MODULES)
def test_a_notice_is_a_warning(
    run: Any, warnings: list[str], module: ModuleType, options: dict[str, Any], arguments: list[str]
) -> None:
    result, given = run(module, options, OK)
    assert given == arguments
    assert warnings == result["notices"] == [NOTICE]
    assert result["changed"] is (module is not follow)
    assert "started" not in result or module is deploy, "in the background it would never end"


@pytest.mark.parametrize(("module", "options", "arguments"), MODULES)
def test_of_a_failure_too_of_which_all_is_shown(
    run: Any, warnings: list[str], module: ModuleType, options: dict[str, Any], arguments: list[str]
) -> None:
    result, given = run(module, options, FAILED)
    assert given == arguments
    assert (result["failed"], result["msg"], result["phases"]) == (True, "Failed to import", {})
    assert warnings == [NOTICE]
    assert "notices" not in result

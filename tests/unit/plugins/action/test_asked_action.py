# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whoever runs Ansible is who the host is told, by each module that has ``by``."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.plugin_utils import asked_action
from ansible_collections.ringstand.flask.plugins.plugin_utils.source_action import SourceAction

PLUGINS_DIR = Path(__file__).resolve().parents[4] / "plugins"
ASKED = sorted(path.stem for path in PLUGINS_DIR.glob("modules/*.py") if "\n  by:\n" in path.read_text("utf-8"))


def action_of(module: str) -> type:
    """The class of the module's action plugin."""
    package = "ansible_collections.ringstand.flask.plugins.action"
    found: type = importlib.import_module(f"{package}.{module}").ActionModule
    return found


@pytest.mark.parametrize("module", ASKED)
def test_each_module_that_records_who_asks_is_told(module: str) -> None:
    assert issubclass(action_of(module), (asked_action.AskedAction, SourceAction))


@pytest.mark.parametrize(
    ("by", "environment", "expected"),
    [
        ("carol", {"USER": "ann"}, "carol"),
        (None, {"USER": "ann"}, "ann"),
        ("", {"USER": "root", "SUDO_USER": "ann"}, "ann"),
        (None, {}, "the user of the process"),
    ],
)
def test_who_asks(monkeypatch: pytest.MonkeyPatch, by: str | None, environment: dict[str, str], expected: str) -> None:
    for name in ("USER", "SUDO_USER"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(asked_action, "caller", lambda: "the user of the process")
    assert asked_action.asker(by) == expected


@pytest.mark.parametrize("in_background", [False, True])
def test_the_module_gets_it_beside_what_the_task_says(monkeypatch: pytest.MonkeyPatch, in_background: bool) -> None:
    monkeypatch.setenv("SUDO_USER", "ann")
    monkeypatch.setattr(asked_action.ActionBase, "run", lambda _self, _tmp, _variables: {})
    action: Any = object.__new__(action_of("rollback"))
    action._task = SimpleNamespace(args={"app": "shop"}, async_val=int(in_background))
    action._connection = SimpleNamespace(has_native_async=False, _shell=SimpleNamespace(tmpdir="/tmp/x"))
    called: list[Any] = []
    monkeypatch.setattr(action, "_remove_tmp_path", called.append, raising=False)
    monkeypatch.setattr(action, "_execute_module", lambda **given: called.append(given) or {"changed": True},
                        raising=False)
    assert action.run(None, {}) == {"changed": True}
    given = {"module_args": {"app": "shop", "by": "ann"}, "task_vars": {}, "wrap_async": in_background}
    assert called == [given, *([] if in_background else ["/tmp/x"])]
    assert action._task.args == {"app": "shop"}

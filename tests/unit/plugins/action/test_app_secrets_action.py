"""Secrets that are there are read without a module; whatever is missing or odd is the module's turn."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.action import app_secrets

APPS = {"shop": ["secret_key"], "blog": ["secret_key"]}
BOTH = '{"secret_key": "one"}\n{\n "secret_key": "two",\n "old": "three"\n}'


class Task:
    """What the action plugin asks of its task."""

    args = {"apps": APPS}
    async_val = 0
    check_mode = False


@pytest.fixture
def action(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the plugin; ``answer`` is what the host says to ``cat``, ``commands`` what it was asked."""
    found = object.__new__(app_secrets.ActionModule)
    found._task, found.commands = Task(), []
    monkeypatch.setattr(app_secrets.ActionBase, "run", lambda _self, _tmp, _variables: {})
    monkeypatch.setattr(found, "_execute_module", lambda *_a, **_k: {"changed": True, "called": True}, raising=False)

    def answer(text: str, rc: int = 0) -> None:
        def execute(command: str, in_data: bytes) -> dict[str, Any]:
            found.commands.append((command, in_data))
            return {"rc": rc, "stdout": text}

        monkeypatch.setattr(found, "_low_level_execute_command", execute, raising=False)

    found.answer = answer
    return found


def test_what_is_there_is_returned_by_app(action: Any) -> None:
    action.answer(BOTH)
    done = action.run(None, {})
    assert done["secrets"] == {"shop": {"secret_key": "one"}, "blog": {"secret_key": "two", "old": "three"}}
    assert (done["changed"], done["generated"]) == (False, {"shop": [], "blog": []})
    script = b"cat -- /var/lib/ringstand/secrets/shop.json /var/lib/ringstand/secrets/blog.json\n"
    assert action.commands == [("/bin/sh", script)]


@pytest.mark.parametrize(
    ("text", "rc"),
    [
        ('{"secret_key": "one"}', 1),  # one file is missing
        ('{"secret_key": "one"}', 0),
        ('{"secret_key": "one"}{"other": "two"}', 0),  # a secret is missing
        ('{"secret_key": "one"}["two"]', 0),
        ('{"secret_key": "one"}{"secret_key"', 0),
        (BOTH + "\nand more", 0),
        ("Welcome!\n" + BOTH, 0),
        (BOTH, 1),
    ],
)
def test_anything_else_is_the_modules_turn(action: Any, text: str, rc: int) -> None:
    action.answer(text, rc)
    assert action.run(None, {}) == {"changed": True, "called": True}


def test_no_apps_ask_nothing_of_the_host(action: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Task, "args", {"apps": {}})
    assert action.run(None, {}) == {"changed": True, "called": True}
    assert action.commands == []

"""The command lines that the verbs run and logs become."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import program, program_operations
from ansible_collections.ringstand.flask.plugins.module_utils.app_unit import unit_arguments
from ansible_collections.ringstand.flask.plugins.module_utils.layout import AppSettings
from ansible_collections.ringstand.flask.plugins.module_utils.program_operations import journal_command
from ansible_collections.ringstand.flask.plugins.module_utils.release_unit import one_off_unit

SHOP = AppSettings(name="shop", wsgi="shop:app", health={})
UNITS = ["--unit=ringstand-shop@*.service", "--unit=ringstand-activation-shop.service",
         "--unit=ringstand-shop.*@*.service"]


def journal(**changes: object) -> list[str]:
    options = {"process": None, "lines": 100, "json": False, "follow": False, "since": None, "grep": None, **changes}
    return journal_command(SHOP, argparse.Namespace(**options))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ["--lines=100", *UNITS, "--output=short-iso"]),
        ({"process": "web"}, ["--lines=100", UNITS[0], "--output=short-iso"]),
        ({"process": "activation", "json": True}, ["--lines=100", UNITS[1], "--output=json"]),
        ({"follow": True, "lines": 5}, ["--lines=5", *UNITS, "--output=short-iso", "--follow"]),
        ({"since": "1 hour ago"}, ["--lines=100", *UNITS, "--output=short-iso", "--since=1 hour ago"]),
        ({"grep": "-x"}, ["--lines=100", *UNITS, "--output=short-iso", "--grep=-x"]),
    ],
)
def test_journal_command(changes: dict[str, object], expected: list[str]) -> None:
    assert journal(**changes) == ["journalctl", "--no-pager", *expected]


@pytest.mark.parametrize(
    ("script", "arguments", "code"),
    [
        pytest.param("echo '-- No entries --'; exit 1", ["--grep=x"], 0, id="nothing matches"),
        pytest.param("echo 'Bad pattern' >&2; exit 1", ["--grep=("], 1, id="no pattern"),
        pytest.param("exit 143", ["--grep=x"], 143, id="ended from outside"),
        pytest.param("exit 1", [], 1, id="not asked for a pattern"),
        pytest.param("exit 1", ["--grep=x", "--follow"], 1, id="followed"),
        pytest.param("echo found", ["--grep=x"], 0, id="found"),
    ],
)
def test_that_nothing_matches_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], script: str,
    arguments: list[str], code: int
) -> None:
    (tmp_path / "journalctl").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "journalctl").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(program_operations, "load_settings", lambda _app: SHOP)
    assert program_operations._logs(program._parser().parse_args(["logs", *arguments, "shop"])) == code
    said = capfd.readouterr()
    assert ("Bad pattern" in said.err) is ("Bad pattern" in script)
    assert said.out == ("" if "echo" not in script or said.err else f"{script.split(';')[0][5:].strip(chr(39))}\n")


def test_a_one_off_command_belongs_to_no_activation_and_may_take_its_time() -> None:
    command = unit_arguments(one_off_unit(SHOP, "r1"), "unit", None, terminal=True)
    assert "--property=RuntimeMaxSec=infinity" in command
    assert "--property=EnvironmentFile=/etc/ringstand/environment/shop.env" in command
    assert "--pty" in command
    assert "--pipe" not in command
    assert not [item for item in command if "BindsTo" in item]

"""The command lines that the verbs run and logs become."""

from __future__ import annotations

import argparse

import pytest
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


def test_a_one_off_command_belongs_to_no_activation_and_may_take_its_time() -> None:
    command = unit_arguments(one_off_unit(SHOP, "r1"), "unit", None, terminal=True)
    assert "--property=RuntimeMaxSec=infinity" in command
    assert "--property=EnvironmentFile=/etc/ringstand/environment/shop.env" in command
    assert "--pty" in command
    assert "--pipe" not in command
    assert not [item for item in command if "BindsTo" in item]

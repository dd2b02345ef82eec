# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The options of the module restore are those of the program, and come together there."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import program, restore_job
from ansible_collections.ringstand.flask.plugins.modules import restore

NONE: dict[str, Any] = dict.fromkeys([*restore._VALUES, *restore._LISTS, *restore._FLAGS])


@pytest.mark.parametrize(("given", "check", "expected"), [
    ({}, False, []),
    ({"to": "latest", "confirm": "vm1"}, True, ["--to=latest", "--confirm=vm1", "--check"]),
    ({"database": "shop", "tables": ["a", "b"], "side_database": "x"}, False,
     ["--database=shop", "--as=x", "--table=a", "--table=b"]),
    ({"files": "shop", "paths": ["/srv/shop/shared/a"], "in_place": True, "offsite": True}, False,
     ["--files=shop", "--path=/srv/shop/shared/a", "--in-place", "--offsite"]),
    ({"list": True}, False, ["--list"]),
])
def test_the_program_knows_what_the_module_passes(given: dict[str, Any], check: bool, expected: list[str]) -> None:
    arguments = restore.arguments({**NONE, **given}, check)
    assert arguments == expected
    options = vars(program._parser().parse_args(["restore", *arguments]))
    assert options["check"] is check and options["list"] is bool(given.get("list"))
    asked = restore_job.request(options)
    assert asked["tables"] == given.get("tables", "") and asked["side"] == given.get("side_database", "")

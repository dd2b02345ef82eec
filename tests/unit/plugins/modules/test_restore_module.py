# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The options of the module restore are those of the program, and come together there."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import (
    backup_dumps,
    backup_offsite,
    backup_settings,
    program,
    program_restore,
    restic,
    restore_job,
    restore_list,
)
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
    ({"list": True, "offsite": True}, False, ["--offsite", "--list"]),
])
def test_the_program_knows_what_the_module_passes(given: dict[str, Any], check: bool, expected: list[str]) -> None:
    arguments = restore.arguments({**NONE, **given}, check)
    assert arguments == expected
    options = vars(program._parser().parse_args(["restore", *arguments]))
    assert options["check"] is check and options["list"] is bool(given.get("list"))
    asked = restore_job.request(options)
    assert asked["tables"] == given.get("tables", "") and asked["side"] == given.get("side_database", "")


@pytest.mark.parametrize("offsite", [False, True])
def test_what_is_listed_is_of_the_place_that_was_asked_for(monkeypatch: pytest.MonkeyPatch, offsite: bool) -> None:
    place = backup_offsite.parse(backup_offsite.describe({"type": "path", "path": "/mnt"}, "vm1", 2, 30))
    asked: list[str] = []

    def listed(repository: restic.Repository) -> list[restic.Snapshot]:
        asked.append(repository.directory)
        return []

    dump = backup_dumps.Dump("shop", 0, "/b/dumps/shop/x.dump", 1)
    monkeypatch.setattr(backup_settings, "load", lambda: backup_settings.BackupSettings("/b", "", offsite=place))
    monkeypatch.setattr(restore_list.restic, "snapshots", listed)
    monkeypatch.setattr(backup_dumps, "dumps", lambda _directory: [dump])
    said: list[str] = []
    monkeypatch.setattr(program_restore, "say", said.append)
    options = program._parser().parse_args(["restore", "--list", *(["--offsite"] if offsite else [])])
    assert program_restore._restore(options) == 0
    assert asked == ["/mnt/vm1/restic" if offsite else "/b/restic"]
    assert ("/b/dumps/shop/x.dump" in said[0]) is not offsite

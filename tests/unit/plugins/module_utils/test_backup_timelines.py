# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""After restores, what pgBackRest expires of the timelines that were left is not taken for lost."""

from __future__ import annotations

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils.backup_checksums import compare
from ansible_collections.ringstand.flask.plugins.module_utils.pgbackrest import Backup, Information

SUM = "0" * 40
WAL = "archive/main/17-1/{0}00000000/{0}00000000000000{1}-" + SUM + ".zst"


def backup(wal: str) -> Backup:
    return Backup("20261121-120239F", "full", 1, 2, False, 1, 1, wal, wal)


@pytest.mark.parametrize(("path", "missing"), [
    ("archive/main/17-1/00000002.history", False),
    ("archive/main/17-1/00000008.history", True),
    ("archive/main/17-1/00000009.history", True),
    (WAL.format("00000007", "30"), False),
    (WAL.format("00000007", "10"), False),
    (WAL.format("00000008", "1E"), False),
    (WAL.format("00000008", "1F"), True),
    (WAL.format("00000009", "30"), True),
])
def test_what_a_restore_has_left_may_go(tmp_path, path: str, missing: bool) -> None:
    information = Information(True, "ok", [backup("00000008000000000000001F"), backup("000000090000000000000022")])
    problems = compare(str(tmp_path), {path: "sum"}, information).problems
    assert [problem.file for problem in problems] == ([path] if missing else [])

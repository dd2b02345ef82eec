# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which snapshot of files is restored."""

from __future__ import annotations

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.restic import Snapshot
from ansible_collections.ringstand.flask.plugins.module_utils.restore_files import choose
from ansible_collections.ringstand.flask.plugins.module_utils.restore_target import parse_target

SNAPSHOTS = [
    Snapshot("a", "shop", "2026-11-20T02:00:00.123456789Z", ["/srv/shop/shared"]),
    Snapshot("b", "shop", "2026-11-21T03:30:00.5+01:00", ["/srv/shop/shared"]),
    Snapshot("c", "host", "2026-11-21T02:40:00Z", ["/etc/ringstand"]),
]
NOW = 1795262559.0


@pytest.mark.parametrize(("name", "to", "expected"), [
    ("shop", "latest", "b"),
    ("shop", "2026-11-21T02:30:00Z", "a"),
    ("shop", "2026-11-21T02:31:00Z", "b"),
    ("host", "latest", "c"),
])
def test_a_snapshot_is_chosen(name: str, to: str, expected: str) -> None:
    assert choose(SNAPSHOTS, name, parse_target(to, NOW)).id == expected


@pytest.mark.parametrize(("name", "to", "words"), [
    ("blog", "latest", "there are only host, shop"),
    ("shop", "2026-11-20T01:00:00Z", "the oldest snapshot is of 2026-11-20T02:00:00Z"),
])
def test_what_is_not_there_is_refused(name: str, to: str, words: str) -> None:
    with pytest.raises(RingstandError, match=words):
        choose(SNAPSHOTS, name, parse_target(to, NOW))

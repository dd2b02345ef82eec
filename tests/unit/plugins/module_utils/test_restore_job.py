# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What goes together in one restore, and which restore point is meant."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import restore_job, restore_points
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.restore_points import Point

POINTS = [
    Point("blog", "r1", "release-r1", "2026-11-20T01:00:00Z"),
    Point("shop", "r2", "release-r2", "2026-11-20T02:00:00.25Z"),
    Point("shop", "r3", "release-r3", "2026-11-20T03:00:00Z"),
    Point("blog", "r3", "release-r3", "2026-11-20T04:00:00Z"),
]


@pytest.mark.parametrize(("given", "kind"), [
    ({}, "cluster"),
    ({"to": "latest", "confirm": "vm1"}, "cluster"),
    ({"before_release": "shop/r2", "confirm": "vm1"}, "cluster"),
    ({"undo": True, "confirm": "vm1"}, "undo"),
    ({"database": "shop", "confirm": "vm1"}, "database"),
    ({"database": "shop", "tables": ["a"], "side": "b", "dump": "c"}, "database"),
    ({"database": "shop", "before_release": "r2"}, "database"),
    ({"files": "shop", "in_place": True, "confirm": "vm1", "paths": ["/a"], "snapshot": "b"}, "files"),
    ({"files": "shop", "into": "/a", "to": "latest"}, "files"),
])
def test_what_goes_together(given: dict[str, object], kind: str) -> None:
    asked = restore_job.request(given)
    assert asked["kind"] == kind
    assert json.loads(json.dumps(asked)) == asked


@pytest.mark.parametrize(("given", "words"), [
    ({"database": "shop", "files": "shop"}, "--database and --files exclude each other"),
    ({"undo": True, "database": "shop"}, "--undo and --database exclude each other"),
    ({"tables": ["a"]}, "--table goes with --database"),
    ({"side": "a", "files": "shop"}, "--as goes with --database"),
    ({"paths": ["/a"]}, "--path goes with --files"),
    ({"in_place": True}, "--in-place goes with --files"),
    ({"into": "/a", "database": "shop"}, "--into goes with --files"),
    ({"undo": True, "to": "latest"}, "--to goes with"),
    ({"to": "latest", "before_release": "r1"}, "--to and --before-release exclude each other"),
    ({"database": "shop", "to": "latest", "dump": "a"}, "--to and --dump exclude each other"),
    ({"files": "shop", "to": "latest", "snapshot": "a"}, "--to and --snapshot exclude each other"),
    ({"files": "shop", "into": "/a", "in_place": True}, "--into and --in-place exclude each other"),
])
def test_what_does_not(given: dict[str, object], words: str) -> None:
    with pytest.raises(RingstandError, match=words):
        restore_job.request(given)


@pytest.mark.parametrize(("wanted", "app", "name"), [
    ("r2", "shop", "release-r2"), ("shop/r2", "shop", "release-r2"), ("blog/r3", "blog", ""), ("shop/r3", "shop", ""),
])
def test_a_restore_point_is_found(wanted: str, app: str, name: str) -> None:
    found = restore_points.find(wanted, POINTS)
    assert (found.app, restore_points.name_in_wal(found, POINTS)) == (app, name)


@pytest.mark.parametrize(("wanted", "words"), [
    ("r9", r"There are: blog/r3 \(2026-11-20T04:00:00Z\), shop/r3 .*blog/r1"),
    ("blog/r2", "There are: blog/r3"),
    ("r3", "write shop/r3 or blog/r3"),
])
def test_an_unknown_restore_point_is_refused_with_those_that_exist(wanted: str, words: str) -> None:
    with pytest.raises(RingstandError, match=words):
        restore_points.find(wanted, POINTS)
    with pytest.raises(RingstandError, match="none: no deploy has set one here"):
        restore_points.find(wanted, [])


def test_restore_points_are_those_of_the_ledgers(tmp_path: Path) -> None:
    def migrated(point: Point) -> dict[str, object]:
        return {"release": point.release, "migration": {"restore_point": {"name": point.name, "at": point.at}}}

    without = [{"release": "r4", "migration": {"restore_point": None}}, {"kind": "restart", "release": "r4"}]
    for app, lines in {"shop": [migrated(POINTS[1]), *without], "blog": [migrated(POINTS[0])]}.items():
        (tmp_path / app).mkdir()
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (tmp_path / app / "ledger.jsonl").write_text(text, encoding="utf-8")
    assert restore_points.known(str(tmp_path)) == POINTS[:2]
    assert POINTS[1].seconds == 1795140000.25

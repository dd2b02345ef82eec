"""Releases on disk: ids, pruning, what an operator may call one."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import activation_record, ledger, releases, switch
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError, reason_of
from ansible_collections.ringstand.flask.plugins.module_utils.layout import Layout

NOON = 1795262400.0  # 2026-11-21T12:00:00Z


def make_release(layout: Layout, release: str, version: str = "", venv: str = "aaaa", complete: bool = True) -> None:
    directory = layout.release_dir(release)
    os.makedirs(f"{directory}/src")
    os.makedirs(f"{layout.venvs_dir}/{venv}", exist_ok=True)
    os.symlink(f"../../venvs/{venv}", f"{directory}/venv")
    if complete:
        releases.write_manifest(layout, release, {"id": release, "version": version or release})


def went_live(layout: Layout, release: str, kind: str = "deploy", previous: str | None = None) -> None:
    ledger.append_line(layout.ledger, {
        "kind": kind, "result": "ok", "release": release, "previous": previous, "live": release,
    })


def ids(*hours: int) -> list[str]:
    return [f"20261121T{hour:02d}0000Z-abc{hour:04d}" for hour in hours]


def test_an_id_is_its_time_and_commit(layout: Layout) -> None:
    assert releases.new_id(layout, "3f2a9c1d8e", NOON) == "20261121T120000Z-3f2a9c1"


@pytest.mark.parametrize("now", [NOON, NOON - 1, NOON - 2 * 365 * 86400])
def test_an_id_is_later_than_all_others_even_when_the_clock_goes_back(layout: Layout, now: float) -> None:
    make_release(layout, "20261121T120000Z-fffffff")
    assert releases.new_id(layout, "0000000", now) == "20261121T120001Z-0000000"


def test_prune_keeps_what_served_last_and_what_a_slot_is_linked_to(layout: Layout) -> None:
    names = ids(1, 2, 3, 4, 5, 6)
    for name in names:
        make_release(layout, name)
        os.utime(layout.release_dir(name), (0, 0) if name == names[-1] else None)  # times of change say nothing
    switch.point(layout.slot_link("blue"), f"../releases/{names[3]}")
    removed = releases.prune(layout, 2, [names[2], names[1], names[0]])
    assert removed == [names[2], names[4]]
    assert releases.release_ids(layout) == [names[0], names[1], names[3], names[5]]


def test_releases_that_failed_push_no_good_one_out(layout: Layout) -> None:
    """Else, after a bad day, there is nothing left to go back to."""
    good, failed, new = ids(1, 2, 3, 4, 5), ids(6, 7, 8, 9), ids(10)
    for name in (*good, *failed, *new):
        make_release(layout, name)
    releases.prune(layout, 5, [*good, *new])
    assert releases.release_ids(layout) == [*good[1:], failed[-1], *new]


@pytest.mark.parametrize("keep", [1, 2])
def test_the_live_and_the_previous_release_are_always_kept(layout: Layout, keep: int) -> None:
    names = ids(1, 2, 3)
    for name in names:
        make_release(layout, name)
    releases.prune(layout, keep, [names[2], names[0], names[1]])
    assert releases.release_ids(layout) == names[:2]


def test_what_was_built_last_is_spared_for_a_deploy_that_needs_it(layout: Layout) -> None:
    """An early build has no release yet, and that of a deploy that failed is removed."""
    for age, name in enumerate(("newest", "older", "oldest")):
        os.makedirs(f"{layout.venvs_dir}/{name}")
        os.utime(f"{layout.venvs_dir}/{name}", (NOON - age, NOON - age))
    releases.prune(layout, 5, [], spare_venvs=1)
    assert os.listdir(layout.venvs_dir) == ["newest"]
    releases.prune(layout, 5, [], spare_venvs=1)
    releases.prune(layout, 5, [])
    assert os.listdir(layout.venvs_dir) == []


def test_prune_removes_a_virtual_environment_only_when_no_release_refers_to_it(layout: Layout) -> None:
    old, *_, new = names = ids(1, 2, 3)
    make_release(layout, names[0], venv="old")
    make_release(layout, names[1], venv="shared")
    make_release(layout, new, venv="shared")
    releases.prune(layout, 2, names)
    assert not os.path.exists(layout.release_dir(old))
    assert os.listdir(layout.venvs_dir) == ["shared"]


def test_a_build_that_was_killed_is_removed_unless_a_slot_points_at_it(layout: Layout) -> None:
    complete, broken, linked = ids(1, 2, 3)
    make_release(layout, complete)
    make_release(layout, broken, complete=False)
    make_release(layout, linked, complete=False)
    switch.point(layout.slot_link("green"), f"../releases/{linked}")
    assert releases.remove_incomplete(layout) == [broken]
    assert releases.release_ids(layout) == [complete, linked]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("live", 2),
        ("previous", 1),
        ("v2", 1),
        ("20261121T01", 0),
        ("20261121T030000Z-abc0003", 2),
    ],
)
def test_find_release(layout: Layout, wanted: str, expected: int) -> None:
    names = ids(1, 2, 3)
    for number, name in enumerate(names, 1):
        make_release(layout, name, f"v{number}")
    switch.point(layout.slot_link("blue"), f"../releases/{names[2]}")
    switch.point(layout.live_link, "slots/blue")
    assert releases.find_release(layout, wanted, names) == names[expected]


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ("live", "nothing has been deployed"),
        ("previous", "no earlier release"),
        ("v9", "no complete release on this host has that id or version"),
        ("2026", "several releases match"),
        ("20261121T030000Z-abc0003", "no complete release"),
    ],
)
def test_find_release_refuses_to_guess(layout: Layout, wanted: str, reason: str) -> None:
    first, second, broken = ids(1, 2, 3)
    make_release(layout, first)
    make_release(layout, second)
    make_release(layout, broken, complete=False)
    with pytest.raises(RingstandError, match=reason):
        releases.find_release(layout, wanted, [])


def test_a_release_that_was_rolled_back_from_is_not_good_until_it_is_live_again(layout: Layout) -> None:
    first, second, third = ids(1, 2, 3)
    for name in (first, second, third):
        make_release(layout, name)
        went_live(layout, name)
    went_live(layout, second, "rollback", previous=third)
    assert ledger.good_releases(layout) == [first, second]
    went_live(layout, third, "deploy", previous=second)
    assert ledger.good_releases(layout) == [first, second, third]


def test_a_failed_or_pruned_release_is_not_good(layout: Layout) -> None:
    (only,) = ids(1)
    make_release(layout, only)
    went_live(layout, only)
    went_live(layout, "20261120T010000Z-0000000")
    ledger.append_line(layout.ledger, {"kind": "deploy", "result": "failed", "reason": "x"})
    assert ledger.good_releases(layout) == [only]


def test_a_line_cut_short_by_a_crash_costs_only_itself(layout: Layout) -> None:
    ledger.append_line(layout.ledger, {"number": 1})
    with open(layout.ledger, "a", encoding="utf-8") as stream:
        stream.write('{"number": 2, "resu')
    ledger.append_line(layout.ledger, {"number": 3})
    assert [entry["number"] for entry in ledger.read_lines(layout.ledger)] == [1, 3]


def test_freeze_takes_write_bits_and_never_follows_links(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("gives files to root, so it has to be root")  # runs in every host scenario as root
    outside = tmp_path / "outside"
    outside.write_text("mine")
    outside.chmod(0o666)
    tree = tmp_path / "tree"
    (tree / "bin").mkdir(parents=True)
    script = tree / "bin" / "run"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o6777)
    (tree / "link").symlink_to(outside)
    releases.freeze(str(tree), "root")
    assert oct(script.stat().st_mode & 0o7777) == "0o755"
    assert oct(tree.stat().st_mode & 0o7777) == "0o755"
    assert oct(outside.stat().st_mode & 0o7777) == "0o666"


def test_manifest_is_json_with_its_schema(layout: Layout) -> None:
    (only,) = ids(1)
    make_release(layout, only, "v1")
    text = Path(layout.release_dir(only), "manifest.json").read_text()
    assert json.loads(text) == {"schema": 1, "id": only, "version": "v1"}


def interrupted(_path: str) -> None:
    raise InterruptedError


def test_what_is_half_removed_is_not_complete(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a rollback would find the rest of a release, and a deploy the rest of a virtual environment."""
    names = ids(1, 2)
    make_release(layout, names[0], venv="old")
    make_release(layout, names[1])
    with monkeypatch.context() as patched, pytest.raises(InterruptedError):
        patched.setattr(releases.shutil, "rmtree", interrupted)
        releases.prune(layout, 1, [])
    assert releases.read_manifest(layout, names[0]) is None
    assert releases.remove_incomplete(layout) == [names[0]]
    marker = Path(layout.venvs_dir, "old", releases.VENV_MARKER)
    marker.touch()
    with monkeypatch.context() as patched, pytest.raises(InterruptedError):
        patched.setattr(releases.shutil, "rmtree", interrupted)
        releases.prune(layout, 1, [])
    assert not marker.exists()


def test_a_failed_release_goes_as_far_as_it_can(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    (name,) = ids(1)
    releases.discard(layout, name)
    make_release(layout, name)
    releases.discard(layout, name)
    assert not os.path.exists(layout.release_dir(name))


def killed(layout: Layout, kind: str, step: str, proven: bool = False) -> None:
    """An activation that came to this step and told nothing more."""
    progress = ledger.Progress(layout, kind, "ann", len)
    progress.about.update(release="20261121T120000Z-0000000", version="v2", sha="5eed", migration={})
    if proven:
        progress.proven()
    with progress.phase(step):
        pass


def test_an_activation_that_was_killed_is_in_the_ledger_once(layout: Layout) -> None:
    went_live(layout, "one")
    killed(layout, "deploy", "gate")
    told = activation_record.record_ended(layout, "The traffic went back.")
    assert activation_record.record_ended(layout, "") is None
    (_before, entry) = ledger.read_lines(layout.ledger)
    assert entry == told
    assert (entry["result"], entry["by"], entry["release"]) == ("failed", "ann", "20261121T120000Z-0000000")
    assert (entry["version"], entry["sha"], entry["seconds"]) == ("v2", "5eed", 0)
    assert "ended from outside during 'gate'" in entry["reason"]
    assert entry["reason"].endswith("from whatever is there. The traffic went back.")
    assert ledger.unfinished(layout) is None


def test_what_was_proven_before_it_was_killed_counts(layout: Layout) -> None:
    """Else a rollback would pass over a release that has served for weeks, because only its clearing up was killed."""
    names = ids(1)
    make_release(layout, *names)
    make_release(layout, "20261121T120000Z-0000000")
    went_live(layout, names[0])
    killed(layout, "deploy", "drain", proven=True)
    entry = activation_record.record_ended(layout, "")
    assert entry
    assert (entry["result"], entry["previous"]) == ("ok", names[0])
    assert "during 'drain', when the release was proven already" in entry["notices"][0]
    assert ledger.good_releases(layout) == [names[0], "20261121T120000Z-0000000"]


@pytest.mark.parametrize("kind", ["build", "deploy"])
def test_what_told_its_end_and_an_early_build_are_not_written_again(layout: Layout, kind: str) -> None:
    progress = ledger.Progress(layout, kind, "ann", len)
    if kind == "deploy":
        progress.result({"result": "ok"})
    assert activation_record.record_ended(layout, "") is None
    assert ledger.read_lines(layout.ledger) == []


def test_a_full_disk_is_a_reason_with_a_remedy() -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "slots/green", None, "/srv/shop/live.0badc0de")
    reason = reason_of(full)
    assert reason.startswith("No space left on device: slots/green to /srv/shop/live.0badc0de.")
    assert "df -i" in reason
    assert reason_of(OSError("odd")) == "odd"

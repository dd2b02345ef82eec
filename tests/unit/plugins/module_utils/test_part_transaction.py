"""Parts that are refused beside parts that are not, on real files, in a stage and in place."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import (
    file_stage,
    file_transaction,
    files,
    part_transaction,
)
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError

Run = Callable[..., part_transaction.Applied]


def entry(path: Path, **options: object) -> files.Entry:
    return files.parse_entry({"path": str(path), "owner": os.geteuid(), "group": os.getegid(), **options})


def site(tree: Path, name: str, content: str, **options: object) -> files.Entry:
    return entry(tree / "sites" / name, content=content, part=name, **options)


def texts(tree: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted((tree / "sites").iterdir())}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tree" / "sites").mkdir(parents=True)
    (tmp_path / "tree" / "shared").write_text("shared\n")
    return tmp_path / "tree"


@pytest.fixture
def command(tmp_path: Path, tree: Path) -> str:
    """Refuses what has a line "bad", naming it, and writes down what the rest of the machine sees meanwhile."""
    script = tmp_path / "check"
    script.write_text(
        f"cat /proc/{os.getpid()}/root{tree}/sites/* >> {tmp_path}/seen\n"
        f"test -f {tree}/shared || exit 3\n"
        f"grep -Hnr ^bad {tree} | sed 's/:bad/: no/' >&2; ! grep -qr ^bad {tree}\n"
    )
    return f"sh {script}"


@pytest.fixture(params=["in a stage", "in place"])
def run(
    request: pytest.FixtureRequest, tmp_path: Path, tree: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> Run:
    monkeypatch.setattr(file_transaction, "LOCK_PATH", str(tmp_path / "lock"))
    monkeypatch.setattr(file_stage, "STAGES_DIR", str(tmp_path))
    if request.param == "in place":
        monkeypatch.setattr(file_stage.Stage, "possible", lambda _self, _paths: False)
    else:
        with file_stage.Stage(str(tree)) as stage:
            if not stage.possible([]):
                pytest.skip("needs the right to mount")

    def called(*entries: files.Entry, check: bool = False) -> part_transaction.Applied:
        act: Any = part_transaction.foresee if check else part_transaction.apply
        applied = act(list(entries), [command], str(tree))
        assert not list(tmp_path.glob("ringstand-stage-*"))
        return applied

    return called


def changed(applied: part_transaction.Applied) -> list[str]:
    return [os.path.basename(change.entry.path) for change in applied.changes]


def test_a_bad_part_keeps_its_last_good_version_and_a_new_one_is_left_out(run: Run, tree: Path) -> None:
    (tree / "sites" / "b").write_text("old b\n")
    wanted = [
        entry(tree / "shared", content="new\n"),
        site(tree, "a", "good a\n"),
        site(tree, "b", "fine\nbad b\n"),
        site(tree, "c", "bad c\n"),
    ]
    applied = run(*wanted)
    assert changed(applied) == ["shared", "a"]
    assert texts(tree) == {"a": "good a\n", "b": "old b\n"}
    assert [one.as_dict() for one in applied.refused] == [
        {"part": "b", "reason": f"{tree}/sites/b:2: no b", "line": "bad b", "kept": True},
        {"part": "c", "reason": f"{tree}/sites/c:1: no c", "line": "bad c", "kept": False},
    ]
    again = run(*wanted)
    assert (changed(again), [one.part for one in again.refused]) == ([], ["b", "c"])


def test_a_file_that_was_broken_by_hand_holds_up_nothing(run: Run, tree: Path) -> None:
    (tree / "sites" / "a").write_text("bad by hand\n")
    (tree / "sites" / "b").write_text("bad too\n")
    (tree / "sites" / "c").write_text("old c\n")
    applied = run(site(tree, "a", "good a\n"), site(tree, "b", "bad b\n"), site(tree, "c", "bad c\n"))
    assert texts(tree) == {"a": "good a\n", "c": "old c\n"}
    assert {one.part: one.kept for one in applied.refused} == {"b": False, "c": True}


def test_one_that_is_as_wanted_and_bad_holds_up_nothing(run: Run, tree: Path) -> None:
    (tree / "sites" / "a").write_text("bad a\n")
    (tree / "sites" / "a").chmod(0o644)
    applied = run(site(tree, "a", "bad a\n"), site(tree, "b", "good b\n"))
    assert texts(tree) == {"b": "good b\n"}
    assert [one.part for one in applied.refused] == ["a"]


def test_what_all_share_stops_all(run: Run, tree: Path) -> None:
    (tree / "sites" / "a").write_text("old a\n")
    with pytest.raises(RingstandError, match=r"Failed to validate the configuration: .*shared:1: no shared .*put back"):
        run(entry(tree / "shared", content="bad shared\n"), site(tree, "a", "good a\n"))
    assert (texts(tree), (tree / "shared").read_text()) == ({"a": "old a\n"}, "shared\n")


def test_what_is_outside_goes_with_its_part(run: Run, tree: Path, tmp_path: Path) -> None:
    (tmp_path / "b.page").write_text("old page\n")
    applied = run(
        site(tree, "a", "good a\n"),
        entry(tmp_path / "a.log", content="", part="a"),
        site(tree, "b", "bad b\n"),
        entry(tmp_path / "b.log", content="", part="b"),
        entry(tmp_path / "b.page", content="new page\n", part="b"),
    )
    assert sorted(changed(applied)) == ["a", "a.log"]
    assert (tmp_path / "a.log").exists()
    assert not (tmp_path / "b.log").exists()
    assert (tmp_path / "b.page").read_text() == "old page\n"


def test_a_part_that_others_need_is_not_removed(run: Run, tree: Path, tmp_path: Path) -> None:
    (tree / "sites" / "a").write_text("needed\n")
    (tmp_path / "check").write_text(f"test -e {tree}/sites/a || echo a is needed >&2; test -e {tree}/sites/a\n")
    applied = run(entry(tree / "sites" / "a", state="absent", part="a"), site(tree, "b", "good b\n"))
    assert texts(tree) == {"a": "needed\n", "b": "good b\n"}
    assert [(one.part, one.reason, one.kept) for one in applied.refused] == [("a", "a is needed", True)]


def test_links_and_directories_are_in_the_stage_too(run: Run, tree: Path, tmp_path: Path) -> None:
    (tree / "target").write_text("bad unless replaced\n")
    (tree / "sites" / "x").symlink_to("../target")
    (tmp_path / "check").write_text(f"test \"$(cat {tree}/sites/x {tree}/made/link)\" = 'goodgood'\n")
    applied = run(
        entry(tree / "target", content="good"),
        entry(tree / "made", state="directory"),
        entry(tree / "made" / "link", state="link", target="../sites/x", part="x"),
        site(tree, "a", "good a\n"),
    )
    assert applied.refused == []
    assert changed(applied) == ["target", "made", "link", "a"]


def test_nobody_sees_what_is_only_tried(run: Run, tree: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    (tree / "sites" / "a").write_text("old a\n")
    run(site(tree, "a", "bad a\n"), site(tree, "b", "good b\n"))
    seen = set((tmp_path / "seen").read_text().splitlines())
    if "in a stage" in request.node.name:
        assert seen == {"old a"}


def test_check_mode_foresees_it(run: Run, tree: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    (tree / "sites" / "b").write_text("old b\n")
    wanted = [
        site(tree, "a", "good a\n"),
        entry(tmp_path / "a.log", content="", part="a"),
        site(tree, "b", "bad b\n"),
        site(tree, "c", "good c\n", owner="not-there-yet"),
    ]
    (tmp_path / "check").write_text(f"touch {tmp_path}/a.log\n" + (tmp_path / "check").read_text())
    foreseen = run(*wanted, check=True)
    if "in a stage" in request.node.name:
        assert changed(foreseen) == ["a.log", "a", "c"]
        assert [one.part for one in foreseen.refused] == ["b"]
    else:
        assert foreseen is None, "nothing may be tried in place"
    assert texts(tree) == {"b": "old b\n"}
    assert not (tmp_path / "a.log").exists()


def test_a_link_out_of_the_tree_is_not_written_through(run: Run, tree: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tree / "linked").symlink_to(tmp_path / "elsewhere")
    applied = run(entry(tree / "linked" / "a", content="good a\n", part="a"), site(tree, "b", "bad b\n"))
    assert (tmp_path / "elsewhere" / "a").read_text() == "good a\n"
    assert [one.part for one in applied.refused] == ["b"]


def test_no_secret_is_in_a_reason(run: Run, tree: Path, tmp_path: Path) -> None:
    (tmp_path / "check").write_text(f"cat {tree}/sites/a >&2; echo {tree}/sites/a:1 >&2; ! test -e {tree}/sites/a\n")
    one = entry(tree / "sites" / "a", secret_content="key corr3ct-horse\n", part="a")
    (refused,) = run(one).refused
    assert "corr3ct" not in str(refused)
    assert refused.line == ""

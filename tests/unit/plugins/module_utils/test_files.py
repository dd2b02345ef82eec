"""Which entries are accepted, and what is found to differ, on real files."""

import os
from pathlib import Path

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import file_nodes, files
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files away")

REFUSED = {
    "relative path": ({"path": "etc/x", "content": ""}, "must be absolute"),
    "no path": ({"content": ""}, "must be absolute"),
    "root": ({"path": "//", "state": "directory"}, "'/' cannot be managed"),
    "dots": ({"path": "/etc/../etc/x", "content": ""}, "'..' are not allowed"),
    "NUL": ({"path": "/etc/a\0b", "content": ""}, "NUL"),
    "line break": ({"path": "/etc/a\nb", "content": ""}, "line break"),
    "unknown state": ({"path": "/etc/x", "state": "file"}, "state is 'file'"),
    "no content": ({"path": "/etc/x"}, "none is given"),
    "two contents": ({"path": "/etc/x", "content": "", "secret_content": ""}, "content and secret_content are given"),
    "content of a directory": ({"path": "/srv/x", "state": "directory", "content": "x"}, "content is for files"),
    "validate of a link": ({"path": "/x", "state": "link", "target": "y", "validate": "a %s"}, "validate is for files"),
    "link without target": ({"path": "/etc/x", "state": "link"}, "a link needs a target"),
    "file with target": ({"path": "/etc/x", "content": "", "target": "y"}, "target is for links"),
    "target with NUL": ({"path": "/etc/x", "state": "link", "target": "a\0"}, "target has a NUL"),
    "unquoted octal mode": ({"path": "/etc/x", "content": "", "mode": 0o644}, "mode is the number 420; quote it"),
    "symbolic mode": ({"path": "/etc/x", "content": "", "mode": "u=rw"}, "mode is 'u=rw'; give three or four octal"),
    "decimal mode": ({"path": "/etc/x", "content": "", "mode": "0888"}, "mode is '0888'"),
    "mode of a link": ({"path": "/etc/x", "state": "link", "target": "y", "mode": "0644"}, "mode is for files and"),
    "mapping as content": ({"path": "/etc/x", "content": {"a": 1}}, "content must be text, not dict"),
    "bad base64": ({"path": "/etc/x", "content_base64": "a"}, "content_base64 is not valid base64"),
    "lone surrogate": ({"path": "/etc/x", "content": "\udc80"}, "cannot be written as UTF-8"),
    "owner with a space": ({"path": "/etc/x", "content": "", "owner": "a b"}, "owner is 'a b'"),
    "empty group": ({"path": "/etc/x", "content": "", "group": ""}, "group is ''"),
    "validate without %s": ({"path": "/etc/x", "content": "", "validate": "visudo -c"}, "has no %s"),
    "validate with an open quote": ({"path": "/etc/x", "content": "", "validate": "a 'b %s"}, "cannot be split"),
}


@pytest.mark.parametrize("raw, reason", REFUSED.values(), ids=REFUSED)
def test_refused_without_looking(raw: dict, reason: str) -> None:
    with pytest.raises(RingstandError) as caught:
        files.parse_entry(raw)
    assert reason in caught.value.message
    assert caught.value.message.startswith("Failed to check ")


def test_secret_is_not_in_the_refusal() -> None:
    with pytest.raises(RingstandError) as caught:
        files.parse_entry({"path": "/etc/x", "secret_content": "hunter2-\udc80"})
    assert "hunter2" not in caught.value.message
    assert caught.value.__cause__ is None


def test_defaults() -> None:
    entry = files.parse_entry({"path": "/etc//x/", "content": "ä\n"})
    assert entry == files.Entry("/etc/x", content="ä\n".encode(), mode=0o644)
    assert files.parse_entry({"path": "/srv/x", "state": "directory"}).mode == 0o755
    assert files.parse_entry({"path": "/srv/x", "content_base64": "AP8="}).content == b"\x00\xff"


def entry(path: Path, **options: object) -> files.Entry:
    mine = {"owner": os.geteuid(), "group": os.getegid()}
    return files.parse_entry({"path": str(path), **mine, **options})


def test_nothing_differs(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "file").chmod(0o644)
    (tmp_path / "directory").mkdir(mode=0o755)
    (tmp_path / "link").symlink_to("nowhere")
    wanted = [
        entry(tmp_path / "file", content="x"),
        entry(tmp_path / "directory", state="directory"),
        entry(tmp_path / "link", state="link", target="nowhere"),
        entry(tmp_path / "none", state="absent"),
        entry(tmp_path / "none" / "below", state="absent"),
    ]
    assert files.plan(wanted) == []


@pytest.mark.parametrize(
    "options, differences",
    [
        ({"content": "y"}, ["content"]),
        ({"content": "x", "mode": "0600"}, ["mode"]),
        ({"content": "x", "owner": "4711", "group": "4712"}, ["group", "owner"]),
        ({"content": "y", "mode": "0600"}, ["content", "mode"]),
        ({"state": "absent"}, ["kind"]),
        ({"state": "link", "target": "y"}, ["kind"]),
        ({"content": "y", "force": False}, []),
    ],
)
def test_what_differs(tmp_path: Path, options: dict, differences: list) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "file").chmod(0o644)
    changes = files.plan([entry(tmp_path / "file", **options)])
    assert [change.differences for change in changes] == ([differences] if differences else [])


def refused(wanted: list, reason: str, check: bool = False) -> None:
    with pytest.raises(RingstandError) as caught:
        files.plan(wanted, check)
    assert reason in caught.value.message, caught.value.message


def test_refused_on_this_host(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "to_full").symlink_to("full")
    os.mkfifo(tmp_path / "pipe")
    for check in (False, True):
        refused([entry(tmp_path / "full", content="")], "a directory is there and a file is wanted", check)
        refused([entry(tmp_path / "full", content="", force=False)], "a directory is there", check)
        refused([entry(tmp_path / "full", state="link", target="x")], "a link is wanted", check)
        refused([entry(tmp_path / "full", state="absent")], "not empty ('file'); empty it first", check)
        refused([entry(tmp_path / "full/file", state="directory")], "a file is there and a directory is wanted", check)
        refused([entry(tmp_path / "dangling", state="directory")], "a link is there and a directory is wanted", check)
        refused([entry(tmp_path / "to_full", state="directory")], f"name '{tmp_path}/full' instead", check)
        refused([entry(tmp_path / "dangling/x", content="")], "is a link to 'nowhere', which is not there", check)
        refused([entry(tmp_path / "full/file/x", content="")], "ot a directory", check)
        refused([entry(tmp_path / "pipe", content="")], "a device, pipe or socket is there", check)
        refused([entry(tmp_path / "a", content=""), entry(tmp_path / "a", state="absent")], "listed twice", check)
        refused([entry(tmp_path / "to_full/x", content=""), entry(tmp_path / "full/x", content="")], "twice", check)
        refused([entry(tmp_path / "a", content=""), entry(tmp_path / "a/b", content="")], "is not a directory", check)
        refused([entry(tmp_path / ("n" * 300), content="")], "ame too long", check)
        refused([entry(Path("/etc"), content="")], "directory of the system", check)
        refused([entry(Path("/srv"), state="absent")], "directory of the system", check)
        refused([entry(Path("/tmp"), state="directory")], "use force: false", check)
    assert files.plan([entry(Path("/tmp"), state="directory", force=False)]) == []


def test_not_there_yet_is_refused_but_predicted(tmp_path: Path) -> None:
    wanted = {
        "owner 'nobody-such' is not a user": entry(tmp_path / "a", content="", owner="nobody-such"),
        "group 'nobody-such' is not a group": entry(tmp_path / "b", content="", group="nobody-such"),
        "does not exist; list it before": entry(tmp_path / "none" / "c", content=""),
    }
    for reason, one in wanted.items():
        refused([one], reason)
    assert len(files.plan(wanted.values(), check=True)) == 3


def test_earlier_entries_count(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "file").write_text("")
    wanted = [
        entry(tmp_path / "new", state="directory"),
        entry(tmp_path / "new" / "file", content=""),
        entry(tmp_path / "old" / "file", state="absent"),
        entry(tmp_path / "old", state="absent"),
    ]
    assert len(files.plan(wanted)) == 4


@as_root
def test_a_link_made_by_another_user_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert len(files.plan([entry(tmp_path / "link" / "x", content="")])) == 1
    os.lchown(tmp_path / "link", 4711, 4711)
    refused([entry(tmp_path / "link" / "x", content="")], "symbolic link made by user id 4711")


def test_links_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="too many symbolic links"):
        file_nodes.read_node(str(tmp_path / "a" / "x"))


def test_a_file_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as handle:
        handle.truncate(file_nodes.LARGEST_FILE_BYTES + 1)
    refused([entry(tmp_path / "log", content="")], "bytes is there")

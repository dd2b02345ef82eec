"""How a source's archive reaches the host program: with the call when it is small, else as a file."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils.handed_over import OPTIONS, archive_path
from ansible_collections.ringstand.flask.plugins.plugin_utils import source_action
from ansible_collections.ringstand.flask.plugins.plugin_utils.source_archive import ResolvedSource


class Module:
    """What is asked of a module, which makes its directory only when it is asked for it."""

    def __init__(self, directory: Path | None, **params: str | None) -> None:
        self.params = {**dict.fromkeys(OPTIONS), **params}
        self._directory = directory

    @property
    def tmpdir(self) -> str:
        assert self._directory, "a directory was made"
        return str(self._directory)


def test_what_came_with_the_call_is_a_private_file_and_then_gone(tmp_path: Path) -> None:
    content = bytes(range(256))
    with archive_path(Module(tmp_path, archive_content=base64.b64encode(content).decode())) as path:
        assert Path(path).read_bytes() == content
        assert os.stat(path).st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == []


def test_it_is_gone_after_a_failure_too(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no"), archive_path(Module(tmp_path, archive_content="AA==")):
        raise ValueError("no")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("given", ["/tmp/source.tar", None])
def test_a_file_that_was_transferred_stays_and_without_one_nothing_is_made(given: str | None) -> None:
    with archive_path(Module(None, archive=given)) as path:
        assert path == (given or "")


def test_what_a_source_holds_is_not_written_down() -> None:
    assert OPTIONS["archive_content"]["no_log"]


class Shell:
    tmpdir = None

    def join_path(self, *parts: str) -> str:
        return "/".join(parts)


class Action(source_action.SourceAction):
    """Without Ansible: only what handing over asks of it."""

    def __init__(self) -> None:
        self._connection: Any = type("Connection", (), {"_shell": Shell()})
        self.sent: list[tuple[int, str]] = []

    def _make_tmp_path(self, remote_user: str | None = None) -> str:
        return "/remote"

    def _transfer_file(self, local_path: str, remote_path: str) -> str:
        self.sent.append((os.path.getsize(local_path), remote_path))
        return remote_path


@pytest.mark.parametrize(("size", "transferred"), [(1000, False), (512 * 1024, False), (512 * 1024 + 1, True)])
def test_a_large_one_is_transferred(size: int, transferred: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_action, "pack", lambda _source, _resolved, target: Path(target).write_bytes(b"x" * size))
    action = Action()
    given = action._hand_over({}, ResolvedSource("5eed", "v1"))
    if transferred:
        assert given == {"archive": "/remote/source.tar"}
        assert action.sent == [(size, "/remote/source.tar")]
    else:
        assert base64.b64decode(given["archive_content"]) == b"x" * size
        assert not action.sent

"""What a module makes of the program's answers."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import host_program
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError

FAILED = '{"result": "failed", "reason": "Failed to import", "details": {"rc": 1, "output": "Traceback"}}'


def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    path = tmp_path / "ringstand"
    path.write_text(f"#!/bin/sh\necho $* > {tmp_path}/arguments\necho '{answer}'\n")
    path.chmod(0o755)
    monkeypatch.setattr(host_program, "PROGRAM", str(path))


def test_an_answer_is_returned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, monkeypatch, '{"result": "ok", "release": "x"}')
    assert host_program.call("restart", "shop")["release"] == "x"
    assert (tmp_path / "arguments").read_text() == f"--json --protocol {host_program.PROTOCOL} restart shop\n"


def test_a_failure_keeps_its_reason_and_details(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, monkeypatch, FAILED)
    with pytest.raises(RingstandError) as caught:
        host_program.call("deploy", "shop")
    assert caught.value.message == "Failed to import"
    assert (caught.value.details["rc"], caught.value.details["output"]) == (1, "Traceback")


def test_an_answer_that_is_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, monkeypatch, "no json")
    with pytest.raises(RingstandError, match="Failed to read the answer of .* status: 'no json'"):
        host_program.call("status")


def test_a_program_of_another_protocol_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    host_program.check_protocol(None)
    host_program.check_protocol(host_program.PROTOCOL)
    with pytest.raises(RingstandError, match="this collection speaks 99"):
        host_program.check_protocol(99)


def test_without_the_program_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_program, "PROGRAM", "/nonexistent/ringstand")
    with pytest.raises(RingstandError, match=r"Run site.yml"):
        host_program.call("status")

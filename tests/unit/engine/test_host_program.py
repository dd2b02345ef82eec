"""What a module makes of the program's answers."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import host_program
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError

FAILED = '{"result": "failed", "reason": "Failed to import", "details": {"rc": 1, "output": "Traceback"}}'


def program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, protocol: object = host_program.PROTOCOL
) -> None:
    path = tmp_path / "ringstand"
    path.write_text(f"#!/bin/sh\ncase $2 in version) echo '{{\"protocol\": {protocol}}}';; *) echo '{answer}';; esac\n")
    path.chmod(0o755)
    monkeypatch.setattr(host_program, "PROGRAM", str(path))


def test_an_answer_is_returned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, monkeypatch, '{"result": "ok", "release": "x"}')
    assert host_program.call("restart", "shop")["release"] == "x"


def test_a_failure_keeps_its_reason_and_details(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, monkeypatch, FAILED)
    with pytest.raises(RingstandError) as caught:
        host_program.call("deploy", "shop")
    assert caught.value.message == "Failed to import"
    assert (caught.value.details["rc"], caught.value.details["output"]) == (1, "Traceback")


@pytest.mark.parametrize(
    ("answer", "protocol", "reason"),
    [("{}", 99, "it speaks protocol 99"), ("no json", host_program.PROTOCOL, "Failed to read the answer")],
)
def test_a_program_that_does_not_fit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, protocol: int, reason: str
) -> None:
    program(tmp_path, monkeypatch, answer, protocol)
    with pytest.raises(RingstandError, match=reason):
        host_program.call("status")


def test_without_the_program_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_program, "PROGRAM", "/nonexistent/ringstand")
    with pytest.raises(RingstandError, match=r"Run site.yml"):
        host_program.call("status")

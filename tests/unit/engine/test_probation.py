"""Probation: a dead process is seen at once, bad answers when there are two in a row."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils.health import HealthCheck
from ansible_collections.ringstand.flask.plugins.module_utils.probation import failure_within

# Takes its listener from its parent, as a slot takes it from systemd; answers with the statuses given, then with 200.
SERVER = """
import socket, sys, time
listener, lifetime, statuses = socket.socket(fileno=0), float(sys.argv[1]), sys.argv[2:]
listener.settimeout(0.05)
end = time.monotonic() + lifetime
while time.monotonic() < end:
    try:
        connection, _ = listener.accept()
    except TimeoutError:
        continue
    connection.recv(65536)
    status = statuses.pop(0) if statuses else "200"
    connection.sendall(f"HTTP/1.1 {status} X\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n".encode())
    connection.close()
"""


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "slot.sock"))
        listening.listen()
        yield listening


def watch(listener: socket.socket, lifetime: float, *statuses: str, seconds: float = 2) -> tuple[str | None, float]:
    command = [sys.executable, "-c", SERVER, str(lifetime), *statuses]
    with subprocess.Popen(command, stdin=listener.fileno()) as process:
        check = HealthCheck(socket_path=listener.getsockname(), path="/health")
        started = time.monotonic()
        failure = failure_within(check, seconds, process.pid)
        process.kill()
        return failure, time.monotonic() - started


def test_a_release_that_does_well_passes(listener: socket.socket) -> None:
    failure, seconds = watch(listener, 60)
    assert failure is None
    assert 2 <= seconds < 4


def test_a_death_is_seen_at_once_although_the_socket_stays_open(listener: socket.socket) -> None:
    failure, seconds = watch(listener, 0.5, seconds=20)
    assert failure == "its main process died"
    assert seconds < 4  # far less than the 5 s that a question waits in the queue


def test_one_bad_answer_is_forgiven(listener: socket.socket) -> None:
    assert watch(listener, 60, "500", "200", "500", seconds=3)[0] is None


def test_two_bad_answers_in_a_row_are_not(listener: socket.socket) -> None:
    failure, _seconds = watch(listener, 60, "200", "500", "500", seconds=20)
    assert failure is not None
    assert "500" in failure


@pytest.mark.parametrize("gone", [0, 2**22 + 1])
def test_a_process_that_is_gone_already(listener: socket.socket, gone: int) -> None:
    check = HealthCheck(socket_path=listener.getsockname(), path="/health")
    assert failure_within(check, 1, gone) == "its main process died"

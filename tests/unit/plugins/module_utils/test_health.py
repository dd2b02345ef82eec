# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Health checks against real servers that behave, misbehave, hang, and die."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.health import HealthCheck, observe, wait_healthy
from health_server import answer, certificate, reply, tcp, unix  # type: ignore[import-not-found]

FAST: dict[str, Any] = {"consecutive": 1, "timeout_seconds": 0.5, "request_timeout_seconds": 0.3}


def endless_body(connection: socket.socket, _number: int) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b"x" * 65536)


def slow_drip(connection: socket.socket, _number: int) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b"x" * 100:
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


def endless_headers(connection: socket.socket, _number: int) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X-Header: x\r\n")


def silence(connection: socket.socket, _number: int) -> None:
    connection.recv(1)


def cut_body(connection: socket.socket, _number: int) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nOK")


def not_http(connection: socket.socket, _number: int) -> None:
    connection.sendall(b"220 mail.example.com ESMTP\r\n")


def chunked(connection: socket.socket, _number: int) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nO")
    time.sleep(0.02)
    connection.sendall(b"K\r\n0\r\n\r\n")


JSON = b'{"status": "ok", "checks": {"database": "ok", "lag": 0}, "n": 1, "extra": [1]}'


@pytest.mark.parametrize(
    ("handler", "options"),
    [
        (answer(), {}),
        (answer("200 OK", b""), {}),
        (answer("204 No Content", b""), {"status": [200, 204]}),
        (answer("301 Moved", b"", "Location: /x"), {"status": [301]}),
        (answer("401 Unauthorized"), {"status": [401]}),
        (answer("200 OK", b"<!DOCTYPE html><h1>Sign in</h1>"), {"text": "Sign in"}),
        (answer("200 OK", b"OK", "Content-Type: text/html"), {}),
        (answer("200 OK", JSON), {"json": {"status": "ok", "checks": {"database": "ok"}, "extra": [1]}}),
        (answer("200 OK", "größe".encode()), {"text": "größe"}),
        (answer("200 OK", b"x", "Server: shop/20260101-abc"), {"release": "shop/20260101-abc"}),
        (answer("200 OK", b"x" * 10), {"max_body_bytes": 10}),
        (answer("200 OK", b"ready" + b"x" * 100), {"max_body_bytes": 10, "text": "ready"}),
        (chunked, {"text": "OK"}),
    ],
)
def test_healthy(handler: Callable[..., None], options: dict[str, Any]) -> None:
    with tcp(handler) as (_server, port):
        result = wait_healthy(HealthCheck(url=f"http://127.0.0.1:{port}/health", **{**FAST, **options}))
    assert (result.healthy, result.attempts, result.reason) == (True, 1, ""), result.seen
    assert len(result.latencies_ms) == 1


@pytest.mark.parametrize(
    ("handler", "options", "seen"),
    [
        (answer("500 Error", b"the trace"), {}, ["status 500 instead of 200", "text 'the trace'"]),
        (answer("301 Moved", b"", "Location: /health/"), {}, ["status 301 (to '/health/'", "not followed"]),
        (answer("401 Unauthorized"), {"status": [200, 204]}, ["status 401 instead of 200 or 204"]),
        (answer("200 OK", b"\n<!doctype html><h1>Log in"), {}, ["HTML page", "set 'text'"]),
        (answer("200 OK", b"<HTML lang=en>"), {}, ["HTML page"]),
        (answer("200 OK", b"starting"), {"text": "ready"}, ["'ready' is not in the answer", "text 'starting'"]),
        (answer("200 OK", b"starting"), {"json": {"a": 1}}, ["not JSON"]),
        (answer("200 OK", b"[]"), {"json": {"a": 1}}, ["JSON answer is [] instead of an object"]),
        (answer("200 OK", JSON), {"json": {"status": "bad"}}, ["field status is 'ok' instead of 'bad'"]),
        (answer("200 OK", JSON), {"json": {"checks": {"redis": "ok"}}}, ["field checks.redis is missing"]),
        (answer("200 OK", JSON), {"json": {"n": True}}, ["field n is 1 instead of True"]),
        (answer("200 OK", JSON), {"json": {"status": "ok"}, "max_body_bytes": 20}, ["longer than 20 bytes"]),
        (answer("200 OK", b"x" * 5 + b"ready"), {"text": "ready", "max_body_bytes": 5}, ["not in the answer"]),
        (answer("200 OK", b"x", "Server: shop/old"), {"release": "shop/new"}, ["'shop/old' instead of release"]),
        (answer("200 OK", b"x", "Server: shop/new2"), {"release": "shop/new"}, ["'shop/new2' instead of"]),
        (answer("200 OK", b"x"), {"release": "shop/new"}, ["an unnamed server"]),
        (answer("200 OK", b"x" * 500), {"status": [201]}, [f"text '{'x' * 200}'"]),
        (endless_body, {}, ["longer than 65536 bytes (max_body_bytes)"]),
        (endless_headers, {}, ["got more than 100 headers"]),
        (slow_drip, {}, ["no complete answer in time"]),
        (silence, {}, ["no complete answer in time"]),
        (cut_body, {}, ["IncompleteRead"]),
        (not_http, {}, ["BadStatusLine: 220 mail.example.com"]),
    ],
)
def test_not_healthy_says_what_was_seen(handler: Callable[..., None], options: dict[str, Any], seen: list[str]) -> None:
    with tcp(handler) as (_server, port):
        result = wait_healthy(HealthCheck(url=f"http://127.0.0.1:{port}/health", **{**FAST, **options}))
    assert not result.healthy
    for words in [*seen, " in 0.5 s"]:
        assert words in result.seen
    assert len(result.text) <= 200


def accepts_nothing(path: Path) -> tuple[socket.socket, HealthCheck]:
    """A listener whose queue is full: on a unix socket the next connection is refused, on TCP it hangs."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    for _connection in range(4):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(listener.getsockname())
    return listener, HealthCheck(url=f"http://127.0.0.1:{listener.getsockname()[1]}/", timeout_seconds=1)


@pytest.mark.parametrize("handler", [answer("503 No"), slow_drip, silence, endless_headers, endless_body])
@pytest.mark.parametrize("interval", [0.0, 0.2, 5.0])
def test_the_total_timeout_is_kept(handler: Callable[..., None], interval: float) -> None:
    with tcp(handler) as (_server, port):
        check = HealthCheck(url=f"http://127.0.0.1:{port}/", timeout_seconds=1, interval_seconds=interval)
        started = time.monotonic()
        result = wait_healthy(check)
    assert not result.healthy
    assert 0.9 <= time.monotonic() - started <= 2  # a busy machine may need that; without a limit it takes longer


def test_the_total_timeout_is_kept_when_nobody_accepts(tmp_path: Path) -> None:
    listener, check = accepts_nothing(tmp_path)
    with listener:
        started = time.monotonic()
        result = wait_healthy(check)
    assert not result.healthy
    assert 0.9 <= time.monotonic() - started <= 1.1
    assert "no complete answer in time" in result.seen


def test_the_total_timeout_is_kept_when_names_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_args: Any, **_options: Any) -> list[Any]:
        time.sleep(3)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    started = time.monotonic()
    assert not wait_healthy(HealthCheck(url="http://shop.example.com/", timeout_seconds=1)).healthy
    assert 0.9 <= time.monotonic() - started <= 1.1


def test_refused_then_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with contextlib.ExitStack() as servers:
        timer = threading.Timer(0.5, lambda: servers.enter_context(tcp(answer(), port=port)))
        timer.start()
        result = wait_healthy(HealthCheck(url=f"http://127.0.0.1:{port}/", timeout_seconds=5, interval_seconds=0.05))
        timer.join()
    assert result.healthy
    assert result.attempts > 3
    assert "ConnectionRefusedError" in result.exception


def test_a_row_that_breaks_starts_again() -> None:
    def third_fails(connection: socket.socket, number: int) -> None:
        connection.sendall(reply("503 No") if number == 3 else reply())

    with tcp(third_fails) as (_server, port):
        result = wait_healthy(HealthCheck(url=f"http://127.0.0.1:{port}/", interval_seconds=0.01))
    assert (result.healthy, result.attempts, result.successes) == (True, 6, 5)


def test_an_attempt_that_the_total_cuts_short_does_not_hide_what_was_seen() -> None:
    def then_silent(connection: socket.socket, number: int) -> None:
        connection.sendall(reply("503 No")) if number == 1 else connection.recv(1)

    with tcp(then_silent) as (_server, port):
        result = wait_healthy(HealthCheck(url=f"http://127.0.0.1:{port}/", timeout_seconds=1))
    assert (result.attempts, result.reason, result.exception) == (2, "status 503 instead of 200", "")


def test_time_over_within_a_row_says_so() -> None:
    with tcp(answer()) as (_server, port):
        check = HealthCheck(url=f"http://127.0.0.1:{port}/", timeout_seconds=0.5, consecutive=100)
        result = wait_healthy(check)
    assert not result.healthy
    assert "of 100 consecutive good answers in time" in result.reason


def test_a_dead_unit_ends_the_waiting() -> None:
    reasons = iter([None, None, "the unit failed"])
    started = time.monotonic()
    result = wait_healthy(HealthCheck(socket_path="/nonexistent"), alive=lambda: next(reasons))
    assert (result.healthy, result.reason, result.attempts) == (False, "the unit failed", 2)
    assert "FileNotFoundError" in result.seen
    assert time.monotonic() - started < 2


def test_observe_sees_an_app_that_dies_after_a_while(tmp_path: Path) -> None:
    started = time.monotonic()

    def dies(connection: socket.socket, _number: int) -> None:
        connection.sendall(reply() if time.monotonic() - started < 1 else reply("500 Dead"))

    with unix(tmp_path / "app.sock", dies):
        check = HealthCheck(socket_path=str(tmp_path / "app.sock"))
        assert wait_healthy(check).healthy
        result = observe(check, 5)
    assert not result.healthy
    assert "status 500" in result.seen
    assert 0.9 < time.monotonic() - started < 2


def test_observe_lasts_as_long_as_it_should(tmp_path: Path) -> None:
    with unix(tmp_path / "app.sock", answer()) as server:
        result = observe(HealthCheck(socket_path=str(tmp_path / "app.sock")), 1)
    assert result.healthy
    assert 0.9 <= result.seconds <= 1.1
    assert len(server.heads) == result.attempts >= 5
    dead = observe(HealthCheck(socket_path=str(tmp_path / "app.sock")), 1, alive=lambda: "the unit failed")
    assert (dead.healthy, dead.reason) == (False, "the unit failed")


def test_the_request_through_a_socket(tmp_path: Path) -> None:
    with unix(tmp_path / "app.sock", answer()) as server:
        options = {"path": "/up/?full=1", "host": "shop.example.com", "headers": {"X-Forwarded-Proto": "https"}}
        check = HealthCheck(socket_path=str(tmp_path / "app.sock"), **{**FAST, **options})
        assert wait_healthy(check).healthy
    assert server.heads[0].startswith("GET /up/?full=1 HTTP/1.1\r\nHost: shop.example.com\r\n")
    assert "\r\nX-Forwarded-Proto: https\r\n" in server.heads[0]
    assert check.target == f"http://shop.example.com/up/?full=1 over {tmp_path}/app.sock"


def test_tls_with_another_address(tmp_path: Path) -> None:
    path, context = certificate(tmp_path, "shop.example.com")
    with tcp(answer(), context) as (server, port):
        options = {**FAST, "url": "https://shop.example.com/health", "connect_address": f"127.0.0.1:{port}"}
        assert wait_healthy(HealthCheck(**options, ca_path=str(path))).healthy
        assert wait_healthy(HealthCheck(**options, verify=False)).healthy
        unknown = wait_healthy(HealthCheck(**options))
        options["url"] = "https://other.example.com/health"
        mismatch = wait_healthy(HealthCheck(**options, ca_path=str(path)))
    assert "certificate verify failed" in unknown.seen
    assert "other.example.com" in mismatch.seen
    assert all("\r\nHost: shop.example.com\r\n" in head for head in server.heads if head.strip())


def test_plain_http_where_tls_is_wanted_and_a_handshake_that_hangs() -> None:
    for handler in (not_http, silence):
        with tcp(handler) as (_server, port):
            started = time.monotonic()
            result = wait_healthy(HealthCheck(url=f"https://127.0.0.1:{port}/", timeout_seconds=1))
        assert not result.healthy
        assert 0.9 <= time.monotonic() - started <= 1.1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "give url or socket_path"),
        ({"url": "shop.example.com/health"}, "http(s)://host"),
        ({"url": "ftp://shop.example.com/"}, "http(s)://host"),
        ({"url": "http://shop.example.com:99999/"}, "99999"),
        ({"url": "http://user:pass@shop.example.com/"}, "Authorization"),
        ({"url": "http://shop.example.com/a b"}, "path '/a b'"),
        ({"url": "http://grün.example.com/"}, "punycode"),
        ({"socket_path": "run/app.sock"}, "socket_path 'run/app.sock'"),
        ({"socket_path": "/s", "path": "health"}, "path 'health'"),
        ({"socket_path": "/s", "path": "/a\r\nX: y"}, "path"),
        ({"socket_path": "/s", "host": "a\r\nb"}, "host"),
        ({"socket_path": "/s", "status": []}, "status []"),
        ({"socket_path": "/s", "status": [20]}, "status [20]"),
        ({"socket_path": "/s", "consecutive": 0}, "consecutive 0"),
        ({"socket_path": "/s", "timeout_seconds": 0}, "timeout_seconds 0"),
        ({"socket_path": "/s", "request_timeout_seconds": -1}, "request_timeout_seconds -1"),
        ({"socket_path": "/s", "interval_seconds": -1}, "interval_seconds -1"),
        ({"socket_path": "/s", "max_body_bytes": 0}, "max_body_bytes 0"),
        ({"socket_path": "/s", "ca_path": "/nonexistent"}, "ca_path '/nonexistent'"),
        ({"socket_path": "/s", "headers": {"A B": "c"}}, "headers 'A B'"),
        ({"socket_path": "/s", "headers": {"A": "c\r\nd"}}, "headers 'A'"),
        ({"socket_path": "/s", "headers": {"Host": "shop"}}, "headers 'Host'"),
    ],
)
def test_bad_input(options: dict[str, Any], words: str) -> None:
    with pytest.raises(RingstandError) as caught:
        HealthCheck(**options)
    assert words in caught.value.message
    assert caught.value.message.startswith("Failed to check health: ")
    assert "pass@" not in caught.value.message

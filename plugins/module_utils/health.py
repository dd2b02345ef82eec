# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ask a web application whether it is healthy, until it is or time is up.

A check is a description (``HealthCheck``); ``wait_healthy`` repeats it until enough answers in a row are good,
``observe`` repeats it for some seconds and wants every answer to be good. Redirects are not followed, bodies are
read up to a limit, and every wait (name, connection, handshake, header, body) counts against one deadline.
"""

from __future__ import annotations

import functools
import http.client
import io
import ipaddress
import json
import os
import re
import socket
import ssl
import threading
import time
from dataclasses import asdict, dataclass, field
from typing import Any, Callable, Optional
from urllib.parse import urlsplit

from .errors import RingstandError

Alive = Optional[Callable[[], Optional[str]]]

SHOWN_CHARACTERS = 200
KEPT_LATENCIES = 100
_UNUSABLE = re.compile(r"[^\x21-\x7e]")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_RULE = "a name has no spaces, a value no line breaks, and Host is the option 'host'"
_HTML = re.compile(rb"\s*(<!doctype\s+html|<html[\s>])", re.IGNORECASE)


@dataclass
class HealthCheck:
    """What to ask, where, and which answer is healthy.

    Give ``url``, or ``socket_path`` and ``path`` for a unix socket. ``connect_address`` ("address" or
    "address:port") is where the connection goes when that is not the host of the URL; TLS still verifies the URL's
    host. ``host`` is the Host header. ``release`` must be one of the words of the ``Server`` header.
    ``json`` has to be contained in the answer, nested objects included; ``text`` has to occur in it.
    """

    url: str = ""
    path: str = "/health"
    socket_path: str = ""
    host: str = ""
    scheme: str = "http"
    connect_address: str = ""
    status: list[int] = field(default_factory=lambda: [200])
    json: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    release: str | None = None
    consecutive: int = 3
    timeout_seconds: float = 60.0
    request_timeout_seconds: float = 5.0
    interval_seconds: float = 0.2
    max_body_bytes: int = 65536
    ca_path: str = ""
    verify: bool = True
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        target = _Target.of(self)
        status_known = bool(self.status) and all(100 <= status <= 599 for status in self.status)
        positive = "give a number above 0"
        socket_path, host = self.socket_path, target.host_header
        for good, option, value, remedy in (
            (socket_path == "" or socket_path.startswith("/"), "socket_path", socket_path, "make it absolute"),
            (self.path.startswith("/"), "path", self.path, "begin it with '/'"),
            (not _UNUSABLE.search(target.path), "path", target.path, "percent-encode what is not plain ASCII"),
            (not _UNUSABLE.search(host), "host", host, "write name[:port], an international name as punycode"),
            (status_known, "status", self.status, "list HTTP status codes from 100 to 599"),
            (self.consecutive >= 1, "consecutive", self.consecutive, "give 1 or more"),
            (self.timeout_seconds > 0, "timeout_seconds", self.timeout_seconds, positive),
            (self.request_timeout_seconds > 0, "request_timeout_seconds", self.request_timeout_seconds, positive),
            (self.interval_seconds >= 0, "interval_seconds", self.interval_seconds, "give 0 or more"),
            (self.max_body_bytes >= 1, "max_body_bytes", self.max_body_bytes, "give 1 or more"),
            (os.path.exists(self.ca_path or "/"), "ca_path", self.ca_path, "give a file or directory that exists"),
            *((_is_header(name, text), "headers", name, _HEADER_RULE) for name, text in self.headers.items()),
        ):
            if not good:
                raise RingstandError(f"Failed to check health: {option} {value!r} is not usable: {remedy}")

    @property
    def target(self) -> str:
        """The checked address for people."""
        target = _Target.of(self)
        where = f" over {self.socket_path}" if self.socket_path else ""
        where += f" at {self.connect_address}" if self.connect_address else ""
        return f"{target.scheme}://{target.host_header}{target.path}{where}"


@dataclass
class HealthResult:
    """What was seen. ``status``, ``server`` and ``text`` are of the last answer, ``exception`` the last one met."""

    healthy: bool = False
    attempts: int = 0
    successes: int = 0
    latencies_ms: list[float] = field(default_factory=list)
    status: int | None = None
    server: str = ""
    text: str = ""
    exception: str = ""
    reason: str = ""
    seconds: float = 0.0

    @property
    def seen(self) -> str:
        """One sentence for people: why not healthy, and what was seen last."""
        parts = [self.reason] if self.reason else []
        if self.status is not None:
            parts.append(
                f"last answer: status {self.status}"
                + (f", Server {self.server!r}" if self.server else "")
                + f", text {self.text!r}"
            )
        if self.exception and self.exception not in self.reason:
            parts.append(f"last exception: {self.exception}")
        parts.append(f"{self.attempts} attempt{'' if self.attempts == 1 else 's'} in {self.seconds:.1f} s")
        return "; ".join(parts)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for a module's result."""
        return {**asdict(self), "seen": self.seen}


def wait_healthy(check: HealthCheck, alive: Alive = None) -> HealthResult:
    """Repeat the check until ``consecutive`` answers in a row are good, or ``timeout_seconds`` are over.

    ``alive`` is asked before each attempt; a text that it returns ends the waiting at once and becomes the reason.
    """
    result = HealthResult()
    started = time.monotonic()
    deadline = started + check.timeout_seconds
    row = 0
    while True:
        dead = alive() if alive else None
        if dead:
            result.reason = dead
            break
        problem = _attempt(check, result, deadline)
        row = 0 if problem else row + 1
        result.reason = problem or ""
        if row >= check.consecutive:
            result.healthy = True
            break
        left = deadline - time.monotonic()
        time.sleep(max(0.0, min(check.interval_seconds, left)))
        if left <= check.interval_seconds:
            result.reason = problem or f"only {row} of {check.consecutive} consecutive good answers in time"
            break
    result.seconds = round(time.monotonic() - started, 3)
    return result


def observe(check: HealthCheck, seconds: float, alive: Alive = None) -> HealthResult:
    """Repeat the check for some seconds; the first answer that is not good makes it unhealthy."""
    result = HealthResult(healthy=True)
    started = time.monotonic()
    while True:
        problem = (alive() if alive else None) or _attempt(check, result, float("inf"))
        if problem:
            result.healthy, result.reason = False, problem
            break
        if time.monotonic() - started >= seconds:
            break
        time.sleep(max(0.0, min(check.interval_seconds, started + seconds - time.monotonic())))
    result.seconds = round(time.monotonic() - started, 3)
    return result


def _attempt(check: HealthCheck, result: HealthResult, deadline: float) -> str | None:
    """Ask once, note what was seen; None when healthy, else the reason."""
    result.attempts += 1
    started = time.monotonic()
    try:
        answer = _ask(check, min(deadline, started + check.request_timeout_seconds))
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, (socket.timeout, TimeoutError)):
            if result.reason and deadline < started + check.request_timeout_seconds:
                return result.reason  # the total cut this attempt short: what was seen before tells more
            result.exception = "no complete answer in time"
        else:
            result.exception = f"{type(error).__name__}: {error}"
        return result.exception
    result.latencies_ms = [*result.latencies_ms, round((time.monotonic() - started) * 1000, 1)][-KEPT_LATENCIES:]
    result.status, result.server = answer.status, answer.server
    result.text = answer.body[: SHOWN_CHARACTERS * 4].decode("utf-8", "replace")[:SHOWN_CHARACTERS]
    problem = _judge(check, answer)
    result.successes += problem is None
    return problem


def _is_header(name: str, value: str) -> bool:
    return bool(_HEADER_NAME.fullmatch(name)) and not re.search(r"[\r\n\0]", value) and name.lower() != "host"


@dataclass
class _Answer:
    status: int
    server: str
    location: str
    body: bytes
    longer: bool


def _judge(check: HealthCheck, answer: _Answer) -> str | None:
    if answer.status not in check.status:
        expected = " or ".join(str(status) for status in check.status)
        to = f" (to {answer.location!r}; redirects are not followed)" if answer.location else ""
        return f"status {answer.status}{to} instead of {expected}"
    if check.release and check.release not in answer.server.split():
        return f"answered by {answer.server or 'an unnamed server'!r} instead of release {check.release!r}"
    if check.text and check.text not in answer.body.decode("utf-8", "replace"):
        return f"the text {check.text!r} is not in the answer"
    if check.text and not check.json:
        return None
    if answer.longer:
        return f"the answer is longer than {check.max_body_bytes} bytes (max_body_bytes)"
    if check.json:
        try:
            found = json.loads(answer.body)
        except ValueError:
            return "the answer is not JSON"
        return _missing(check.json, found, "")
    if _HTML.match(answer.body):
        return "the answer is an HTML page; when that is meant, set 'text' to a text that only this page contains"
    return None


def _missing(expected: Any, found: Any, where: str) -> str | None:
    """The first place where ``found`` does not contain ``expected``."""
    if isinstance(expected, dict):
        if not isinstance(found, dict):
            return f"JSON {where or 'answer'} is {found!r:.100} instead of an object"
        for key, value in expected.items():
            inner = f"{where}.{key}" if where else str(key)
            if key not in found:
                return f"JSON field {inner} is missing"
            problem = _missing(value, found[key], inner)
            if problem:
                return problem
        return None
    same = expected == found and isinstance(expected, bool) == isinstance(found, bool)
    return None if same else f"JSON field {where} is {found!r:.100} instead of {expected!r}"


@dataclass
class _Target:
    scheme: str
    address: str
    port: int
    host_header: str
    server_name: str
    path: str

    @staticmethod
    def of(check: HealthCheck) -> _Target:
        """Resolve what the check leaves open; raises RingstandError for an address that cannot be meant."""
        url = check.url or f"{check.scheme}://{check.host or 'localhost'}{check.path}"
        try:
            parts = urlsplit(url)
            port = parts.port
            direct = urlsplit(f"//{check.connect_address}")
            direct_port = direct.port
        except ValueError as error:
            raise RingstandError(f"Failed to check health: url {url!r} is not usable: {error}") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise RingstandError(f"Failed to check health: url {url!r} is not usable: write http(s)://host[:port]/path")
        if parts.username is not None:
            raise RingstandError("Failed to check health: url holds a user name: pass an Authorization header instead")
        if not (check.url or check.socket_path or check.host):
            raise RingstandError("Failed to check health: there is no address: give url or socket_path")
        port = port or (443 if parts.scheme == "https" else 80)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return _Target(
            parts.scheme,
            direct.hostname or parts.hostname,
            direct_port or port,
            check.host or parts.netloc,
            parts.hostname,
            path,
        )


def _ask(check: HealthCheck, deadline: float) -> _Answer:
    target = _Target.of(check)
    sock = _connect(check, target, deadline)
    try:
        if target.scheme == "https":
            sock.settimeout(_left(deadline))
            sock = _tls_context(check.ca_path, check.verify).wrap_socket(sock, server_hostname=target.server_name)
        connection = http.client.HTTPConnection(target.server_name)
        connection.sock = _DeadlineSocket(sock, deadline)
        headers = {
            "Host": target.host_header,
            "User-Agent": "ringstand-health-check",
            "Accept": "*/*",
            "Connection": "close",
            **check.headers,
        }
        connection.putrequest("GET", target.path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        body = response.read(check.max_body_bytes + 1)
        if len(body) <= check.max_body_bytes and response.length:
            raise http.client.IncompleteRead(body, response.length)
        return _Answer(
            response.status,
            " ".join(response.headers.get_all("Server", [])),
            response.headers.get("Location", ""),
            body[: check.max_body_bytes],
            len(body) > check.max_body_bytes,
        )
    finally:
        sock.close()


@functools.lru_cache(maxsize=4)
def _tls_context(ca_path: str, verify: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_path:
        in_directory = os.path.isdir(ca_path)
        context.load_verify_locations(capath=ca_path) if in_directory else context.load_verify_locations(ca_path)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _connect(check: HealthCheck, target: _Target, deadline: float) -> socket.socket:
    if check.socket_path:
        return _connected(socket.AF_UNIX, check.socket_path, deadline)
    error: OSError = OSError(f"{target.address} has no address")
    for family, address in _resolve(target.address, target.port, deadline):
        try:
            return _connected(family, address, deadline)
        except OSError as refused:
            error = refused
    raise error


def _connected(family: int, address: Any, deadline: float) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(_left(deadline))
        sock.connect(address)
    except OSError:
        sock.close()
        raise
    return sock


def _resolve(name: str, port: int, deadline: float) -> list[tuple[int, Any]]:
    """Addresses of a name. The resolver knows no timeout, so a name is looked up in a thread that may be left."""
    found: list[tuple[int, Any]] = []
    errors: list[OSError] = []

    def look_up() -> None:
        try:
            found.extend((info[0], info[4]) for info in socket.getaddrinfo(name, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            errors.append(error if isinstance(error, OSError) else OSError(f"{name!r} is not a host name"))

    try:
        ipaddress.ip_address(name)
    except ValueError:
        thread = threading.Thread(target=look_up, daemon=True)
        thread.start()
        thread.join(_left(deadline))
    else:
        look_up()
    if errors:
        raise errors[0]
    if not found:
        raise socket.timeout(f"no address of {name} in time")
    return found


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise socket.timeout("no complete answer in time")
    return left


class _DeadlineSocket:
    """What http.client needs of a socket, with one deadline for all reads instead of a timeout for each."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline

    def sendall(self, data: bytes) -> None:
        self._sock.settimeout(_left(self._deadline))
        self._sock.sendall(data)

    def makefile(self, *_args: Any, **_options: Any) -> io.BufferedReader:
        return io.BufferedReader(_DeadlineReader(self._sock, self._deadline))

    def close(self) -> None:
        """http.client closes before it reads the body of a last answer; whoever opened the socket closes it."""


class _DeadlineReader(io.RawIOBase):
    def __init__(self, sock: socket.socket, deadline: float) -> None:
        super().__init__()
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(_left(self._deadline))
        return self._sock.recv_into(buffer)

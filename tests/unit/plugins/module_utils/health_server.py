# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Real servers in threads, over TCP, TLS or a unix socket, that answer as badly as a test wants."""

from __future__ import annotations

import contextlib
import itertools
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

Handler = Callable[[socket.socket, int], None]


def reply(status: str = "200 OK", body: bytes = b"OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def answer(*args: str | bytes) -> Handler:
    """Send the same reply to each request; arguments as for reply()."""

    def handle(connection: socket.socket, _number: int) -> None:
        connection.sendall(reply(*args))  # type: ignore[arg-type]

    return handle


class Server:
    """Calls ``handler(connection, number)`` once the head of a request is there; ``heads`` keeps those."""

    def __init__(self, listener: socket.socket, handler: Handler, tls: ssl.SSLContext | None = None) -> None:
        self.heads: list[str] = []
        self.stop = threading.Event()
        self._listener = listener
        self._handler = handler
        self._tls = tls
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            for number in itertools.count(1):
                connection, _address = self._listener.accept()
                threading.Thread(target=self._serve, args=[connection, number], daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError), connection:
            stream = self._tls.wrap_socket(connection, server_side=True) if self._tls else connection
            head = b""
            while b"\r\n\r\n" not in head:
                head += stream.recv(4096) or b"\r\n\r\n"
            self.heads.append(head.decode("latin-1"))
            self._handler(stream, number)
            stream.close()

    def close(self) -> None:
        self.stop.set()
        self._listener.close()


@contextlib.contextmanager
def tcp(handler: Handler, tls: ssl.SSLContext | None = None, port: int = 0) -> Iterator[tuple[Server, int]]:
    listener = socket.create_server(("127.0.0.1", port))
    server = Server(listener, handler, tls)
    try:
        yield server, listener.getsockname()[1]
    finally:
        server.close()


@contextlib.contextmanager
def unix(path: Path, handler: Handler) -> Iterator[Server]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        server = Server(listener, handler)
        try:
            yield server
        finally:
            server.close()


def certificate(folder: Path, name: str) -> tuple[Path, ssl.SSLContext]:
    """A self-signed certificate of ``name`` (its path) and a server's context with it."""
    key, path = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-keyout", key, "-out", path],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, key)
    return path, context

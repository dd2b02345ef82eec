"""A server that takes mail over STARTTLS from whoever logs in, as much of SMTP as a client needs."""

from __future__ import annotations

import base64
import contextlib
import socketserver
import ssl
import subprocess
import threading
from pathlib import Path
from typing import Any

USER, PASSWORD = "ops", "canary-password"


def certificate(directory: Path) -> Path:
    """A certificate of its own for localhost, with its key in the same file."""
    path = directory / "server.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", path, "-out", f"{path}.crt"],
        check=True, capture_output=True,
    )
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


class Server(socketserver.ThreadingTCPServer):
    """``received`` holds each message with who had logged in, and whether it came encrypted."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, pem: Path | None) -> None:
        super().__init__(("127.0.0.1", 0), Session)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.offers_tls = pem is not None
        if pem:
            self.context.load_cert_chain(pem)
        self.received: list[dict[str, Any]] = []
        self.refuses = ""
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class Session(socketserver.StreamRequestHandler):
    server: Server

    def finish(self) -> None:
        """Also after a client that has gone away because it did not trust the certificate."""
        with contextlib.suppress(OSError):
            super().finish()

    def say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())
        self.wfile.flush()

    def handle(self) -> None:
        secure, user = False, ""
        self.say("220 localhost")
        while raw := self.rfile.readline():  # that of the encrypted connection, once there is one
            line = raw.decode().strip()
            verb = line.upper()
            if verb.startswith("EHLO"):
                offers = ["AUTH PLAIN"] if secure else ["STARTTLS"] if self.server.offers_tls else []
                for offer in ["localhost", *offers]:
                    last = offer == ["localhost", *offers][-1]
                    self.say(f"250{' ' if last else '-'}{offer}")
            elif verb == "STARTTLS":
                self.say("220 go ahead")
                try:
                    self.connection = self.server.context.wrap_socket(self.connection, server_side=True)
                except OSError:
                    return
                self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb")
                secure = True
            elif verb.startswith("AUTH PLAIN"):
                _empty, user, password = base64.b64decode(line.split()[2]).decode().split("\0")
                self.say("235 welcome" if (user, password) == (USER, PASSWORD) else f"535 not with {password}")
            elif verb.startswith("RCPT") and self.server.refuses:
                self.say(f"550 {self.server.refuses}")
            elif verb == "DATA":
                self.say("354 go on")
                text = b"".join(iter(self.rfile.readline, b".\r\n")).decode()
                self.server.received.append({"text": text, "user": user, "secure": secure})
                self.say("250 taken")
            elif verb == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 ok")

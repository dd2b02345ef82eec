"""The smallest app behind nginx: says what it was asked, on the socket that systemd hands it."""

from __future__ import annotations

import json
import socket
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self) -> str:
        return "nginx"

    def answer(self, status: int = 200, body: bytes | None = None, **headers: str) -> None:
        received = {name.lower(): value for name, value in self.headers.items()}
        body = body if body is not None else json.dumps({"path": self.path, "headers": received}).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        if self.headers.get("Upgrade") == "websocket":
            self.send_response(101)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "upgrade")
            self.end_headers()
            self.wfile.write(self.rfile.readline())  # an echo of one line is enough of a WebSocket for a proxy
            self.close_connection = True
        elif self.path.startswith("/busy"):
            self.answer(503)
        elif self.path.startswith("/broken"):
            self.close_connection = True
        elif self.path.startswith("/big"):
            self.answer(body=json.dumps(["compress me"] * 1000).encode())
        elif self.path.startswith("/own-headers"):
            self.answer(Referrer_Policy="no-referrer", X_Request_ID="mine", Strict_Transport_Security="max-age=60")
        elif self.path.startswith("/accelerated"):
            # With all that an app may set itself, as by Flask-Talisman.
            self.answer(
                X_Accel_Redirect="/private" + (self.path.removeprefix("/accelerated") or "/picture.png"),
                Cache_Control="private, max-age=5",
                Strict_Transport_Security="max-age=60",
                Content_Security_Policy="default-src *",
                X_Content_Type_Options="sniff",
                Referrer_Policy="unsafe-url",
                Permissions_Policy="camera=*",
                Cross_Origin_Opener_Policy="unsafe-none",
                Cross_Origin_Resource_Policy="cross-origin",
                X_Robots_Tag="all",
            )
        elif self.path.startswith("/stream"):
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            for word in ("one", "two"):
                self.wfile.write(f"data: {word}\n\n".encode())
                time.sleep(2)
            self.close_connection = True
        elif self.path.startswith("/slow") or self.path.startswith("/one-by-one/slow"):
            time.sleep(8)
            self.answer()
        else:
            self.answer()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer()


class Server(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("", 0), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = socket.socket(fileno=3)

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        connection, _ = self.socket.accept()
        return connection, ("nginx", 0)


Server().serve_forever()

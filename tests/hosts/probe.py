#!/usr/bin/env python3
"""Ask a site over HTTPS at any address, under its own name, and say which certificate it showed.

  probe.py ADDRESS PORT NAME PATH     prints the status, the body's beginning and the certificate's state
"""

from __future__ import annotations

import http.client
import socket
import ssl
import subprocess
import sys
from dataclasses import dataclass


@dataclass
class Answer:
    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes
    certificate: str  # PEM


class Connection(http.client.HTTPSConnection):
    """HTTPS to one address under the name of another; the certificate is looked at, not checked."""

    def __init__(self, address: str, port: int, name: str, timeout_seconds: float):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        super().__init__(name, port, timeout=timeout_seconds, context=context)
        self.address = address
        self.tls = context

    def connect(self) -> None:
        plain = socket.create_connection((self.address, self.port), self.timeout)
        self.sock = self.tls.wrap_socket(plain, server_hostname=self.host)


def ask(address: str, name: str, path: str, *, port: int = 443, timeout_seconds: float = 10, method: str = "GET",
        headers: dict[str, str] | None = None, body: bytes | None = None) -> Answer:
    connection = Connection(address, port, name, timeout_seconds)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        response = connection.getresponse()
        certificate = connection.sock.getpeercert(binary_form=True) or b""
        return Answer(response.status, {key.lower(): value for key, value in response.getheaders()}, response.read(),
                      ssl.DER_cert_to_PEM_cert(certificate))
    finally:
        connection.close()


def describe_certificate(pem: str) -> str:
    shown = subprocess.run(["openssl", "x509", "-noout", "-issuer", "-subject", "-enddate"], input=pem, text=True,
                           capture_output=True, check=True).stdout
    fields = dict(line.split("=", 1) for line in shown.splitlines())
    kind = "a self-signed placeholder" if fields["issuer"] == fields["subject"] else f"issued by{fields['issuer']}"
    return f"{kind}, valid until {fields['notAfter']}"


def main() -> None:
    address, port, name, path = sys.argv[1:]
    try:
        answer = ask(address, name, path, port=int(port))
    except (OSError, http.client.HTTPException) as error:
        sys.exit(f"Failed to reach https://{name}:{port}{path} at {address}: {error}")
    print(f"{answer.status} {answer.body[:200].decode(errors='replace').strip()}")
    print(f"certificate: {describe_certificate(answer.certificate)}")
    if answer.status != 200:
        sys.exit(1)


if __name__ == "__main__":
    main()

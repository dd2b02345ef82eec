# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is in a certificate."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass

from . import commands
from .errors import RingstandError

RSA, ECDSA = KEY_TYPES = ("rsa", "ecdsa")
_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
# The object identifier id-ecPublicKey (RFC 5480, 2.1.1), which only a public key carries.
_EC_PUBLIC_KEY = bytes.fromhex("06072a8648ce3d0201")
# The extension authorityKeyIdentifier (RFC 5280, 4.2.1.1), up to the length of its content.
_AUTHORITY_KEY = bytes.fromhex("0603551d2304")


@dataclass(frozen=True)
class Details:
    """The first certificate of a file. Times are seconds since the epoch; ``serial`` is in upper case hexadecimal."""

    der: bytes
    serial: str
    domains: tuple[str, ...]
    starts: int
    expires: int

    @property
    def key_type(self) -> str:
        """``ecdsa`` or ``rsa``."""
        return ECDSA if _EC_PUBLIC_KEY in self.der else RSA


def read(path: str) -> Details | None:
    """The first certificate of the PEM file ``path``, or None when there is none that can be read."""
    try:
        with open(path, encoding="ascii", errors="replace") as handle:
            block = _BLOCK.search(handle.read())
        der = ssl.PEM_cert_to_DER_cert(block.group()) if block else b""
        serial = serial_of(der)
    except (OSError, ValueError):
        return None
    run = commands.run(["openssl", "x509", "-in", path, "-noout", "-startdate", "-enddate", "-ext", "subjectAltName"])
    if run.rc == 127:
        raise RingstandError(f"Failed to read {path}: {run.stderr}; is the package openssl installed?")
    times: dict[str, int] = {}
    domains: list[str] = []
    for line in run.stdout.splitlines():
        name, _equals, value = line.partition("=")
        if name in ("notBefore", "notAfter"):
            times[name] = ssl.cert_time_to_seconds(value)
        elif line.startswith(" "):
            domains = [item.strip().partition(":")[2] for item in line.split(",")]
    if run.rc or len(times) != 2:
        return None
    return Details(der, serial, tuple(domains), times["notBefore"], times["notAfter"])


def serial_of(der: bytes) -> str:
    """The serial number of a certificate in DER, in hexadecimal. Raises ValueError for what is no certificate."""
    return f"{int.from_bytes(serial_bytes(der), 'big'):X}"


def serial_bytes(der: bytes) -> bytes:
    """The serial number of a certificate in DER as it stands there. Raises ValueError for what is no certificate.

    RFC 5280, 4.1: Certificate and TBSCertificate are sequences, then come an optional version and the serial number.
    """
    outer, _end = _content(der, 0, 0x30)
    position, _end = _content(der, outer, 0x30)
    if der[position : position + 1] == b"\xa0":
        _start, position = _content(der, position, 0xA0)
    start, end = _content(der, position, 0x02)
    return der[start:end]


def authority_key(der: bytes) -> bytes:
    """The identifier of the key that signed a certificate in DER; empty when it has none."""
    position = der.find(_AUTHORITY_KEY)
    if position < 0:
        return b""
    try:
        outer, _end = _content(der, position + len(_AUTHORITY_KEY) - 1, 0x04)
        inner, _end = _content(der, outer, 0x30)
        start, end = _content(der, inner, 0x80)
    except ValueError:
        return b""
    return der[start:end]


def _content(der: bytes, position: int, tag: int) -> tuple[int, int]:
    """Where the content of the element at ``position`` starts and ends."""
    if len(der) < position + 2 or der[position] != tag:
        raise ValueError("not a certificate")
    length, start = der[position + 1], position + 2
    if length >= 0x80:
        start += length - 0x80
        length = int.from_bytes(der[position + 2 : start], "big")
    if start + length > len(der):
        raise ValueError("not a whole certificate")
    return start, start + length


def is_pair(chain: str, key: str) -> bool:
    """Whether both files can be read and the key is that of the certificate, as a web server needs it."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(chain, key, password="")
    except (OSError, ValueError):  # ssl.SSLError is an OSError
        return False
    return True

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""SCRAM-SHA-256 verifiers as PostgreSQL stores them (RFC 5802, RFC 7677; src/common/scram-common.c).

A verifier made here lets ``ALTER ROLE ... PASSWORD`` run without the password in SQL, and so in no server log.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import stringprep
import unicodedata

# What the server itself uses (SCRAM_SHA_256_DEFAULT_ITERATIONS, SCRAM_DEFAULT_SALT_LEN).
ITERATIONS = 4096
SALT_BYTES = 16
VERIFIER = re.compile(
    r"SCRAM-SHA-256\$(?P<iterations>[1-9]\d*):(?P<salt>[A-Za-z0-9+/]+={0,2})"
    r"\$(?P<stored_key>[A-Za-z0-9+/]{43}=):(?P<server_key>[A-Za-z0-9+/]{43}=)"
)
MD5 = re.compile(r"md5[0-9a-f]{32}")

_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
    stringprep.in_table_a1,
)


def is_verifier(text: str) -> bool:
    """Whether a text is a SCRAM-SHA-256 verifier in PostgreSQL's form."""
    return VERIFIER.fullmatch(text) is not None


def is_md5(text: str) -> bool:
    """Whether a text has the form of PostgreSQL's old md5 hash."""
    return MD5.fullmatch(text) is not None


def saslprep(password: str) -> str:
    """A password as client and server normalise it (RFC 4013), or unchanged where the RFC prohibits it, as they do.

    PostgreSQL looks for prohibited characters before it normalises (src/common/saslprep.c), so this does too.
    """
    spaced = (" " if stringprep.in_table_c12(char) else char for char in password)
    mapped = "".join(char for char in spaced if not stringprep.in_table_b1(char))
    if not mapped or any(prohibits(char) for char in mapped for prohibits in _PROHIBITED):
        return password
    right_to_left = [stringprep.in_table_d1(char) for char in mapped]
    if any(right_to_left) and (
        any(map(stringprep.in_table_d2, mapped)) or not (right_to_left[0] and right_to_left[-1])
    ):
        return password
    return unicodedata.normalize("NFKC", mapped)


def make_verifier(password: str, salt: bytes | None = None, iterations: int = ITERATIONS) -> str:
    """The verifier of a password, with a random salt unless one is given."""
    salt = os.urandom(SALT_BYTES) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", saslprep(password).encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    salt64, stored64, server64 = (base64.b64encode(part).decode() for part in (salt, stored_key, server_key))
    return f"SCRAM-SHA-256${iterations}:{salt64}${stored64}:{server64}"


def matches(password: str, stored: str | None) -> bool:
    """Whether what the server stores is made from this password, or is this very verifier."""
    found = VERIFIER.fullmatch(stored or "")
    if found is None:
        return False
    if is_verifier(password):
        return hmac.compare_digest(password, found.string)
    expected = make_verifier(password, base64.b64decode(found["salt"]), int(found["iterations"]))
    return hmac.compare_digest(expected, found.string)

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Password hashes of the kind ``$6$``, which nginx checks by crypt(3).

Ulrich Drepper, "Unix crypt using SHA-256 and SHA-512", version 0.6. The controller needs nothing beside Python for it,
and gets the same hash from every ansible-core.
"""

from __future__ import annotations

import hashlib
import re
import secrets

ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# The default of crypt(3), about 2 ms: nginx computes it for each request, and nothing else in that worker meanwhile.
ROUNDS = 5000
SALT_LENGTH = 16
HASH = re.compile(r"\$6\$(rounds=[1-9]\d{3,8}\$)?[./0-9A-Za-z]{1,16}\$[./0-9A-Za-z]{86}")


def is_hash(text: str) -> bool:
    """Whether ``text`` is such a hash."""
    return HASH.fullmatch(text) is not None


def make_salt() -> str:
    """A random salt of 96 bits."""
    return "".join(secrets.choice(ALPHABET) for _character in range(SALT_LENGTH))


def make_hash(password: str, salt: str) -> str:
    """The hash of a password with up to 16 characters of salt."""
    secret, grain = password.encode(), salt.encode()[:SALT_LENGTH]
    inner = hashlib.sha512(secret + grain + secret).digest()
    start = hashlib.sha512(secret + grain + _repeated(inner, len(secret)))
    remaining = len(secret)
    while remaining:
        start.update(inner if remaining & 1 else secret)
        remaining >>= 1
    digest = start.digest()
    password_part = _repeated(hashlib.sha512(secret * len(secret)).digest(), len(secret))
    salt_part = _repeated(hashlib.sha512(grain * (16 + digest[0])).digest(), len(grain))
    for number in range(ROUNDS):
        parts = [password_part if number & 1 else digest]
        parts += [salt_part] if number % 3 else []
        parts += [password_part] if number % 7 else []
        parts += [digest if number & 1 else password_part]
        digest = hashlib.sha512(b"".join(parts)).digest()
    return f"$6${grain.decode()}${_encoded(digest)}"


def _repeated(block: bytes, length: int) -> bytes:
    return (block * (length // len(block) + 1))[:length] if block else b""


def _encoded(digest: bytes) -> str:
    """Groups of three bytes as four characters, lowest bits first, in the order that crypt(3) has."""
    order, text = (0, 21, 42), ""
    for _group in range(21):
        text += _characters(int.from_bytes(bytes(digest[index] for index in order), "big"), 4)
        order = (order[1] + 1, order[2] + 1, order[0] + 1)
    return text + _characters(digest[63], 2)


def _characters(value: int, count: int) -> str:
    return "".join(ALPHABET[value >> 6 * position & 63] for position in range(count))

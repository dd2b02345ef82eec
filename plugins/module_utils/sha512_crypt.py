# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Password hashes of the kind ``$6$``, which nginx checks by crypt(3), made on the controller by libpass."""

from __future__ import annotations

import importlib
import re
import secrets

from .errors import RingstandError

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
    """The hash of a password with up to 16 characters of salt.

    Not by the filter password_hash, which gives another hash for the same salt from ansible-core 2.21 on. Raises
    RingstandError where libpass is missing.
    """
    try:
        library = importlib.import_module("passlib.hash")
    except ImportError:
        raise RingstandError(
            "Failed to hash a password: the Python that runs Ansible has no libpass. Install it there (pip install "
            "libpass), or give the hash that `mkpasswd -m sha-512` prints"
        ) from None
    made: str = library.sha512_crypt.using(salt=salt, rounds=ROUNDS).hash(password)
    return made

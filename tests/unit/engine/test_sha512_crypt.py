"""Password hashes, compared with those of libpass."""

from __future__ import annotations

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils.sha512_crypt import is_hash, make_hash, make_salt
from passlib.hash import sha512_crypt


@pytest.mark.parametrize("password", ["correct horse battery", "x", "ü€" * 40, "a" * 64, "b" * 65, "%s {{ }} $6$ '\""])
@pytest.mark.parametrize("salt", ["abcDEF./01234567", "s"])
def test_it_is_what_crypt_makes(password: str, salt: str) -> None:
    made = make_hash(password, salt)
    assert made == sha512_crypt.using(salt=salt, rounds=5000).hash(password)
    assert is_hash(made)


def test_each_salt_is_another_one() -> None:
    assert len({make_salt() for _number in range(20)}) == 20
    assert sha512_crypt.verify("correct horse battery", make_hash("correct horse battery", make_salt()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$6$salt$" + "a" * 86, True),
        ("$6$rounds=10000$salt$" + "a" * 86, True),
        ("$6$salt$" + "a" * 85, False),
        ("$5$salt$" + "a" * 86, False),
        ("$apr1$salt$" + "a" * 22, False),
        ("correct horse battery", False),
    ],
)
def test_a_hash_is_recognised(text: str, expected: bool) -> None:
    assert is_hash(text) is expected

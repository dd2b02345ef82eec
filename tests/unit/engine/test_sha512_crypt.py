"""Password hashes, compared with those of OpenSSL."""

from __future__ import annotations

import subprocess
import sys

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.sha512_crypt import is_hash, make_hash, make_salt
from passlib.hash import sha512_crypt


@pytest.mark.parametrize("password", ["correct horse battery", "x", "ü€" * 40, "a" * 64, "b" * 65, "%s {{ }} $6$ '\""])
def test_it_is_what_crypt_checks(password: str) -> None:
    made = make_hash(password, "abcDEF./01234567")
    assert is_hash(made)
    checked = ["openssl", "passwd", "-6", "-salt", "abcDEF./01234567", "-stdin"]
    assert subprocess.run(checked, input=password, text=True, capture_output=True, check=True).stdout.strip() == made


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "passlib.hash", None)
    with pytest.raises(RingstandError, match="pip install libpass"):
        make_hash("correct horse battery", "abcDEF./01234567")


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

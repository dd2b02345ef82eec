from __future__ import annotations

import base64

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import scram

# The example of RFC 7677, section 3: the user "user" with the password "pencil".
RFC_SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
RFC_VERIFIER = (
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ=="
    "$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
)


def test_the_verifier_of_the_rfc() -> None:
    assert scram.make_verifier("pencil", RFC_SALT) == RFC_VERIFIER
    assert scram.is_verifier(RFC_VERIFIER)


def test_salts_are_random() -> None:
    assert scram.make_verifier("pencil") != scram.make_verifier("pencil")


@pytest.mark.parametrize(
    ("password", "stored", "expected"),
    [
        ("pencil", RFC_VERIFIER, True),
        ("pencils", RFC_VERIFIER, False),
        (RFC_VERIFIER, RFC_VERIFIER, True),
        (scram.make_verifier("pencil"), RFC_VERIFIER, False),
        ("pencil", None, False),
        ("pencil", "", False),
        ("pencil", "md5" + "0" * 32, False),
        ("pencil", RFC_VERIFIER[:-1], False),
        ("pencil", scram.make_verifier("pencil", b"another salt", 10000), True),
    ],
)
def test_matches(password: str, stored: str | None, expected: bool) -> None:
    assert scram.matches(password, stored) is expected


@pytest.mark.parametrize(
    "text",
    ["", "pencil", "SCRAM-SHA-256$", RFC_VERIFIER + "\n", RFC_VERIFIER.replace("4096", "0"), "md5" + "0" * 32],
)
def test_is_no_verifier(text: str) -> None:
    assert not scram.is_verifier(text)


@pytest.mark.parametrize(
    ("password", "normal"),
    [
        ("pencil %$\"'{{#!", "pencil %$\"'{{#!"),
        ("I\u00adX", "IX"),  # RFC 4013: the soft hyphen is mapped to nothing
        ("a\u00a0b", "a b"),  # RFC 4013: a no-break space is mapped to a space
        ("a\u200bb", "a b"),  # in both tables: PostgreSQL looks for spaces first
        ("\u2168", "IX"),  # RFC 4013: NFKC
        ("pa\u0308ss", "p\u00e4ss"),
        ("bell\u0007\u00e4", "bell\u0007\u00e4"),  # prohibited: taken as it is
        ("\u0627\u0031", "\u0627\u0031"),  # right to left must end so: taken as it is
        ("\u00ad", "\u00ad"),  # nothing would be left: taken as it is
    ],
)
def test_saslprep(password: str, normal: str) -> None:
    assert scram.saslprep(password) == normal

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Secrets: what is refused of them. Their values are never part of a message."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from .problems import Problems

MIN_LENGTH = 12
# Words that make up a placeholder; no alternative is a repetition, so that matching stays linear.
PLACEHOLDER = re.compile(
    r"(change|replace|fill|insert|put|set|your|my|the|a|some|enter|todo|fixme|example|sample|dummy|test|default|super"
    r"|secret|password|passwd|pass|key|token|value|here|me|this|it|in|to|with|placeholder|foo|bar|baz|dev|admin|root"
    r"|production|random|generate|generated|please|12345678|123456|12345|1234|123|abc|abcdef|qwerty|letmein"
    r"|[-_ <>{}\[\]()!.*xX0])+",
    re.IGNORECASE,
)
SCRAM_VERIFIER = re.compile(r"SCRAM-SHA-256\$\d+:[A-Za-z0-9+/=]+\$[A-Za-z0-9+/=]+:[A-Za-z0-9+/=]+")
MD5_HASH = re.compile(r"md5[0-9a-f]{32}")
GENERATE = "Generate one, for example with: openssl rand -base64 32"


def is_placeholder(value: str) -> bool:
    """True for texts that only stand where a secret should: changeme, <your-password>, xxxxxxxxxxxx."""
    return bool(PLACEHOLDER.fullmatch(value)) or len(set(value)) <= 2


def check_secret(value: Any, path: str, problems: Problems) -> None:
    """At least 12 characters, no placeholder, no control character; everything else is taken verbatim."""
    if not isinstance(value, str):
        return
    if "\0" in value or "\n" in value or "\r" in value:
        problems.add(path, "the value holds a NUL or a line break", GENERATE)
    elif len(value) < MIN_LENGTH:
        problems.add(path, f"the value has less than {MIN_LENGTH} characters", GENERATE)
    elif is_placeholder(value):
        problems.add(path, "the value is a placeholder", GENERATE)


def check_postgresql_password(value: Any, path: str, problems: Problems) -> None:
    """As any secret, but a SCRAM verifier passes as it is and an md5 hash does not."""
    if not isinstance(value, str) or SCRAM_VERIFIER.fullmatch(value):
        return
    if MD5_HASH.fullmatch(value):
        problems.add(
            path,
            "the value is an md5 hash, which is broken and which SCRAM cannot use",
            "Give the password itself or a SCRAM-SHA-256 verifier",
        )
    elif value.startswith("SCRAM-SHA-256$"):
        problems.add(
            path, "the value begins like a SCRAM-SHA-256 verifier, but is none", "Copy it whole from pg_authid"
        )
    else:
        check_secret(value, path, problems)


def check_url(value: Any, schemes: tuple[str, ...], path: str, problems: Problems) -> None:
    """A URL with one of ``schemes`` (a driver after '+' is accepted); it is not shown, it may hold secrets."""
    if not isinstance(value, str):
        return
    try:
        parts = urlsplit(value)
        password = parts.password
    except ValueError:
        parts, password = urlsplit(""), None
    if parts.scheme.split("+")[0] not in schemes or "\0" in value or any(space in value for space in " \t\r\n"):
        example = "://…, ".join(schemes)
        problems.add(path, "this is not a URL of a known kind", f"Begin it with one of: {example}://…")
    elif password is not None and len(password) >= 1 and is_placeholder(password):
        problems.add(path, "the password in the URL is a placeholder", "Put the real one in, from a vault")

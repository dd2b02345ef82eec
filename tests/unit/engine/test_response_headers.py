"""The security headers of a site, and how MDN's HTTP Observatory grades them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils.response_headers import (
    PROFILES,
    content_security_policy,
    security_headers,
)

UNSAFE = {"'unsafe-inline'", "'unsafe-eval'", "data:", "http:", "https:", "ftp:", "*"}
PRIVATE = {"no-referrer", "same-origin", "strict-origin", "strict-origin-when-cross-origin"}


def directives(policy: str) -> dict[str, list[str]]:
    return {part.split()[0]: part.split()[1:] for part in policy.split("; ")}


def grade(headers: dict[str, str]) -> int:
    """The score of these headers (mdn/mdn-http-observatory, src/grader/charts.js), without cookies and CORS.

    100 and more is an A+; extra credit only counts from 90 on.
    """
    policy, points, extra = directives(headers["Content-Security-Policy"]), 100, 0
    active = {
        name: policy.get(name, policy.get("default-src", ["*"])) for name in ("script-src", "object-src", "style-src")
    }
    if UNSAFE & {source for name in ("script-src", "object-src") for source in active[name]}:
        points -= 20
    elif not UNSAFE & set(active["style-src"]):
        extra += 10 if policy.get("default-src") == ["'none'"] else 5
    age = int(headers["Strict-Transport-Security"].split(";")[0].removeprefix("max-age="))
    points -= 0 if age >= 15_768_000 else 10
    points -= 0 if headers["X-Content-Type-Options"] == "nosniff" else 5
    points -= 0 if "frame-ancestors" in policy else 20
    extra += 5 if "frame-ancestors" in policy else 0
    extra += 5 if headers["Referrer-Policy"] in PRIVATE else 0
    extra += 10 if headers["Cross-Origin-Resource-Policy"] in ("same-origin", "same-site") else 0
    return points + extra if points >= 90 else points


def test_strict_is_graded_a_plus_and_compatible_as_well_as_it_can_be() -> None:
    assert grade(security_headers({"profile": "strict"}, 63072000)[0]) == 130
    assert grade(security_headers({}, 63072000)[0]) == 80
    own = {"content_security_policy": {"default-src": ["'none'"], "script-src": ["'self'"], "style-src": ["'self'"]}}
    assert grade(security_headers(own, 63072000)[0]) >= 100


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_has_the_same_headers(profile: str) -> None:
    headers, further = security_headers({"profile": profile}, 300)
    assert len(headers) == 7 and further == {}
    assert headers["Strict-Transport-Security"] == "max-age=300"


def test_the_default_breaks_no_ordinary_app() -> None:
    policy = directives(security_headers({}, 1)[0]["Content-Security-Policy"])
    assert policy == {"base-uri": ["'self'"], "frame-ancestors": ["'self'"], "object-src": ["'none'"]}


@pytest.mark.parametrize(
    ("given", "name", "expected"),
    [
        ({"img-src": ["https://a.example"]}, "img-src", ["'self'", "https://a.example"]),
        ({"img-src": "data:"}, "img-src", ["'self'", "data:"]),
        ({"default-src": ["'self'"]}, "default-src", ["'self'"]),
        ({"script-src": ["'none'"]}, "script-src", ["'none'"]),
        ({"frame-src": ["https://a.example"]}, "frame-src", ["https://a.example"]),
        ({"upgrade-insecure-requests": True}, "upgrade-insecure-requests", []),
        ({"form-action": False}, "form-action", None),
        ({"img-src": ["'self'", "'self'"]}, "img-src", ["'self'"]),
    ],
)
def test_what_is_given_is_added_and_the_rest_stays(
    given: dict[str, Any], name: str, expected: list[str] | None
) -> None:
    policy = directives(content_security_policy("strict", given))
    assert policy.get(name) == expected
    assert policy["connect-src"] == ["'self'"]


def test_transport_security_is_said_in_full() -> None:
    headers, _further = security_headers({"hsts": {"include_subdomains": True, "preload": True}}, 63072000)
    assert headers["Strict-Transport-Security"] == "max-age=63072000; includeSubDomains; preload"
    headers, _further = security_headers({"hsts": {"max_age_seconds": 60, "preload": None}}, 63072000)
    assert headers["Strict-Transport-Security"] == "max-age=60"


def test_a_header_of_the_profile_is_replaced_and_another_one_added() -> None:
    given = {"referrer-policy": "no-referrer", "Permissions-Policy": "", "X-Robots-Tag": "noindex", "X-Empty": ""}
    headers, further = security_headers({"headers": given}, 1)
    assert (headers["Referrer-Policy"], headers["Permissions-Policy"]) == ("no-referrer", "")
    assert further == {"X-Robots-Tag": "noindex"}

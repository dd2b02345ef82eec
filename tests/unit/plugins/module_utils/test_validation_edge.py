# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bad input of how nginx serves an app or a site, as a table."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils.validation.app import check_app
from ansible_collections.ringstand.flask.plugins.module_utils.validation.problems import Problems
from ansible_collections.ringstand.flask.plugins.module_utils.validation.roles import check_role
from ansible_collections.ringstand.flask.plugins.module_utils.validation.site import check_site

CANARY = "Canary7qP2"
PASSWORD = "Zq7-wr2_Xp9-m4K"
HASH = "$6$saltsalt$" + "a" * 86
APP = {
    "domains": ["shop.example.com"],
    "source": {"git": "https://git.example.com/acme/shop.git", "version": "v1"},
    "wsgi": "shop:app",
}
SITE = {"name": "shop", "domains": ["shop.example.com"], "upstream_socket": "/run/shop/live.sock"}


def problems_of(**keys: Any) -> dict[str, Problems]:
    """Of the same keys in an app and in a site, by what comes before the keys' paths."""
    of_app = Problems()
    check_app("shop", {**APP, **keys}, of_app)
    return {"flask_apps.shop.": of_app, "nginx_sites[0].": check_role("nginx", {"nginx_sites": [{**SITE, **keys}]}, {})}


def security(**keys: Any) -> dict[str, Any]:
    return {"security": keys}


def policy(**directives: Any) -> dict[str, Any]:
    return security(content_security_policy={key.replace("_", "-"): value for key, value in directives.items()})


def location(**keys: Any) -> dict[str, Any]:
    return {"locations": [{"path": "/api/", **keys}]}


BAD: list[tuple[dict[str, Any], str, list[str]]] = [
    (security(profile="strong"), "security.profile", ["compatible or strict"]),
    (security(csp={}), "security.csp", ["not known"]),
    (policy(img_scr="'self'"), "security.content_security_policy.img-scr", ["Did you mean 'img-src'?"]),
    (policy(img_src=["a; script-src *"]), "security.content_security_policy.img-src", ["without ';'"]),
    (policy(img_src='"x'), "security.content_security_policy.img-src", ["a source is text"]),
    (policy(img_src="$host"), "security.content_security_policy.img-src", ["a source is text"]),
    (policy(script_src=["self"]), "security.content_security_policy.script-src", ["single quotes", "'self'"]),
    (security(hsts={"preload": True}), "security.hsts.preload", ["subdomains", "include_subdomains: true"]),
    (security(hsts={"preload": True, "include_subdomains": True, "max_age_seconds": 300}),
     "security.hsts.max_age_seconds", ["a year", "31536000"]),
    (security(hsts={"max_age_seconds": -1}), "security.hsts.max_age_seconds", ["between 0"]),
    (security(headers={"X Frame": "a"}), "security.headers.X Frame", ["name of a header"]),
    (security(headers={"Content-Security-Policy": "x"}), "security.headers.Content-Security-Policy",
     ["content_security_policy"]),
    (security(headers={"set-cookie": "x"}), "security.headers.set-cookie", ["cannot be set"]),
    (security(headers={"X-A": 'b"; }'}), "security.headers.X-A", ["without"]),
    (security(headers={"X-A": "b\nX-B: c"}), "security.headers.X-A", ["ASCII"]),
    ({"access": {"allow": ["office"]}}, "access.allow[0]", ["not an address"]),
    ({"access": {"deny": "192.0.2.7/24"}}, "access.deny", ["Write 192.0.2.0/24"]),
    ({"access": {"users": {"a b": PASSWORD}}}, "access.users.a b", ["Rename the user"]),
    ({"access": {"users": {"a:b": PASSWORD}}}, "access.users.a:b", ["Rename the user"]),
    ({"access": {"users": {"alice": CANARY}}}, "access.users.alice", ["less than 12"]),
    ({"access": {"users": {"alice": "changeme1234"}}}, "access.users.alice", ["placeholder"]),
    ({"access": {"users": {"alice": 123456789012}}}, "access.users.alice", ["in quotes"]),
    ({"access": {"users": {"alice": f"$apr1${CANARY}"}}}, "access.users.alice", ["no SHA-512 hash", "mkpasswd"]),
    ({"access": {"users": ["alice"]}}, "access.users", ["a dictionary"]),
    ({"rate_limit": {"burst": 5}}, "rate_limit.requests", ["required"]),
    ({"rate_limit": {"requests": 0}}, "rate_limit.requests", ["between 1"]),
    ({"rate_limit": {"requests": 5, "per": "hour"}}, "rate_limit.per", ["second or minute"]),
    ({"rate_limit": 5}, "rate_limit", ["a dictionary"]),
    ({"connection_limit": 0}, "connection_limit", ["between 1"]),
    (location(path="api"), "locations[0].path", ["begins with '/'"]),
    (location(path="/a { }"), "locations[0].path", ["letters, digits"]),
    (location(path="/"), "locations[0].path", ["the whole site"]),
    (location(path=None), "locations[0].path", ["required"]),
    (location(buffering_enabled="no"), "locations[0].buffering_enabled", ["without quotes"]),
    (location(timeout_seconds=0), "locations[0].timeout_seconds", ["between 1"]),
    (location(access={"allow": ["x"]}), "locations[0].access.allow[0]", ["not an address"]),
    ({"locations": [{"path": "/api/"}, {"path": "/api"}]}, "locations[1].path", ["locations[0] has this path already"]),
    ({"redirects": [{"to": "a.example.com"}]}, "redirects[0].domains", ["required"]),
    ({"redirects": [{"domains": ["*.example.com"]}]}, "redirects[0].domains[0]", ["wildcard"]),
    ({"redirects": [{"domains": ["a.example.com"], "to": "http://x.example.com"}]}, "redirects[0].to", ["https://"]),
    ({"redirects": [{"domains": ["a.example.com"], "to": "https://x.example.com/$1"}]}, "redirects[0].to", ["URL"]),
    ({"redirects": [{"domains": ["a.example.com"], "to": "x y"}]}, "redirects[0].to", ["letters"]),
    ({"redirects": [{"domains": ["a.example.com"], "to": "a.example.com"}]}, "redirects[0].to", ["itself"]),
    ({"trusted_proxies": {"addresses": ["0.0.0.0/0"]}}, "trusted_proxies.addresses[0]", ["everybody"]),
    ({"trusted_proxies": {"addresses": ["cdn"]}}, "trusted_proxies.addresses[0]", ["not an address"]),
    ({"trusted_proxies": {"header": "X-Real; IP"}}, "trusted_proxies.header", ["X-Forwarded-For"]),
    ({"error_pages": {"200": "<p>"}}, "error_pages.200", ["no page of its own"]),
    ({"error_pages": {"404": None}}, "error_pages.404", ["HTML as text"]),
    ({"extra_configuration": "location / {"}, "extra_configuration", ["unexpected end of file"]),
    ({"extra_configuration": "} server {"}, "extra_configuration", ["unexpected }"]),
    ({"extra_configuration": "gzip on"}, "extra_configuration", ["unexpected end of file"]),
    ({"extra_configuration": 'set $a "b;'}, "extra_configuration", ['unexpected "']),
]  # fmt: skip


@pytest.mark.parametrize(("keys", "path", "words"), BAD, ids=[f"{row[1]}-{number}" for number, row in enumerate(BAD)])
def test_bad_input(keys: dict[str, Any], path: str, words: list[str]) -> None:
    for prefix, problems in problems_of(**keys).items():
        here = f"{prefix}{path}"
        found = " ".join(str(problem) for problem in problems.errors if problem.path == here)
        assert found, f"nothing names {here}:\n{problems.message()}"
        assert all(word in found.replace("flask_apps.shop.", "").replace("nginx_sites[0].", "") for word in words), (
            found
        )
        assert CANARY not in problems.message(), "a secret is shown"


@pytest.mark.parametrize(
    "keys",
    [
        security(
            profile="strict", content_security_policy={"img-src": ["https://x.example", "data:"], "form-action": False}
        ),
        policy(script_src="'nonce-abc'", upgrade_insecure_requests=True, object_src=None),
        security(hsts={"preload": True, "include_subdomains": True, "max_age_seconds": 63072000}),
        security(
            headers={"X-Robots-Tag": "noindex, nofollow", "Referrer-Policy": "", "Permissions-Policy": "camera=(self)"}
        ),
        {
            "access": {
                "allow": ["192.0.2.0/24", "2001:db8::1"],
                "deny": "192.0.2.7",
                "users": {"alice": PASSWORD, "bob": HASH},
            }
        },
        {"rate_limit": {"requests": 10, "per": "minute", "burst": 5}, "connection_limit": 3},
        location(access={"users": {}, "allow": []}, timeout_seconds=3600, buffering_enabled=False),
        {"redirects": [{"domains": ["a.example.com", "münchen.example"]}]},
        {"redirects": [{"domains": ["a.example.com"], "to": "https://b.example.com/x?y=z", "permanent": False}]},
        {"trusted_proxies": {"addresses": ["198.51.100.0/24"], "header": "CF-Connecting-IP"}},
        {"error_pages": {404: "<p>", "503": "<p>"}},
        {"extra_configuration": "location = /x { return 200 'a;b{'; } # and so on {"},
    ],
    ids=str,
)
def test_good_input(keys: dict[str, Any]) -> None:
    for problems in problems_of(**keys).values():
        assert problems.errors == []


@pytest.mark.parametrize("url", ["/static/", "/media/"])
def test_what_nginx_serves_itself_is_no_location_of_the_app(url: str) -> None:
    keys = {"locations": [{"path": url, "connection_limit": 1}]}
    problems = Problems()
    check_app("shop", {**APP, "static": {"url": "/static/", "dir": "s"}, "media": {"url": "/media/"}, **keys}, problems)
    assert [problem.path for problem in problems.errors] == ["flask_apps.shop.locations[0].path"]


@pytest.mark.parametrize(
    ("media", "path", "word"),
    [
        ({"dir": "../x"}, "media.dir", "letters"),
        ({"dir": "a/b"}, "media.dir", "no other folder"),
        ({"url": "media"}, "media.url", "/static/"),
        ({"url": "/static/"}, "media.url", "static files"),
        ({"internal": "yes"}, "media.internal", "true or false"),
    ],
)
def test_uploads_of_an_app(media: dict[str, Any], path: str, word: str) -> None:
    problems = Problems()
    check_app("shop", {**APP, "static": {"url": "/static/", "dir": "s"}, "media": media}, problems)
    assert [problem.path for problem in problems.errors] == [f"flask_apps.shop.{path}"]
    assert word in problems.message()


def test_a_redirected_domain_has_one_place_and_must_be_certifiable() -> None:
    apps = {
        "shop": {**APP, "redirects": [{"domains": ["blog.example.com", "shop.localhost"]}]},
        "blog": {**APP, "domains": ["blog.example.com"]},
    }
    found = {problem.path: problem.rule for problem in check_site({"flask_apps": apps}, (), (), {}).errors}
    assert "already" in found["flask_apps.shop.redirects[0].domains[0]"]
    assert "certificate authority" in found["flask_apps.shop.redirects[0].domains[1]"]

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The security headers of a site: a profile, and what the site says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .apps import as_list

# ``compatible`` forbids only what next to no app does, so that any app can be put behind it. ``strict`` lets a page
# load from its own site only, and runs no inline script: with it MDN's HTTP Observatory gives an A+.
COMPATIBLE, STRICT = PROFILES = ("compatible", "strict")
NONE, SELF = "'none'", "'self'"

CONTENT_SECURITY_POLICY = "Content-Security-Policy"
STRICT_TRANSPORT_SECURITY = "Strict-Transport-Security"
_POLICIES: dict[str, dict[str, list[str]]] = {
    COMPATIBLE: {"base-uri": [SELF], "frame-ancestors": [SELF], "object-src": [NONE]},
    STRICT: {
        "default-src": [NONE],
        "base-uri": [SELF],
        "connect-src": [SELF],
        "font-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [SELF],
        "img-src": [SELF],
        "manifest-src": [SELF],
        "media-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "worker-src": [SELF],
    },
}
_OTHERS = {
    COMPATIBLE: {
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "strict-origin-when-cross-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        # Windows that others open, as those of a payment or a login, and pictures in others' pages go on working.
        "Cross-Origin-Opener-Policy": "",
        "Cross-Origin-Resource-Policy": "",
    },
    STRICT: {
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "strict-origin-when-cross-origin",
        "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    },
}
# Content Security Policy Level 3 and what browsers have beside it.
DIRECTIVES = frozenset(
    {directive for policy in _POLICIES.values() for directive in policy}
    | {"child-src", "fenced-frame-src", "frame-src", "script-src-attr", "script-src-elem", "style-src-attr"}
    | {"style-src-elem", "report-to", "report-uri", "require-trusted-types-for", "sandbox", "trusted-types"}
    | {"upgrade-insecure-requests"}
)


def content_security_policy(profile: str, directives: Mapping[str, Any]) -> str:
    """The profile's policy with the sources of ``directives`` added to its own.

    ``'none'`` goes when another source comes, and replaces the others when it is what is given; True is a directive
    without sources, False and None leave one out.
    """
    policy = {name: list(sources) for name, sources in _POLICIES[profile].items()}
    for name, given in directives.items():
        if given is False or given is None:
            policy.pop(name, None)
            continue
        sources = [] if given is True else [str(source) for source in as_list(given)]
        if sources != [NONE]:
            sources = list(dict.fromkeys([source for source in policy.get(name, []) if source != NONE] + sources))
        policy[name] = sources
    return "; ".join(" ".join([name, *sources]) for name, sources in policy.items())


def strict_transport_security(settings: Mapping[str, Any]) -> str:
    """``max_age_seconds``, ``include_subdomains`` and ``preload`` as the header has them."""
    parts = [f"max-age={settings['max_age_seconds']}"]
    parts += ["includeSubDomains"] if settings.get("include_subdomains") else []
    parts += ["preload"] if settings.get("preload") else []
    return "; ".join(parts)


def security_headers(security: Mapping[str, Any], hsts_max_age_seconds: int) -> tuple[dict[str, str], dict[str, str]]:
    """The security headers by name, empty for one that is not sent, and the site's further ones."""
    profile = security.get("profile") or COMPATIBLE
    hsts = {key: value for key, value in (security.get("hsts") or {}).items() if value is not None}
    values = {
        STRICT_TRANSPORT_SECURITY: strict_transport_security({"max_age_seconds": hsts_max_age_seconds, **hsts}),
        CONTENT_SECURITY_POLICY: content_security_policy(profile, security.get("content_security_policy") or {}),
        **_OTHERS[profile],
    }
    names = {name.lower(): name for name in values}
    further = {}
    for name, value in (security.get("headers") or {}).items():
        if name.lower() in names:
            values[names[name.lower()]] = str(value or "")
        elif value:
            further[name] = str(value)
    return values, further

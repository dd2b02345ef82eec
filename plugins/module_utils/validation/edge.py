# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How nginx serves an app or a site: what types and ranges cannot say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from .. import nginx, sha512_crypt
from ..apps import as_list
from ..response_headers import CONTENT_SECURITY_POLICY, DIRECTIVES, STRICT_TRANSPORT_SECURITY
from .domains import check_domain, check_domains
from .networks import check_networks
from .problems import Problems, join, nearest
from .secrets import check_secret

HEADER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
# In the double quotes of a configuration: nothing ends the value or begins a variable, as with all of ASCII else.
HEADER_VALUE = re.compile(r"[ !#%-\[\]-~]*")
USER_NAME = re.compile(r"[A-Za-z0-9_.@+-]{1,64}")
LOCATION_PATH = re.compile(r"/[\w./~@+-]*")
REDIRECT_URL = re.compile(r"https://[\w./~@+%?=&-]+")
EVERYBODY = ("everybody could choose the address under which to appear", "Name the networks of the proxies")
# hstspreload.org asks for a year.
PRELOAD_MIN_SECONDS = 31_536_000
ERROR_STATUSES = (400, 401, 403, 404, 405, 413, 414, 429, 500, 502, 503, 504)
# Those that frame a message, that nginx sets, or that have a key of their own.
_RESERVED_HEADERS = {
    CONTENT_SECURITY_POLICY.lower(): "Use content_security_policy",
    STRICT_TRANSPORT_SECURITY.lower(): "Use hsts",
    **dict.fromkeys(
        ("alt-svc", "cache-control", "connection", "content-disposition", "content-encoding", "content-length")
        + (
            "content-type",
            "date",
            "location",
            "retry-after",
            "server",
            "set-cookie",
            "transfer-encoding",
            "x-request-id",
        ),
        "Leave it to nginx and the app",
    ),
}


def _mapping(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def _items(value: Mapping[str, Any], key: str, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    found = value.get(key)
    for position, item in enumerate(found if isinstance(found, list) else []):
        if isinstance(item, dict):
            yield join(join(path, key), position), item


def check_access(access: Mapping[str, Any], path: str, problems: Problems) -> None:
    """Lists of networks, and users with a password or its hash."""
    for key in ("allow", "deny"):
        check_networks(access.get(key), join(path, key), problems)
    for name, password in _mapping(access, "users").items():
        here = join(join(path, "users"), str(name))
        if not USER_NAME.fullmatch(str(name)):
            rule = "a user has up to 64 letters, digits, '_', '.', '@', '+' and '-'"
            problems.add(here, rule, "Rename the user")
        if not isinstance(password, str):
            problems.add(here, "a user needs a password in quotes", "Put it in, from a vault")
        elif password.startswith("$") and not sha512_crypt.is_hash(password) and re.match(r"\$\w+\$", password):
            remedy = "Give the password itself, or what mkpasswd -m sha-512 prints"
            problems.add(here, "the value is no SHA-512 hash as crypt(3) takes it", remedy)
        elif not sha512_crypt.is_hash(password):
            check_secret(password, here, problems)


def _check_security(security: Mapping[str, Any], path: str, problems: Problems) -> None:
    here = join(path, "content_security_policy")
    for name, sources in _mapping(security, "content_security_policy").items():
        if name not in DIRECTIVES:
            close = nearest(str(name), DIRECTIVES)
            remedy = f"Did you mean '{close}'?" if close else "Write a directive such as img-src"
            problems.add(join(here, str(name)), "browsers know no such directive", remedy)
        for source in as_list(sources) if not isinstance(sources, bool) else []:
            if not isinstance(source, str) or not HEADER_VALUE.fullmatch(source) or re.search(r"[;,]", source):
                rule = "a source is text without ';', ',', '\"', '$' and '\\'"
                problems.add(join(here, name), rule, "Write one such as 'self' or https://cdn.example.com", source)
            elif source in ("self", "none", "unsafe-inline", "unsafe-eval", "strict-dynamic", "report-sample"):
                problems.add(
                    join(here, name), "this keyword is written in single quotes", f"Write \"'{source}'\"", source
                )
    hsts, here = _mapping(security, "hsts"), join(path, "hsts")
    if hsts.get("preload") is True:
        if hsts.get("include_subdomains") is not True:
            remedy = "Add include_subdomains: true, once all of them have HTTPS"
            problems.add(join(here, "preload"), "browsers preload a domain with its subdomains only", remedy)
        if isinstance(hsts.get("max_age_seconds"), int) and hsts["max_age_seconds"] < PRELOAD_MIN_SECONDS:
            rule, remedy = "browsers preload with a year at least", f"Write {PRELOAD_MIN_SECONDS} or more"
            problems.add(join(here, "max_age_seconds"), rule, remedy, hsts["max_age_seconds"])
    here = join(path, "headers")
    for name, value in _mapping(security, "headers").items():
        reserved = _RESERVED_HEADERS.get(str(name).lower())
        if not HEADER_NAME.fullmatch(str(name)):
            problems.add(join(here, str(name)), "this is not the name of a header", "Write one such as X-Robots-Tag")
        elif reserved:
            problems.add(join(here, name), "this header cannot be set here", reserved)
        elif value is not None and (not isinstance(value, str) or not HEADER_VALUE.fullmatch(value)):
            rule = "the value of a header is ASCII text without '\"', '$' and '\\'"
            problems.add(join(here, name), rule, 'Correct it; "" sends none', value)


def _check_locations(site: Mapping[str, Any], path: str, problems: Problems) -> None:
    served = [
        item.get("url") for key in ("static", "media") for item in as_list(site.get(key)) if isinstance(item, dict)
    ]
    seen = {str(url).strip("/"): "nginx serves the files there itself" for url in served if url}
    seen[""] = "this is the whole site"
    for here, location in _items(site, "locations", path):
        place = location.get("path")
        check_access(_mapping(location, "access"), join(here, "access"), problems)
        if not isinstance(place, str):
            continue
        if not LOCATION_PATH.fullmatch(place):
            rule = "a path begins with '/' and has letters, digits and . _ ~ @ + - only"
            problems.add(join(here, "path"), rule, "Write it as /api/", place)
        elif place.strip("/") in seen:
            remedy = "Set it for the site, or name a path of the app"
            problems.add(join(here, "path"), seen[place.strip("/")], remedy, place)
        seen.setdefault(place.strip("/"), f"{here} has this path already")


def _check_redirects(site: Mapping[str, Any], path: str, problems: Problems) -> None:
    for here, redirect in _items(site, "redirects", path):
        check_domains(as_list(redirect.get("domains")), join(here, "domains"), problems)
        target = redirect.get("to")
        if isinstance(target, str) and "://" in target:
            if not REDIRECT_URL.fullmatch(target) or not urlsplit(target).hostname:
                rule, remedy = "this is not a URL to redirect to", "Write a domain, or a URL that begins with https://"
                problems.add(join(here, "to"), rule, remedy, target)
        elif isinstance(target, str):
            check_domain(target, join(here, "to"), problems)
            if target in as_list(redirect.get("domains")):
                problems.add(
                    join(here, "to"), "a domain would be redirected to itself", "Remove it from one of both", target
                )


def _check_error_pages(pages: Mapping[str, Any], path: str, problems: Problems) -> None:
    for status, page in pages.items():
        if str(status) not in map(str, ERROR_STATUSES):
            known = ", ".join(map(str, ERROR_STATUSES))
            problems.add(join(path, str(status)), "nginx has no page of its own for this", f"Choose one of {known}")
        elif not isinstance(page, str):
            problems.add(
                join(path, str(status)), "a page is HTML as text", "Write it, for example with lookup('file', …)"
            )


def _check_extra_configuration(text: Any, path: str, problems: Problems) -> None:
    if not isinstance(text, str):
        return
    try:
        nginx.parse(text)
    except ValueError as error:
        rule = f"braces, quotation marks or semicolons do not fit: {error}"
        problems.add(path, rule, "Write whole directives, as they stand in a server block")


def check_edge(site: Mapping[str, Any], path: str, problems: Problems) -> None:
    """Everything of an app, or of an item of ``nginx_sites``, that says how nginx serves it."""
    check_access(_mapping(site, "access"), join(path, "access"), problems)
    _check_security(_mapping(site, "security"), join(path, "security"), problems)
    _check_locations(site, path, problems)
    _check_redirects(site, path, problems)
    proxies, here = _mapping(site, "trusted_proxies"), join(path, "trusted_proxies")
    check_networks(proxies.get("addresses"), join(here, "addresses"), problems, EVERYBODY)
    if isinstance(proxies.get("header"), str) and not HEADER_NAME.fullmatch(proxies["header"]):
        problems.add(
            join(here, "header"), "this is not the name of a header", "Write X-Forwarded-For", proxies["header"]
        )
    _check_error_pages(_mapping(site, "error_pages"), join(path, "error_pages"), problems)
    _check_extra_configuration(site.get("extra_configuration"), join(path, "extra_configuration"), problems)


def redirected_domains(site: Mapping[str, Any], path: str) -> list[tuple[str, Any]]:
    """Pairs of a path and the domains that are only redirected: they are in the certificate as well."""
    return [(join(here, "domains"), redirect.get("domains")) for here, redirect in _items(site, "redirects", path)]

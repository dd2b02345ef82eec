# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the nginx role's templates render of each site, worked out from ``nginx_sites`` and the state of the host."""

from __future__ import annotations

import http
import json
from collections.abc import Mapping
from typing import Any

from . import nginx, sha512_crypt
from .apps import as_list, plain, to_ascii_domain
from .response_headers import security_headers

Item = dict[str, Any]

LOOPBACK = ("127.0.0.1", "::1")
# What a location says of itself counts instead of what its site says.
LIMITS = ("rate_limit", "connection_limit", "client_max_body_size_mb", "timeout_seconds", "buffering_enabled")
RATE_UNITS = {"second": ("r/s", 1), "minute": ("r/m", 60)}
# What may be under way to an app is more than it answers at once, and no longer a queue than visitors bear.
UNDER_WAY_LEAST, UNDER_WAY_MOST = 16, 256
REAL_IP_HEADER = "X-Forwarded-For"


def variable_part(name: str) -> str:
    """A site's name as a part of names of variables, which have letters, digits and _; each gives another one."""
    return name.replace("_", "_u").replace("-", "_h")


def all_names(site: Mapping[str, Any]) -> list[str]:
    """The host names of a site: those that it serves, then those that it redirects."""
    redirected = [domain for redirect in as_list(site.get("redirects")) for domain in as_list(redirect["domains"])]
    return list(dict.fromkeys([*as_list(site.get("domains")), *map(to_ascii_domain, redirected)]))


def nginx_names(sites: Any) -> list[str]:
    """The host names of all sites."""
    return [name for site in plain(sites) for name in all_names(site)]


def nginx_certificates(sites: Any, directory: str) -> list[Item]:
    """The certificate that each site is served with, in its own folder or below ``directory``."""
    return [
        {
            "name": site["name"],
            "domains": all_names(site),
            "dir": site.get("certificate_dir") or f"{directory}/{site['name']}",
            **({"own": site["certificate"]} if site.get("certificate") else {}),
        }
        for site in plain(sites)
    ]


def nginx_complete(
    sites: Any,
    salts: Any = None,
    timeout_seconds: int = 30,
    body_size_mb: int = 10,
    hsts_max_age_seconds: int = 63072000,
    connections: int = nginx.DISTRIBUTION_CONNECTIONS,
) -> list[Item]:
    """Each site with everything that follows from its keys.

    ``salts`` are those of the passwords on the host, ``connections`` is how many its nginx can have.
    """
    given = plain(sites)
    share = connections_share(given, int(connections))
    return [
        {
            **_complete(site, plain(salts or {}), timeout_seconds, body_size_mb, hsts_max_age_seconds),
            "max_connections": share if site.get("max_connections") is None else site["max_connections"],
        }
        for site in given
    ]


def connections_share(sites: list[Item], connections: int) -> int:
    """How many requests may be under way to the app of a site that does not say so itself.

    All sites together get a third of nginx's connections: a request under way takes two, and a third is left for
    visitors of sites that are well and for those that are turned away.
    """
    said = [site["max_connections"] for site in sites if site.get("max_connections") is not None]
    left = connections // 3 - sum(said)
    return min(max(left // max(len(sites) - len(said), 1), UNDER_WAY_LEAST), UNDER_WAY_MOST)


def _complete(
    given: Mapping[str, Any],
    salts: Mapping[str, Any],
    timeout_seconds: int,
    body_size_mb: int,
    hsts_max_age_seconds: int,
) -> Item:
    site = {key: value for key, value in given.items() if value is not None}
    name, access = site["name"], site.get("access") or {}
    headers, further = security_headers(site.get("security") or {}, hsts_max_age_seconds)
    defaults = {"timeout_seconds": timeout_seconds, "client_max_body_size_mb": body_size_mb, "buffering_enabled": True}
    limits = {**defaults, **{key: site[key] for key in LIMITS if key in site}}
    places: list[Item] = [{"path": "/"}, *as_list(site.get("locations"))]
    locations = [_location(name, number, place, access, limits) for number, place in enumerate(places)]
    errors = {int(status): page for status, page in (site.get("error_pages") or {}).items()}
    return {
        **site,
        "variable": variable_part(name),
        "names": all_names(site),
        "redirects": [_redirect(site, redirect) for redirect in as_list(site.get("redirects"))],
        "headers": headers,
        "further_headers": further,
        # What not everybody may see is not for a shared cache either.
        "cache_scope": "private" if as_list(access.get("allow")) or access.get("users") else "public",
        "trusted_proxies": _trusted_proxies(site.get("trusted_proxies") or {}),
        "locations": locations,
        "users": [_users(location, salts) for location in locations if location["users"]],
        "error_pages": [{"status": status, **_error_page(status, page)} for status, page in sorted(errors.items())],
    }


def _location(name: str, number: int, place: Mapping[str, Any], site_access: Item, site_limits: Item) -> Item:
    """One location; the first one is the site itself."""
    said = {key: value for key, value in (place.get("access") or {}).items() if value is not None}
    access = {**site_access, **said}
    limits = {**site_limits, **{key: place[key] for key in LIMITS if place.get(key) is not None}}
    zone, rate = f"ringstand_{name}_{number}", limits.get("rate_limit")
    # The server's rules count in a location that says nothing; there they are not said again.
    is_said = bool(said) or number == 0
    open_to_all = ["allow all"] if _access_rules(site_access) else []
    closed = "on" if access.get("users") else "off" if number and site_access.get("users") else ""
    # A limit of the site is one for all of its locations.
    rate_zone = zone if place.get("rate_limit") or number == 0 else f"ringstand_{name}_0"
    connection_zone = zone if place.get("connection_limit") or number == 0 else f"ringstand_{name}_0"
    return {
        **limits,
        "path": place["path"],
        "access": (_access_rules(access) or open_to_all) if is_said else [],
        "password": closed if is_said else "",
        "users": (access.get("users") or {}) if is_said else {},
        "users_file": name if number == 0 else f"{name}.{number}",
        "rate": _rate(rate, rate_zone, own=rate_zone == zone) if rate else None,
        "connections": {"zone": f"{connection_zone}_connections", "own": connection_zone == zone}
        if limits.get("connection_limit")
        else None,
    }


def _rate(rate: Mapping[str, Any], zone: str, own: bool) -> Item:
    unit, seconds = RATE_UNITS[rate.get("per") or "second"]
    return {
        "zone": zone,
        "own": own,
        "rate": f"{rate['requests']}{unit}",
        "burst": rate.get("burst") or 0,
        # Until another request is free.
        "retry_after_seconds": -(-seconds // rate["requests"]),
    }


def _access_rules(access: Mapping[str, Any]) -> list[str]:
    """Directives in the order in which nginx looks: the first one that fits counts.

    This machine is always let in: a deploy asks through nginx whether its release answers.
    """
    deny, allow = as_list(access.get("deny")), as_list(access.get("allow"))
    if not deny and not allow:
        return []
    rules = [f"allow {address}" for address in LOOPBACK] + [f"deny {network}" for network in deny]
    rules += [f"allow {network}" for network in allow]
    return [*rules, "deny all"] if allow else rules


def _users(location: Mapping[str, Any], salts: Mapping[str, Any]) -> Item:
    known = salts.get(location["users_file"]) or {}
    lines = []
    for user, password in sorted(location["users"].items()):
        text = str(password)
        if not sha512_crypt.is_hash(text):
            text = sha512_crypt.make_hash(text, known.get(user) or sha512_crypt.make_salt())
        lines.append(f"{user}:{text}\n")
    return {"file": location["users_file"], "content": "".join(lines)}


def _redirect(site: Mapping[str, Any], redirect: Mapping[str, Any]) -> Item:
    target = redirect.get("to") or as_list(site.get("domains"))[0]
    is_url = "://" in target
    return {
        "domains": [to_ascii_domain(domain) for domain in as_list(redirect["domains"])],
        "target": target if is_url else f"https://{to_ascii_domain(target)}",
        # A domain keeps the path, a URL is the place itself.
        "path_kept": not is_url,
        "status": 308 if redirect.get("permanent") is not False else 307,
    }


def _trusted_proxies(trusted: Mapping[str, Any]) -> Item:
    return {"addresses": as_list(trusted.get("addresses")), "header": trusted.get("header") or REAL_IP_HEADER}


def _error_page(status: int, page: str) -> Item:
    """The page for browsers, and the same for clients of JSON, as RFC 9457 has it."""
    problem = {"type": "about:blank", "title": http.HTTPStatus(status).phrase, "status": status}
    return {"html": page.rstrip("\n") + "\n", "json": json.dumps(problem) + "\n"}

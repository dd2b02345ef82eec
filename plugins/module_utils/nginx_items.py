# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the nginx role's templates render of each site, worked out from ``nginx_sites`` and the state of the host."""

from __future__ import annotations

import http
import json
import re
from collections.abc import Mapping
from typing import Any

from . import nginx, sha512_crypt
from .apps import as_list, plain, to_ascii_domain
from .response_headers import security_headers

Item = dict[str, Any]

LOOPBACK = ("127.0.0.1", "::1")
# What a location says of itself counts instead of what is said around it.
ACCESS = ("allow", "deny", "users")
LIMITS = ("rate_limit", "connection_limit", "client_max_body_size_mb", "timeout_seconds", "buffering_enabled")
RATE_UNITS = {"second": ("r/s", 1), "minute": ("r/m", 60)}
# What a page asks for at once; of a minute's requests no more may come in its first second.
BURST_OF_A_MINUTE = 20
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
    served = frozenset(nginx_names(given))
    return [
        {
            **_complete(site, plain(salts or {}), timeout_seconds, body_size_mb, hsts_max_age_seconds, served),
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
    served: frozenset[str],
) -> Item:
    site = {key: value for key, value in given.items() if value is not None}
    name, access = site["name"], site.get("access") or {}
    headers, further = security_headers(site.get("security") or {}, hsts_max_age_seconds)
    defaults = {"timeout_seconds": timeout_seconds, "client_max_body_size_mb": body_size_mb, "buffering_enabled": True}
    limits = {**defaults, **{key: site[key] for key in LIMITS if key in site}}
    locations = _locations(name, [{"path": "/", "access": access, **limits}, *as_list(site.get("locations"))])
    static = [_files(place, locations) for place in as_list(site.get("static"))]
    media = [_files(place, locations) for place in as_list(site.get("media"))]
    errors = {int(status): page for status, page in (site.get("error_pages") or {}).items()}
    return {
        **site,
        "variable": variable_part(name),
        "names": all_names(site),
        "redirects": [_redirect(site, redirect, served) for redirect in as_list(site.get("redirects"))],
        "headers": headers,
        "further_headers": further,
        "extra_headers": _extra_headers(site.get("extra_configuration") or ""),
        "trusted_proxies": _trusted_proxies(site.get("trusted_proxies") or {}),
        "locations": locations,
        "static": static,
        "media": media,
        # A static file that is not there is asked of the app, where and as its location would.
        "fallbacks": [
            {**locations[number], "path": _fallback(number)}
            for number in sorted({0, *(place["around"] for place in static)})
        ],
        "users": [_users(location, salts) for location in locations if location["users"]],
        "error_pages": [{"status": status, **_error_page(status, page)} for status, page in sorted(errors.items())],
    }


def _extra_headers(configuration: str) -> list[str]:
    """What is said after each ``add_header`` for the whole server, for the locations that add some of their own."""
    found = [one.arguments for one in nginx.parse(configuration) if one.name == "add_header"]
    # One without a value is for nginx to refuse.
    return [" ".join([words[0], _quoted(words[1]), *words[2:]]) for words in found if len(words) > 1]


def _quoted(value: str) -> str:
    return f"'{value}'" if re.search(r'(?<!\\)"', value) else f'"{value}"'


def _locations(name: str, places: list[Item]) -> list[Item]:
    """Each place with all that counts in it; the first one is the site itself.

    nginx takes the longest location only. So what one does not say is written into it from the next longest around it:
    what is below a protected path is protected, and a limit is one for the place that says it and all below.
    """
    found: dict[int, Item] = {}
    for number in sorted(range(len(places)), key=lambda one: len(places[one]["path"])):
        place = places[number]
        around = found[_around(place["path"], places)] if number else {"said_by": {}, "effective": {}}
        access = {key: value for key, value in (place.get("access") or {}).items() if value is not None}
        limits = {key: place[key] for key in LIMITS if place.get(key) is not None}
        found[number] = {
            "path": place["path"],
            "said_by": {**around["said_by"], **dict.fromkeys([*access, *limits], number)},
            "effective": {**around["effective"], **access, **limits},
        }
    site = found[0]["effective"]
    return [_location(name, number, found[number], site) for number in range(len(places))]


def _around(path: str, places: list[Item]) -> int:
    """The number of the longest place that holds ``path``; as nginx does it, beginnings are compared, not folders."""
    holding = [one for one, place in enumerate(places) if place["path"] != path and path.startswith(place["path"])]
    return max(holding, key=lambda one: len(places[one]["path"]))


def _location(name: str, number: int, place: Item, site: Item) -> Item:
    effective, said_by = place["effective"], place["said_by"]
    rate, by = effective.get("rate_limit"), {key: said_by.get(key, 0) for key in (*ACCESS, *LIMITS)}
    zones = {key: f"ringstand_{name}_{by[key]}" for key in ("rate_limit", "connection_limit")}
    # The server's rules count in a location that says nothing; there they are not said again.
    rules = _rules(effective, site) if number == 0 or any(by[key] for key in ACCESS) else {"access": [], "password": ""}
    return {
        **{key: effective[key] for key in LIMITS if key in effective},
        **rules,
        "path": place["path"],
        "effective": effective,
        "users": effective.get("users") or {} if by["users"] == number else {},
        "users_file": f"{name}.{by['users']}" if by["users"] else name,
        "cache_scope": _cache_scope(effective),
        "rate": _rate(rate, zones["rate_limit"], own=by["rate_limit"] == number) if rate else None,
        "connections": {
            "zone": f"{zones['connection_limit']}_connections",
            "own": by["connection_limit"] == number,
        }
        if effective.get("connection_limit")
        else None,
    }


def _rules(access: Item, site: Item) -> Item:
    """Who may come in where not what the server says counts, but ``access``."""
    return {
        "access": _access_rules(access) or (["allow all"] if _access_rules(site) else []),
        "password": "on" if access.get("users") else "off" if site.get("users") else "",
    }


def _cache_scope(access: Item) -> str:
    """What not everybody may see is not for a shared cache either."""
    return "private" if as_list(access.get("allow")) or access.get("users") else "public"


def _files(place: Mapping[str, Any], locations: list[Item]) -> Item:
    """Files that nginx serves itself: to whom may come into the location around them."""
    number = _around(f"/{place['url'].strip('/')}/", locations)
    keys = ("access", "password", "users_file", "cache_scope")
    access = {key: locations[number][key] for key in keys}
    if number == 0:
        access.update(access=[], password="")
    if place.get("internal"):
        # Whoever comes from the app was let in by the rules of where it was asked, which may be others.
        access.update(_rules({}, locations[0]["effective"]), cache_scope="private")
    return {**place, **access, "around": number, "fallback": _fallback(number)}


def _fallback(number: int) -> str:
    return f"@app_{number}" if number else "@app"


def _rate(rate: Mapping[str, Any], zone: str, own: bool) -> Item:
    unit, seconds = RATE_UNITS[rate.get("per") or "second"]
    burst = rate.get("burst")
    if burst is None:
        # nginx measures the time between two requests: without any, the second one of a page is refused.
        burst = rate["requests"] - 1 if seconds == 1 else min(rate["requests"], BURST_OF_A_MINUTE) - 1
    return {
        "zone": zone,
        "own": own,
        "rate": f"{rate['requests']}{unit}",
        "burst": burst,
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


def _redirect(site: Mapping[str, Any], redirect: Mapping[str, Any], served: frozenset[str]) -> Item:
    target = redirect.get("to") or as_list(site.get("domains"))[0]
    is_url = "://" in target
    domain = "" if is_url else to_ascii_domain(target)
    return {
        "domains": [to_ascii_domain(domain) for domain in as_list(redirect["domains"])],
        "target": target if is_url else f"https://{domain}",
        # Another host may have another port.
        "port_kept": domain in served,
        # A domain keeps the path, a URL is the place itself.
        "path_kept": not is_url,
        "status": 308 if redirect.get("permanent") is not False else 307,
    }


def _trusted_proxies(trusted: Mapping[str, Any]) -> Item:
    header = trusted.get("header") or REAL_IP_HEADER
    variable = f"$http_{header.lower().replace('-', '_')}"
    return {"addresses": as_list(trusted.get("addresses")), "header": header, "variable": variable}


def _error_page(status: int, page: str) -> Item:
    """The page for browsers, and the same for clients of JSON, as RFC 9457 has it."""
    problem = {"type": "about:blank", "title": http.HTTPStatus(status).phrase, "status": status}
    return {"html": page.rstrip("\n") + "\n", "json": json.dumps(problem) + "\n"}

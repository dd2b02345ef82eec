"""What the nginx role writes, with every condition both ways."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import certificate_sites
from ansible_collections.ringstand.flask.plugins.module_utils.nginx import Directive, parse
from ansible_collections.ringstand.flask.plugins.module_utils.nginx_items import nginx_certificates
from role_templates import Role

SITE = {
    "name": "shop",
    "domains": ["shop.example.com", "www.shop.example.com"],
    "upstream_socket": "/run/shop/live.sock",
}
STATIC = [{"url": "/static/", "dir": "/srv/shop/static"}]
HTTP = "/etc/nginx/sites-enabled/zz-ringstand.conf"
MAIN = "/etc/nginx/modules-enabled/zz-ringstand.conf"
SHOP = "/etc/nginx/ringstand/sites/shop.conf"
SERVER = "/etc/nginx/ringstand/server.conf"
HEADERS = "/etc/nginx/ringstand/headers.conf"
SHOP_HEADERS = "/etc/nginx/ringstand/headers/shop.conf"
PROXY = "/etc/nginx/ringstand/proxy.conf"
MAPS = "/etc/nginx/ringstand/maps.conf"
UNKNOWN_NAMES = "/etc/nginx/ringstand/default.conf"
TLS = "/etc/nginx/ringstand/tls.conf"
MODULES = ["http_brotli_filter", "http_brotli_static", "http_gzip_static", "http_realip", "http_v2", "http_v3"]


def render(
    *items: dict,
    version: Any = "1.26.3",
    openssl: Any = "3.5.4",
    modules: Any = MODULES,
    ipv6: bool = True,
    directives: Any = (),
    salts: Any = None,
    connections: int = 1536,
    sites: Any = (),
    **variables: Any,
) -> dict[str, dict]:
    """The files as the role's task has them, by path."""
    facts = {
        **{"version": version, "openssl": openssl, "modules": list(modules), "ipv6": ipv6, "salts": salts or {}},
        **{"directives": list(directives), "servers": [], "sites": list(sites), "connections": connections},
    }
    role = Role("nginx", nginx_sites=list(items), __nginx_host={"nginx": facts}, **variables)
    return {entry["path"]: entry for entry in role.value("__nginx_files")}


def config(files: dict[str, dict], path: str) -> list[Directive]:
    return parse(files[path]["content"])


def named(directives: list[Directive], name: str) -> list[list[str]]:
    return [directive.arguments for directive in directives if directive.name == name]


def blocks(directives: list[Directive], name: str) -> list[list[Directive]]:
    return [directive.block for directive in directives if directive.name == name and directive.block is not None]


def shop(**options: Any) -> tuple[list[Directive], list[Directive]]:
    """The site's server on port 80 and the one on port 443."""
    facts = ("version", "openssl", "modules", "ipv6", "directives", "salts")
    item = {**SITE, **{key: options.pop(key) for key in list(options) if not key.startswith(("nginx_", *facts))}}
    servers = blocks(config(render(item, **options), SHOP), "server")
    return servers[0], servers[-1]


def location(server: list[Directive], *arguments: str) -> list[Directive]:
    return next(d.block or [] for d in server if d.name == "location" and d.arguments == list(arguments))


FULL: dict[str, Any] = {
    **SITE,
    "static": [*STATIC, {"url": "/admin/static/", "dir": "/srv/shop/admin"}],
    "media": [
        {"url": "/media/", "dir": "/srv/shop/shared/media"},
        {"url": "/private/", "dir": "/srv/p", "internal": True},
    ],
    "security": {
        "profile": "strict",
        "content_security_policy": {"img-src": ["https://images.example.com"]},
        "hsts": {"include_subdomains": True, "preload": True},
        "headers": {"X-Robots-Tag": "noindex", "Cross-Origin-Opener-Policy": ""},
    },
    "access": {"deny": ["192.0.2.7"], "allow": ["192.0.2.0/24"], "users": {"alice": "correct horse battery"}},
    "rate_limit": {"requests": 20},
    "connection_limit": 10,
    "locations": [
        {"path": "/login", "rate_limit": {"requests": 7, "per": "minute", "burst": 5}},
        {"path": "/upload/", "client_max_body_size_mb": 200, "timeout_seconds": 600, "connection_limit": 2},
        {"path": "/events/", "buffering_enabled": False, "timeout_seconds": 3600},
        {"path": "/hooks/", "access": {"users": {}, "allow": []}},
        {"path": "/admin/", "access": {"users": {"bob": "correct horse battery"}}},
        {"path": "/admin/upload/", "client_max_body_size_mb": 500},
    ],
    "redirects": [
        {"domains": ["shop.example.org", "www.shop.example.org"]},
        {"domains": ["old.example.com"], "to": "https://shop.example.com/moved", "permanent": False},
    ],
    "trusted_proxies": {"addresses": ["198.51.100.0/24", "2001:db8::/32"]},
    "error_pages": {"413": "<h1>Too large</h1>", 502: "<h1>Broken</h1>", "503": "<h1>Busy</h1>"},
    "extra_configuration": "location = /robots.txt {\n    return 200;\n}",
}
VARIANTS: list[dict[str, Any]] = [
    {},
    {"version": None, "openssl": None, "modules": []},
    {"version": "1.18.0", "openssl": "3.0.2", "modules": ["http_gzip_static", "http_realip", "http_ssl", "http_v2"]},
    {"nginx_tls_profile": "modern", "nginx_http3_enabled": False},
    {"version": "1.22.1", "ipv6": False},
    {"directives": ["worker_rlimit_nofile", "worker_shutdown_timeout", "server_names_hash_bucket_size"]},
    {"nginx_public_https_port": 8443, "nginx_settings": {"gzip": False, "keepalive_timeout": "5s"}},
]


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize("site", [SITE, {**SITE, "static": STATIC}, FULL], ids=["bare", "static", "full"])
def test_every_file_is_well_formed_and_complete(site: dict, variant: dict) -> None:
    files = render(site, **variant)
    for path, entry in files.items():
        if path.endswith(".conf"):
            parse(entry["content"])
            assert entry["content"].endswith("\n")
            assert "{%" not in entry["content"] and "{{" not in entry["content"]


def every_directive(files: dict[str, dict]) -> Iterator[Directive]:
    for path in files:
        if path.endswith(".conf"):
            for directive in config(files, path):
                yield from directive.walk()


def test_no_location_loses_a_header_of_the_server() -> None:
    files = render({**FULL, "extra_configuration": ""})
    headers = config(files, "/etc/nginx/ringstand/headers.conf")
    of_servers = {directive.arguments[0] for directive in headers if directive.name == "add_header"}
    for directive in every_directive(files):
        if directive.name == "location":
            names = {inner.name for inner in directive.walk()}
            assert not names & {"proxy_set_header", "proxy_hide_header", "include"}
            added = {inner.arguments[0] for inner in directive.walk() if inner.name == "add_header"}
            assert not added or added >= of_servers


def test_a_file_has_the_headers_of_the_site_written_out() -> None:
    _plain, secure = shop(static=STATIC)
    found = {arguments[0]: arguments[1:] for arguments in named(location(secure, "^~", "/static/"), "add_header")}
    assert found["Strict-Transport-Security"] == ["max-age=63072000", "always"]
    assert found["Cache-Control"] == ["public, $ringstand_static_cache"]
    assert found["Cross-Origin-Opener-Policy"] == ["", "always"]


def test_a_header_of_the_extra_configuration_is_on_files_too() -> None:
    extra = "add_header X-Clacks-Overhead 'GNU \"Terry\"' always; add_header X-A b; location /x { add_header X-B c; }"
    _plain, secure = shop(static=STATIC, media=FULL["media"], extra_configuration=extra)
    for url in ("/static/", "/media/", "/private/"):
        found = named(location(secure, "^~", url), "add_header")
        assert ["X-Clacks-Overhead", 'GNU "Terry"', "always"] in found and ["X-A", "b"] in found
        assert not [arguments for arguments in found if arguments[0] == "X-B"]
        assert ["X-Content-Type-Options", "nosniff", "always"] in found


def test_a_file_that_the_app_sends_to_has_the_headers_of_the_site() -> None:
    """Not those by variables, which nothing sets where the app has set the header: nginx drops most of the app's."""
    secure = blocks(config(render(FULL), SHOP), "server")[-1]
    for place in ("/media/", "/private/"):
        found = {arguments[0]: arguments[1:] for arguments in named(location(secure, "^~", place), "add_header")}
        assert found["Content-Security-Policy"] == ["$ringstand_media_csp", "always"]
        assert found["Strict-Transport-Security"] == ["max-age=63072000; includeSubDomains; preload", "always"]
        assert found["X-Robots-Tag"] == ["noindex", "always"]
        # nginx keeps these two of the app's.
        assert found["Cache-Control"] == ["$ringstand_cache_control", "always"]
        assert found["Content-Disposition"] == ["$ringstand_disposition"]


def test_a_location_of_ones_own_includes_the_headers_of_the_site() -> None:
    files = render(FULL)
    found = config(files, SHOP_HEADERS)
    assert named(found, "include") == [["ringstand/headers.conf"]]
    assert named(found, "add_header") == [["X-Robots-Tag", "$ringstand_shop_header_1", "always"]]
    with_tls = [server for server in blocks(config(files, SHOP), "server") if named(server, "ssl_certificate")]
    assert all(["ringstand/headers/shop.conf"] in named(server, "include") for server in with_tls)
    assert render(nginx_removed_sites=["shop"])[SHOP_HEADERS]["state"] == "absent"


def test_http_goes_to_https_and_answers_challenges() -> None:
    plain, _secure = shop()
    assert named(plain, "listen") == [["80"], ["[::]:80"]]
    assert named(plain, "server_name") == [SITE["domains"]]
    assert named(location(plain, "/"), "return") == [["308", "https://$host$request_uri"]]
    assert named(location(plain, "^~", "/.well-known/acme-challenge/"), "root") == [["/var/www/ringstand-acme"]]


def test_a_redirect_names_the_port_that_clients_see() -> None:
    plain, _secure = shop(nginx_public_https_port=8443)
    assert named(location(plain, "/"), "return") == [["308", "https://$host:8443$request_uri"]]
    elsewhere = {"domains": ["blog.example.org"], "to": "blog.example.com"}
    files = render({**FULL, "redirects": [*FULL["redirects"], elsewhere]}, nginx_public_https_port=8443)
    servers = blocks(config(files, SHOP), "server")[1:-1]
    assert [named(location(server, "/"), "return")[0][1] for server in servers] == [
        "https://shop.example.com:8443$request_uri",
        "https://shop.example.com/moved",
        "https://blog.example.com$request_uri",
    ]


@pytest.mark.parametrize(("port", "values"), [(443, []), (8443, [["~:8443$", ":8443"]])])
def test_an_app_is_told_of_no_port_but_the_public_one(port: int, values: list) -> None:
    files = render(SITE, nginx_public_https_port=port)
    (found,) = (d.block or [] for d in config(files, MAPS) if d.arguments[-1:] == ["$ringstand_port"])
    assert [[d.name, *d.arguments] for d in found] == [["default", ""], *values]


@pytest.mark.parametrize(
    ("path", "seconds"),
    [
        ("/static/app.1a2b3c4d5e6f7890abcd.css", 31536000),
        ("/static/app.css?v=3", 31536000),
        ("/static/assets/index-BfX3k9Qa.js", 31536000),
        ("/static/assets/index-D-xk9_Qa.js.map", 31536000),
        ("/static/assets/index-cjU5xwAA.css?x", 31536000),
        ("/static/chunk-4QVVIHLG.js", 31536000),
        ("/static/app.css", 3600),
        ("/static/jquery-minified.js", 3600),
        ("/static/Inter-SemiBold.woff2", 3600),
        ("/static/lib-fancyBox.js", 3600),
        ("/static/lib-Version2.js", 3600),
        ("/static/lib-LICENSES.txt", 3600),
        ("/static/fonts-webfont2.ttf", 3600),
        ("/static/my-long-fileName.js", 3600),
        ("/static/jquery.fancyBox.js", 3600),
    ],
)
def test_a_name_that_changes_with_the_content_is_kept(path: str, seconds: int) -> None:
    (found,) = (d.block or [] for d in config(render(), MAPS) if d.arguments[-1:] == ["$ringstand_static_cache"])
    values = {d.name: d.arguments[0] for d in found}
    matching = [value for pattern, value in values.items() if pattern[0] == "~" and re.search(pattern[1:], path)]
    assert (matching or [values["default"]])[0].startswith(f"max-age={seconds},")


@pytest.mark.parametrize(("version", "set_to"), [("1.26.3", []), ("1.28.0", [["10s"]])])
def test_a_reload_spares_who_is_asking_where_nginx_can(version: str, set_to: list) -> None:
    assert named(config(render(SITE, version=version), SERVER), "keepalive_min_timeout") == set_to
    own = render(SITE, version=version, nginx_settings={"keepalive_min_timeout": "1s"})
    assert named(config(own, SERVER), "keepalive_min_timeout") == [["1s"]]


@pytest.mark.parametrize(
    ("version", "listen", "directive"),
    [
        ("1.18.0", ["443", "ssl", "http2"], []),
        ("1.22.1", ["443", "ssl", "http2"], []),
        ("1.25.0", ["443", "ssl", "http2"], []),
        ("1.25.1", ["443", "ssl"], [["on"]]),
        ("1.28.0", ["443", "ssl"], [["on"]]),
        (None, ["443", "ssl"], [["on"]]),
    ],
)
def test_http2_is_asked_for_as_this_version_knows_it(version: Any, listen: list, directive: list) -> None:
    _plain, secure = shop(version=version, modules=[])
    assert named(secure, "listen") == [listen, ["[::]:443", *listen[1:]]]
    assert named(secure, "http2") == directive


def test_no_address_family_that_the_host_lacks() -> None:
    files = render(SITE, ipv6=False, modules=[])
    listens = [d.arguments[0] for d in every_directive(files) if d.name == "listen"]
    assert sorted(listens) == ["443", "443", "80", "80"]


def test_unknown_names_get_neither_answer_nor_certificate() -> None:
    plain, secure = blocks(config(render(SITE), UNKNOWN_NAMES), "server")
    assert named(plain, "return") == named(secure, "return") == [["444"]]
    assert named(secure, "ssl_reject_handshake") == [["on"]]
    assert not named(secure, "ssl_certificate")
    assert all("default_server" not in d.arguments for d in every_directive(render(SITE)))


def test_an_nginx_that_cannot_reject_a_handshake_gets_a_certificate_for_it() -> None:
    _plain, secure = blocks(config(render(SITE, version="1.18.0"), UNKNOWN_NAMES), "server")
    assert named(secure, "ssl_reject_handshake") == []
    assert named(secure, "ssl_certificate_key") == [["/etc/ringstand/nameless/privkey.pem"]], "it tells no site's name"
    assert len(blocks(config(render(version="1.18.0"), UNKNOWN_NAMES), "server")) == 2


def test_our_sites_come_after_the_servers_for_unknown_names() -> None:
    included = [arguments[0] for arguments in named(config(render(SITE), HTTP), "include")]
    assert included[-2:] == ["ringstand/default.conf", "ringstand/sites/*.conf"]


def test_what_others_set_for_all_of_nginx_is_not_set_twice() -> None:
    ours = {"worker_rlimit_nofile", "worker_shutdown_timeout"}
    assert {d.name for d in config(render(SITE), MAIN)} == ours
    assert config(render(SITE, directives=ours), MAIN) == []
    http = {d.name for d in config(render(SITE), HTTP)}
    assert {"server_names_hash_bucket_size", "server_names_hash_max_size"} <= http
    assert "server_names_hash_bucket_size" not in {
        d.name for d in config(render(SITE, directives=["server_names_hash_bucket_size"]), HTTP)
    }


def test_only_maps_and_formats_of_ours_touch_all_of_nginx() -> None:
    hashes = {f"{kind}_hash_{what}" for kind in ("server_names", "variables") for what in ("bucket_size", "max_size")}
    assert {d.name for d in config(render(SITE), HTTP)} == hashes | {"log_format", "include"}
    assert {d.name for d in config(render(SITE), MAPS)} == {"map"}
    assert {d.name for d in config(render(SITE), UNKNOWN_NAMES)} == {"server"}


def test_settings_replace_and_complete_ours() -> None:
    found = {
        d.name: d.arguments
        for d in config(render(SITE, nginx_settings={"gzip": False, "keepalive_requests": 9}), SERVER)
    }
    assert (found["gzip"], found["keepalive_requests"], found["server_tokens"]) == (["off"], ["9"], ["off"])
    assert found["keepalive_timeout"] == ["65s"]


def test_limits_match_the_apps() -> None:
    _plain, secure = shop(timeout_seconds=120, client_max_body_size_mb=50)
    assert named(secure, "proxy_read_timeout") == named(secure, "proxy_send_timeout") == [["125s"]]
    assert named(secure, "client_max_body_size") == [["50m"]]


def test_limits_have_defaults() -> None:
    _plain, secure = shop(nginx_timeout_seconds=10)
    assert named(secure, "proxy_read_timeout") == [["15s"]]
    assert named(secure, "client_max_body_size") == [["10m"]]


def test_the_app_is_reached_by_its_socket_and_never_given_up_on() -> None:
    (upstream,) = blocks(config(render(SITE), SHOP), "upstream")
    assert named(upstream, "server") == [["unix:/run/shop/live.sock", "fail_timeout=0", "max_conns=256"]]
    assert named(upstream, "keepalive") == []
    proxy = config(render(SITE), PROXY)
    assert named(proxy, "proxy_next_upstream") == [["off"]]
    sent = {arguments[0]: arguments[1] for arguments in named(proxy, "proxy_set_header")}
    assert sent["Connection"] == "$ringstand_connection"
    assert sent["Host"] == "$host$ringstand_port"
    assert sent["X-Request-ID"] == "$request_id"


def test_only_static_files_are_kept_open() -> None:
    _plain, secure = shop(static=STATIC)
    assert named(location(secure, "^~", "/static/"), "open_file_cache_valid") == [["5s"]]
    files = render({**SITE, "static": STATIC})
    places = [directive for directive in every_directive(files) if named(directive.block or [], "open_file_cache")]
    # Which page maintenance shows, and not that it begins with a file.
    pages = location(secure, "^~", "/.ringstand-maintenance/")
    assert named(pages, "open_file_cache_valid") == [["1s"]]
    assert [place.arguments[1] for place in places] == ["/.ringstand-maintenance/", "/static/"]


@pytest.mark.parametrize("url", ["/static/", "/static", "static"])
@pytest.mark.parametrize("folder", ["/srv/shop/static", "/srv/shop/static/"])
def test_a_static_directory_ends_where_its_location_ends(url: str, folder: str) -> None:
    _plain, secure = shop(static=[{"url": url, "dir": folder}])
    found = location(secure, "^~", "/static/")
    assert named(found, "alias") == [["/srv/shop/static/"]]
    assert named(found, "try_files") == [["$uri", "@app"]]


def test_more_than_an_app_bears_does_not_reach_it() -> None:
    (upstream,) = blocks(config(render({**SITE, "max_connections": 256}), SHOP), "upstream")
    assert named(upstream, "server") == [["unix:/run/shop/live.sock", "fail_timeout=0", "max_conns=256"]]
    assert named(upstream, "zone") == [["ringstand_shop", "64k"]], "nginx's processes count together"
    (upstream,) = blocks(config(render({**SITE, "max_connections": 0}), SHOP), "upstream")
    assert not named(upstream, "zone")


def test_overloaded_apps_leave_connections_for_the_visitors_of_others() -> None:
    names = ["a", "b", "c", "d"]
    sites = [{**SITE, "name": name, "domains": [f"{name}.example.com"]} for name in names]
    files = render(*sites, connections=1536)
    servers = [named(blocks(config(files, f"/etc/nginx/ringstand/sites/{name}.conf"), "upstream")[0], "server")
               for name in names]  # fmt: skip
    assert servers == [[["unix:/run/shop/live.sock", "fail_timeout=0", "max_conns=128"]]] * 4


def test_every_header_is_always_sent() -> None:
    added = {arguments[0]: arguments[1:] for arguments in named(config(render(SITE), HEADERS), "add_header")}
    assert {name for name, arguments in added.items() if arguments[-1] != "always"} == {"Content-Disposition"}
    assert {
        "Strict-Transport-Security",
        "X-Content-Type-Options",
        "Referrer-Policy",
        "Content-Security-Policy",
        "Permissions-Policy",
        "X-Request-ID",
    } <= set(added)


def test_each_variable_that_is_used_is_made() -> None:
    files = render(FULL)
    made = {arguments[1] for path in (MAPS, SHOP) for arguments in named(config(files, path), "map")}
    made |= {arguments[-1] for path in (MAPS, SHOP) for arguments in named(config(files, path), "geo")}
    used = {
        word
        for path, entry in files.items()
        if path.endswith(".conf")
        for word in re.findall(r"\$ringstand_\w+", entry["content"])
    }
    captured = {f"${name}" for name in re.findall(r"\?<(ringstand_\w+)>", files[MAPS]["content"])}
    assert used - made == captured


def test_a_line_of_the_log_is_json_without_the_query() -> None:
    (form,) = named(config(render(SITE), HTTP), "log_format")
    line = "".join(form[2:])
    for number in ("ringstand_status", "bytes_sent", "request_time"):
        line = line.replace(f":${number}", ":1")
    fields = json.loads(line)
    assert {"time", "request_id", "path", "status", "upstream_status"} <= set(fields)
    assert not {"$request_uri", "$request", "$args", "$http_referer"} & set(map(str, fields.values()))


def test_logs_are_made_before_nginx_makes_them_readable_by_all() -> None:
    entry = render(SITE)["/var/log/nginx/ringstand-shop.access.log"]
    assert (entry["owner"], entry["group"], entry["mode"], entry["force"]) == ("www-data", "adm", "0640", False)


def test_a_certificate_is_asked_for_each_site() -> None:
    elsewhere = {**SITE, "name": "blog", "domains": ["blog.example.com"], "certificate_dir": "/etc/x"}
    assert nginx_certificates([SITE, elsewhere], "/etc/ringstand/certificates") == [
        {"name": "shop", "domains": SITE["domains"], "dir": "/etc/ringstand/certificates/shop"},
        {"name": "blog", "domains": ["blog.example.com"], "dir": "/etc/x"},
    ]
    assert nginx_certificates([], "/etc/ringstand/certificates") == []
    (own,) = nginx_certificates([{**SITE, "certificate": {"chain": "PEM"}}], "/etc/ringstand/certificates")
    assert own["own"] == {"chain": "PEM"}
    _plain, secure = blocks(config(render(elsewhere), "/etc/nginx/ringstand/sites/blog.conf"), "server")
    assert named(secure, "ssl_certificate") == [["/etc/x/fullchain.pem"]]


def test_what_watches_certificates_knows_the_sites(tmp_path: Any) -> None:
    elsewhere = {**SITE, "name": "blog", "domains": ["*.example.com"], "certificate_dir": "/etc/x",
                 "certificate": {"chain": "PEM", "key": "canary"}}  # fmt: skip
    old = {"name": "old", "domains": ["old.example.com"], "certificate_dir": "/etc/old"}
    files = render({**FULL}, elsewhere, sites=[old])
    path = tmp_path / "sites.json"
    path.write_text(files[certificate_sites.PATH]["content"])
    sites = certificate_sites.load(str(path))
    assert sites is not None
    assert [(site.name, site.directory) for site in sites] == [
        ("shop", "/etc/ringstand/certificates/shop"),
        ("blog", "/etc/x"),
        ("old", "/etc/old"),  # served on
    ]
    assert "shop.example.org" in sites[0].domains and sites[1].domains == ["*.example.com"]
    assert "canary" not in path.read_text()


def test_a_removed_site_loses_its_file() -> None:
    entry = render(nginx_removed_sites=["shop"])[SHOP]
    assert entry["state"] == "absent"


def test_what_is_not_ours_is_reported() -> None:
    facts = {
        "servers": [{"path": "/etc/nginx/sites-enabled/old", "listen": ["80 default_server"], "names": []}],
        "sites": [{"name": name, "domains": [f"{name}.example.com"]} for name in ("shop", "gone", "removed")],
    }
    role = Role("nginx", nginx_sites=[SITE], nginx_removed_sites=["removed"], __nginx_host={"nginx": facts})
    report = role.template("report.txt.j2").strip().splitlines()
    assert report == [
        "/etc/nginx/sites-enabled/old (not ours) listens on 80 default_server for any name",
        "/etc/nginx/ringstand/sites/gone.conf is still served but not in nginx_sites; nginx_removed_sites, "
        "or state: absent in flask_apps, takes it out",
    ]


@pytest.mark.parametrize(
    ("conflicts", "site", "removed", "message"),
    [
        ([], {"name": "shop", "domains": ["shop.example.com"]}, [], ""),
        ([], {"name": "blog", "domains": ["blog.example.com"]}, [], ""),
        ([], {"name": "old", "domains": ["shop.example.com"]}, ["old"], ""),
        ([], {"name": "old", "domains": ["shop.example.com", "x.example.com"]}, [],
         'shop.example.com is still served as the site "old": add that to nginx_removed_sites'),
        ([{"path": "/etc/x", "domains": ["shop.example.com"]}], {"name": "shop", "domains": []}, [],
         "shop.example.com is already served by /etc/x: remove it there or from nginx_sites"),
    ],
)  # fmt: skip
def test_a_domain_has_one_site(conflicts: list, site: dict, removed: list, message: str) -> None:
    facts = {"conflicts": conflicts, "sites": [site]}
    role = Role("nginx", nginx_sites=[SITE], nginx_removed_sites=removed, __nginx_host={"nginx": facts})
    assert role.value("__nginx_conflicts") == message


def test_maintenance_lets_through_whom_it_names_and_this_machine() -> None:
    files = render({**SITE, "maintenance": {"allow": ["192.0.2.0/24"], "retry_after_seconds": 60, "page": "<p>"}})
    names = [arguments[0] for arguments in named(next(iter(blocks(config(files, SHOP), "geo"))), "192.0.2.0/24")]
    assert names == [""]
    assert "    default 60;" in files[SHOP]["content"]
    assert files["/etc/ringstand/maintenance/shop.default.html"]["content"] == "<p>\n"
    without = render(SITE)
    assert "    default 120;" in without[SHOP]["content"]
    assert without["/etc/ringstand/maintenance/shop.default.html"]["state"] == "absent"


def test_each_site_has_an_allow_list_of_its_own() -> None:
    sites = ["a-b", "a_b", "a_hb", "a--b", "a-_b"]
    made = render(*({**SITE, "name": name, "domains": [f"{number}.example.com"]} for number, name in enumerate(sites)))
    lists = {named(config(made, f"/etc/nginx/ringstand/sites/{name}.conf"), "geo")[0][0] for name in sites}
    assert len(lists) == len(sites)


@pytest.mark.parametrize(
    ("openssl", "profile", "protocols", "curves"),
    [
        ("3.5.4", "intermediate", ["TLSv1.2", "TLSv1.3"], "?X25519MLKEM768:X25519:prime256v1:secp384r1"),
        ("3.0.17", "intermediate", ["TLSv1.2", "TLSv1.3"], "X25519:prime256v1:secp384r1"),
        (None, "modern", ["TLSv1.3"], "X25519:prime256v1:secp384r1"),
    ],
)
def test_tls_follows_the_guideline_as_far_as_openssl_knows_it(
    openssl: Any, profile: str, protocols: list, curves: str
) -> None:
    found = config(render(SITE, openssl=openssl, nginx_tls_profile=profile), TLS)
    assert named(found, "ssl_protocols") == [protocols]
    assert named(found, "ssl_ecdh_curve") == [[curves]]
    assert len(named(found, "ssl_ciphers")) == (profile == "intermediate")
    assert not [d for d in every_directive(render(FULL)) if d.name.startswith("ssl_stapling")]


def test_http3_is_offered_where_nginx_has_it() -> None:
    files = render(FULL)
    assert ["Alt-Svc", 'h3=":443"; ma=86400', "always"] in named(config(files, HEADERS), "add_header")
    queues = [d.arguments for d in every_directive(files) if d.name == "listen" and "reuseport" in d.arguments]
    assert queues == [["443", "quic", "reuseport"], ["[::]:443", "quic", "reuseport"]]
    with_tls = [server for server in blocks(config(files, SHOP), "server") if named(server, "ssl_certificate")]
    assert all(["443", "quic"] in named(server, "listen") for server in with_tls)


@pytest.mark.parametrize("without", [{"modules": []}, {"nginx_http3_enabled": False}], ids=str)
def test_http3_is_not_asked_for_elsewhere(without: dict) -> None:
    assert not re.search(r"quic|Alt-Svc", json.dumps(render(FULL, **without)))


def test_each_security_header_has_a_value_for_each_site() -> None:
    files = render(SITE)
    known = {arguments[0] for arguments in named(config(files, HEADERS), "add_header")}
    _plain, secure = shop()
    given = {name for name, *_value in named(secure, "set") if name.endswith("_given")}
    assert given == {f"$ringstand_{name.lower().replace('-', '_')}_given" for name in known} & given
    assert len(given) == 7


def test_a_location_has_its_limits() -> None:
    _plain, secure = shop(**{key: FULL[key] for key in ("rate_limit", "connection_limit", "locations")})
    (upstream_file,) = [config(render(FULL), SHOP)]
    assert ["$ringstand_client", "zone=ringstand_shop_1:5m", "rate=7r/m"] in named(upstream_file, "limit_req_zone")
    assert named(location(secure, "/"), "limit_req") == [["zone=ringstand_shop_0", "burst=19", "nodelay"]]
    assert named(location(secure, "@app"), "limit_req") == [["zone=ringstand_shop_0", "burst=19", "nodelay"]]
    assert named(location(secure, "/login"), "limit_req") == [["zone=ringstand_shop_1", "burst=5", "nodelay"]]
    assert named(location(secure, "/login"), "set") == [["$ringstand_limit_wait", "9"]]
    assert named(location(secure, "/upload/"), "client_max_body_size") == [["200m"]]
    assert named(location(secure, "/upload/"), "limit_conn") == [["ringstand_shop_2_connections", "2"]]
    assert named(location(secure, "/events/"), "proxy_buffering") == [["off"]]
    assert named(location(secure, "/events/"), "proxy_read_timeout") == [["3605s"]]


def test_who_may_come_in_is_said_once_and_otherwise_by_a_location() -> None:
    files = render(FULL)
    secure = blocks(config(files, SHOP), "server")[-1]
    rules = [[d.name, *d.arguments] for d in secure if d.name in ("allow", "deny")]
    local = [["allow", "127.0.0.1"], ["allow", "::1"]]
    assert rules == [*local, ["deny", "192.0.2.7"], ["allow", "192.0.2.0/24"], ["deny", "all"]]
    assert named(secure, "auth_basic") == [["$ringstand_realm"]]
    hooks, admin = location(secure, "/hooks/"), location(secure, "/admin/")
    assert named(hooks, "auth_basic") == [["off"]]
    assert named(hooks, "deny") == [["192.0.2.7"]]
    assert named(admin, "auth_basic_user_file") == [["/etc/nginx/ringstand/users/shop.5"]]
    assert not named(location(secure, "/login"), "auth_basic")


def test_a_password_counts_for_all_below() -> None:
    secure = blocks(config(render(FULL), SHOP), "server")[-1]
    for place in (["/admin/upload/"], ["^~", "/admin/static/"], ["@app_5"]):
        assert named(location(secure, *place), "auth_basic_user_file") == [["/etc/nginx/ringstand/users/shop.5"]]
    assert named(location(secure, "^~", "/admin/static/"), "try_files") == [["$uri", "@app_5"]]
    assert not named(location(secure, "^~", "/static/"), "auth_basic")
    assert named(location(secure, "^~", "/private/"), "auth_basic") == [["off"]]
    assert named(location(secure, "^~", "/private/"), "allow") == [["all"]]


def test_the_host_gets_hashes_which_stay_as_they_are() -> None:
    entry = render(FULL)["/etc/nginx/ringstand/users/shop"]
    assert (entry["group"], entry["mode"], "content" in entry) == ("www-data", "0640", False)
    salt = entry["secret_content"].split("$")[2]
    others = {"shop.9": {"eve": "abc"}, "gone": {}, "unknown": {"eve": "abc"}}
    again = render(FULL, salts={"shop": {"alice": salt}, **others}, nginx_removed_sites=["gone"])
    assert again["/etc/nginx/ringstand/users/shop"]["secret_content"] == entry["secret_content"]
    for file in ("shop.9", "gone"):
        assert again[f"/etc/nginx/ringstand/users/{file}"]["state"] == "absent"
    assert "/etc/nginx/ringstand/users/unknown" not in again  # that site is served on
    assert "correct horse" not in json.dumps(list(again.values()))


def test_redirected_names_are_served_and_certified() -> None:
    _plain, first, second, _secure = blocks(config(render(FULL), SHOP), "server")
    assert named(location(first, "/"), "return") == [["308", "https://shop.example.com$request_uri"]]
    assert named(location(second, "/"), "return") == [["307", "https://shop.example.com/moved"]]
    plain, _secure = shop(redirects=FULL["redirects"])
    assert {"old.example.com", "www.shop.example.org"} <= set(named(plain, "server_name")[0])
    (certificate,) = nginx_certificates([FULL], "/etc/ringstand/certificates")
    assert certificate["domains"] == named(plain, "server_name")[0]


def test_a_trusted_proxy_says_who_asks() -> None:
    plain, secure = shop(trusted_proxies=FULL["trusted_proxies"])
    for server in (plain, secure):
        assert named(server, "set_real_ip_from") == [["198.51.100.0/24"], ["2001:db8::/32"]]
        assert named(server, "real_ip_header") == [["X-Forwarded-For"]]
    assert ["$ringstand_scheme", "$ringstand_shop_scheme"] in named(secure, "set")
    assert ["$ringstand_proxied", "$http_x_forwarded_for"] in named(secure, "set")
    _plain, secure = shop()
    assert "$ringstand_proxied" not in dict(named(secure, "set"))
    assert not named(secure, "real_ip_header")
    assert "$ringstand_scheme" not in dict(named(secure, "set"))


def test_who_is_named_by_a_proxy_is_not_this_machine() -> None:
    (found,) = (d for d in config(render(), MAPS) if d.arguments[-1:] == ["$ringstand_local"])
    assert found.arguments[0] == "$remote_addr $realip_remote_addr $ringstand_proxied"
    assert [[d.name, *d.arguments] for d in found.block or []] == [
        ["default", "0"],
        ["127.0.0.1 127.0.0.1 ", "1"],
        ["::1 ::1 ", "1"],
    ]
    assert "$realip" not in render(modules=[])[MAPS]["content"]
    # Lists take the address for what it is said to be.
    for site, places in ((FULL["access"], 1), ({}, 0)):
        for proxies in ({}, FULL["trusted_proxies"]):
            _plain, secure = shop(access=site, trusted_proxies=proxies)
            assert len([d for d in secure if d.arguments == ["($ringstand_pretended)"]]) == (places if proxies else 0)
    closed = {"path": "/a/", "access": {"allow": ["192.0.2.1"]}}
    _plain, secure = shop(locations=[closed], trusted_proxies=FULL["trusted_proxies"])
    assert ["($ringstand_pretended)"] in named(location(secure, "/a/"), "if")


def test_uploads_run_nothing_and_lead_nowhere_else() -> None:
    _plain, secure = shop(media=FULL["media"])
    media, private = location(secure, "^~", "/media/"), location(secure, "^~", "/private/")
    assert named(media, "disable_symlinks") == [["on", "from=/srv/shop/shared/media/"]]
    assert (named(media, "internal"), named(private, "internal")) == ([], [[]])
    assert not named(media, "proxy_pass")


def test_what_not_everybody_may_see_is_not_for_shared_caches() -> None:
    for access, scope in (({}, "public"), ({"deny": ["192.0.2.1"]}, "public"), ({"users": {"a": "$6$"}}, "private")):
        _plain, secure = shop(static=STATIC, access=access)
        assert ["Cache-Control", f"{scope}, $ringstand_static_cache"] in named(
            location(secure, "^~", "/static/"), "add_header"
        )


def test_files_are_compressed_where_modules_can() -> None:
    _plain, secure = shop(static=STATIC)
    assert named(location(secure, "^~", "/static/"), "brotli_static") == [["on"]]
    assert "brotli" in {d.name for d in config(render(SITE), SERVER)}
    assert "brotli" not in {d.name for d in every_directive(render(FULL, modules=[]))}
    assert "gzip_static" not in {d.name for d in every_directive(render(FULL, modules=[]))}


def test_pages_of_errors_are_written_for_browsers_and_programs() -> None:
    files = render(FULL)
    assert files["/etc/nginx/ringstand/errors/shop.413.html"]["content"] == "<h1>Too large</h1>\n"
    problem = json.loads(files["/etc/nginx/ringstand/errors/shop.413.json"]["content"])
    assert (problem["title"], problem["status"]) == (HTTPStatus(413).phrase, 413)
    secure = blocks(config(files, SHOP), "server")[-1]
    assert ["413", "/.ringstand-errors/shop.413.$ringstand_format"] in named(secure, "error_page")
    inner = named(location(secure, "@failed"), "error_page")
    assert inner == [[status, f"/.ringstand-errors/shop.{status}.$ringstand_format"] for status in ("502", "503")]


def test_extra_configuration_is_part_of_the_server() -> None:
    _plain, secure = shop(extra_configuration=FULL["extra_configuration"])
    assert named(location(secure, "=", "/robots.txt"), "return") == [["200"]]


def test_each_file_of_a_site_is_of_its_part() -> None:
    """And config_files takes no directory into one."""
    shared = set(render())
    for path, entry in render(FULL, salts={"shop.9": {}}).items():
        if path not in shared:
            assert entry.get("part") == "shop" and entry.get("state") != "directory", path

"""What the nginx role writes, with every condition both ways."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils.nginx import Directive, parse
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
PROXY = "/etc/nginx/ringstand/proxy.conf"


def render(
    *sites: dict, version: Any = "1.26.3", ipv6: bool = True, directives: Any = (), **variables: Any
) -> dict[str, dict]:
    """The files as the role's task has them, by path."""
    facts = {"version": version, "ipv6": ipv6, "directives": list(directives), "servers": [], "sites": []}
    role = Role("nginx", nginx_sites=list(sites), __nginx_host={"nginx": facts}, **variables)
    sites_expression = "lookup('ansible.builtin.template', 'site_files.json.j2') | from_json"
    return {entry["path"]: entry for entry in role.value(f"__nginx_files + ({sites_expression})")}


def config(files: dict[str, dict], path: str) -> list[Directive]:
    return parse(files[path]["content"])


def named(directives: list[Directive], name: str) -> list[list[str]]:
    return [directive.arguments for directive in directives if directive.name == name]


def blocks(directives: list[Directive], name: str) -> list[list[Directive]]:
    return [directive.block for directive in directives if directive.name == name and directive.block is not None]


def shop(**options: Any) -> tuple[list[Directive], list[Directive]]:
    """The site's server on port 80 and the one on port 443."""
    item = {
        **SITE,
        **{
            key: options.pop(key)
            for key in list(options)
            if not key.startswith("nginx_") and key not in ("version", "ipv6", "directives")
        },
    }
    plain, secure = blocks(config(render(item, **options), SHOP), "server")
    return plain, secure


def location(server: list[Directive], *arguments: str) -> list[Directive]:
    return next(d.block or [] for d in server if d.name == "location" and d.arguments == list(arguments))


VARIANTS: list[dict[str, Any]] = [
    {},
    {"version": None},
    {"version": "1.18.0"},
    {"version": "1.22.1", "ipv6": False},
    {"directives": ["worker_rlimit_nofile", "worker_shutdown_timeout", "server_names_hash_bucket_size"]},
    {"nginx_public_https_port": 8443, "nginx_settings": {"gzip": False, "keepalive_timeout": "5s"}},
]


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize("site", [SITE, {**SITE, "static": STATIC}], ids=["bare", "static"])
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


def test_no_location_sets_a_header_and_so_loses_those_of_the_server() -> None:
    for directive in every_directive(render({**SITE, "static": STATIC})):
        if directive.name == "location":
            names = {inner.name for inner in directive.walk()}
            assert not names & {"add_header", "proxy_set_header", "proxy_hide_header", "include"}


def test_http_goes_to_https_and_answers_challenges() -> None:
    plain, _secure = shop()
    assert named(plain, "listen") == [["80"], ["[::]:80"]]
    assert named(plain, "server_name") == [SITE["domains"]]
    assert named(location(plain, "/"), "return") == [["308", "https://$host$request_uri"]]
    assert named(location(plain, "^~", "/.well-known/acme-challenge/"), "root") == [["/var/www/ringstand-acme"]]


def test_a_redirect_names_the_port_that_clients_see() -> None:
    plain, _secure = shop(nginx_public_https_port=8443)
    assert named(location(plain, "/"), "return") == [["308", "https://$host:8443$request_uri"]]


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
    _plain, secure = shop(version=version)
    assert named(secure, "listen") == [listen, ["[::]:443", *listen[1:]]]
    assert named(secure, "http2") == directive


def test_no_address_family_that_the_host_lacks() -> None:
    files = render(SITE, ipv6=False)
    listens = [d.arguments[0] for d in every_directive(files) if d.name == "listen"]
    assert sorted(listens) == ["443", "443", "80", "80"]


def test_unknown_names_get_neither_answer_nor_certificate() -> None:
    plain, secure = blocks(config(render(SITE), HTTP), "server")
    assert named(plain, "return") == named(secure, "return") == [["444"]]
    assert named(secure, "ssl_reject_handshake") == [["on"]]
    assert not named(secure, "ssl_certificate")
    assert all("default_server" not in d.arguments for d in every_directive(render(SITE)))


def test_an_nginx_that_cannot_reject_a_handshake_gets_a_certificate_for_it() -> None:
    _plain, secure = blocks(config(render(SITE, version="1.18.0"), HTTP), "server")
    assert named(secure, "ssl_reject_handshake") == []
    assert named(secure, "ssl_certificate_key") == [["/etc/ringstand/certificates/shop/privkey.pem"]]
    assert len(blocks(config(render(version="1.18.0"), HTTP), "server")) == 1


def test_our_sites_come_after_the_servers_for_unknown_names() -> None:
    names = [directive.name for directive in config(render(SITE), HTTP)]
    assert names[-3:] == ["server", "server", "include"]


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
    allowed = {"server_names_hash_bucket_size", "server_names_hash_max_size", "log_format", "map", "server", "include"}
    assert {d.name for d in config(render(SITE), HTTP)} == allowed


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
    assert named(upstream, "server") == [["unix:/run/shop/live.sock", "fail_timeout=0"]]
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
    assert [place.arguments for place in places] == [["^~", "/static/"]], "maintenance begins with a file"


@pytest.mark.parametrize("url", ["/static/", "/static", "static"])
@pytest.mark.parametrize("folder", ["/srv/shop/static", "/srv/shop/static/"])
def test_a_static_directory_ends_where_its_location_ends(url: str, folder: str) -> None:
    _plain, secure = shop(static=[{"url": url, "dir": folder}])
    found = location(secure, "^~", "/static/")
    assert named(found, "alias") == [["/srv/shop/static/"]]
    assert named(found, "try_files") == [["$uri", "@app"]]


def test_every_header_is_always_sent() -> None:
    added = {arguments[0]: arguments[1:] for arguments in named(config(render(SITE), HEADERS), "add_header")}
    assert all(arguments[-1] == "always" for arguments in added.values())
    assert {
        "Strict-Transport-Security",
        "X-Content-Type-Options",
        "Referrer-Policy",
        "Content-Security-Policy",
        "Permissions-Policy",
        "X-Request-ID",
    } <= set(added)


def test_each_variable_that_is_used_is_made() -> None:
    files = render({**SITE, "static": STATIC})
    made = {arguments[1] for arguments in named(config(files, HTTP), "map")}
    made |= {arguments[0] for arguments in named(config(files, SHOP), "geo")}
    used = {
        word
        for path, entry in files.items()
        if path.endswith(".conf")
        for word in entry["content"].replace(";", " ").replace('"', " ").split()
        if word.startswith("$ringstand_")
    }
    assert {word for word in used if word not in made} <= {"$ringstand_found", "$ringstand_given", "$ringstand_wait"}


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
    role = Role("nginx", nginx_sites=[SITE, elsewhere])
    assert json.loads(role.template("certificates.json.j2")) == [
        {"name": "shop", "domains": SITE["domains"], "dir": "/etc/ringstand/certificates/shop"},
        {"name": "blog", "domains": ["blog.example.com"], "dir": "/etc/x"},
    ]
    assert json.loads(Role("nginx", nginx_sites=[]).template("certificates.json.j2")) == []
    _plain, secure = blocks(config(render(elsewhere), "/etc/nginx/ringstand/sites/blog.conf"), "server")
    assert named(secure, "ssl_certificate") == [["/etc/x/fullchain.pem"]]


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
    assert names == ["1"]
    assert "set $ringstand_maintenance 60;" in files[SHOP]["content"]
    assert files["/etc/ringstand/maintenance/shop.default.html"]["content"] == "<p>\n"
    without = render(SITE)
    assert "set $ringstand_maintenance 120;" in without[SHOP]["content"]
    assert without["/etc/ringstand/maintenance/shop.default.html"]["state"] == "absent"


def test_each_site_has_an_allow_list_of_its_own() -> None:
    sites = ["a-b", "a_b", "a_hb", "a--b", "a-_b"]
    made = render(*({**SITE, "name": name, "domains": [f"{number}.example.com"]} for number, name in enumerate(sites)))
    lists = {named(config(made, f"/etc/nginx/ringstand/sites/{name}.conf"), "geo")[0][0] for name in sites}
    assert len(lists) == len(sites)

"""What is read from configurations that others wrote."""

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import nginx

CONFIG = r"""
user www-data;  # a comment with { and ;
events { worker_connections 768; }
http {
    gzip on;
    map $uri $x { default ""; "~[{;}]\"" 'quoted; {'; }
    log_format main '{"a":"$uri"}'
                    "b;";
    server {
        listen 80 default_server; listen [::]:80 default_server;
        server_name _ "old.example.com";
        location ~ \.php$ { set $y ${uri}z; }
    }
    include /etc/nginx/conf.d/*.conf;
}
"""


def test_a_configuration_is_read_into_directives() -> None:
    user, events, http = nginx.parse(CONFIG)
    assert (user.name, user.arguments, user.block) == ("user", ["www-data"], None)
    assert [inner.name for inner in events.block or []] == ["worker_connections"]
    assert [inner.name for inner in http.block or []] == ["gzip", "map", "log_format", "server", "include"]
    found = {directive.name: directive.arguments for directive in http.walk()}
    assert found['~[{;}]\\"'] == ["quoted; {"]
    assert found["log_format"] == ["main", '{"a":"$uri"}', "b;"]
    assert (found["location"], found["set"]) == (["~", "\\.php$"], ["$y", "${uri}z"])


@pytest.mark.parametrize("broken", ["a { b;", "a; }", "a b", "{}", ";", "a { b }"])
def test_what_does_not_fit_together_is_refused(broken: str) -> None:
    with pytest.raises(ValueError, match="unexpected"):
        nginx.parse(broken)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("modules-enabled", "conf.d", "sites-enabled", "ringstand/sites"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "nginx.conf").write_text(CONFIG)
    (tmp_path / "modules-enabled/50-stream.conf").write_text("load_module modules/ngx_stream_module.so;")
    (tmp_path / "modules-enabled/zz-ringstand.conf").write_text("worker_shutdown_timeout 1s;")
    (tmp_path / "sites-enabled/blog").write_text("server { listen 203.0.113.1:443 ssl; server_name blog.example.com; }")
    (tmp_path / "sites-enabled/broken").write_text("server {")
    (tmp_path / "sites-enabled/zz-ringstand.conf").write_text("server { listen 80; server_name shop.example.com; }")
    (tmp_path / "ringstand/sites/shop.conf").write_text(
        "upstream u { } server { server_name b a; } server { server_name a; ssl_certificate /etc/x/fullchain.pem; }"
    )
    return tmp_path


def test_only_what_others_made_is_described(root: Path) -> None:
    found = nginx.describe(str(root))
    assert found["directives"] == sorted(
        ["events", "gzip", "http", "include", "load_module", "log_format", "map", "server", "user"]
    )
    assert found["servers"] == [
        {
            "path": f"{root}/nginx.conf",
            "listen": ["80 default_server", "[::]:80 default_server"],
            "names": ["_", "old.example.com"],
        },
        {"path": f"{root}/sites-enabled/blog", "listen": ["203.0.113.1:443 ssl"], "names": ["blog.example.com"]},
    ]
    assert found["sites"] == [{"name": "shop", "domains": ["a", "b"], "certificate_dir": "/etc/x"}]


def test_a_host_without_nginx_is_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nginx.commands, "run", lambda argv: nginx.commands.Result(127, "", "not found"))
    found = nginx.describe(str(tmp_path))
    assert (found["version"], found["directives"], found["servers"], found["sites"]) == (None, [], [], [])


@pytest.mark.parametrize(
    ("listen", "clashes"),
    [
        (["80"], True),
        (["[::]:443 ssl"], True),
        (["203.0.113.1:80"], True),
        ([], True),  # nginx listens on 80 then
        (["8080"], False),
        (["127.0.0.1:8443 ssl", "unix:/run/x.sock"], False),
    ],
)
def test_a_name_that_somebody_else_serves_on_a_public_port(listen: list, clashes: bool) -> None:
    servers = [{"path": "/x", "listen": listen, "names": ["shop.example.com", "*.example.com"]}]
    expected = [{"path": "/x", "domains": ["shop.example.com"]}] if clashes else []
    assert nginx.conflicts(servers, ["shop.example.com", "www.example.com"]) == expected


BUILD = """nginx version: nginx/1.26.3
built with OpenSSL 3.5.1 1 Jul 2025 (running with OpenSSL 3.5.4 30 Sep 2025)
TLS SNI support enabled
configure arguments: --with-cc-opt='-g -O2' --with-http_v3_module --with-http_realip_module \\
--with-http_perl_module=dynamic --with-threads
"""


def test_what_nginx_can_do_is_read_from_its_build(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "modules-enabled/50-brotli.conf").write_text("load_module modules/ngx_http_brotli_filter_module.so;")
    monkeypatch.setattr(nginx.commands, "run", lambda argv: nginx.commands.Result(0, "", BUILD))
    found = nginx.describe(str(root))
    assert (found["version"], found["openssl"]) == ("1.26.3", "3.5.4")
    assert found["modules"] == ["http_brotli_filter", "http_realip", "http_v3", "stream"]


@pytest.mark.parametrize(
    ("text", "connections"),
    [
        ("worker_processes auto; events { worker_connections 768; }", 2304),
        ("worker_processes 2; events { worker_connections 4096; }", 8192),
        ("events { worker_connections 1000; }", 1000),
        ("events { }", 512),
        (None, 2304),
    ],
)
def test_the_connections_are_those_of_all_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: Any, connections: int
) -> None:
    monkeypatch.setattr(nginx.os, "cpu_count", lambda: 3)
    monkeypatch.setattr(nginx.commands, "run", lambda argv: nginx.commands.Result(0, "", BUILD))
    if text is not None:
        (tmp_path / "nginx.conf").write_text(text)
    assert nginx.describe(str(tmp_path))["connections"] == connections


def test_salts_are_read_and_nothing_else_of_the_passwords(root: Path) -> None:
    users = root / "ringstand/users"
    users.mkdir()
    (users / "shop").write_text("alice:$6$abc./DEF$" + "x" * 86 + "\nbob:$6$rounds=9000$abc$x\nrubbish\n")
    (users / "shop.1").write_bytes(b"\xff")
    assert nginx.describe(str(root))["salts"] == {"shop": {"alice": "abc./DEF"}, "shop.1": {}}


@pytest.mark.parametrize("broken", ["set $a \"b;", "set $a 'b; }", "set $a \";"])
def test_an_open_quotation_is_refused(broken: str) -> None:
    with pytest.raises(ValueError, match="unexpected [\"']"):
        nginx.parse(broken)

"""nginx asked from outside, over the network, as a browser or a scanner would."""

from __future__ import annotations

import json
import socket
import ssl
import time
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse

import pytest

NAME = "shop.example.com"
SECURITY = {
    "strict-transport-security": "max-age=63072000",
    "x-content-type-options": "nosniff",
    "referrer-policy": "strict-origin-when-cross-origin",
    "content-security-policy": "base-uri 'self'; frame-ancestors 'self'; object-src 'none'",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    text: str


@pytest.fixture
def address(host):
    return host.ansible.get_variables()["ansible_host"]


@pytest.fixture
def connect(address):
    def opened(name: str | None, port: int = 443, protocols: tuple[str, ...] = ("http/1.1",)) -> socket.socket:
        plain = socket.create_connection((address, port), timeout=20)
        if port == 80:
            return plain
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it is a placeholder
        context.set_alpn_protocols(list(protocols))
        return context.wrap_socket(plain, server_hostname=name)

    return opened


@pytest.fixture
def ask(connect):
    def asked(path: str = "/", name: str = NAME, port: int = 443, method: str = "GET", body=None, **headers) -> Answer:
        connection = HTTPConnection(name, port)
        connection.sock = connect(name, port)
        headers = {key.replace("_", "-"): value for key, value in headers.items()}
        connection.request(method, path, body, {"Host": name, **headers})
        response: HTTPResponse = connection.getresponse()
        received = {key.lower(): value for key, value in response.getheaders()}
        assert len(received) == len(response.getheaders()), f"a header is sent twice: {response.getheaders()}"
        return Answer(response.status, received, response.read().decode())

    return asked


def test_the_app_answers_over_https(ask):
    answer = ask("/some/path?with=query")
    assert answer.status == 200
    assert json.loads(answer.text)["path"] == "/some/path?with=query"
    assert answer.headers["server"] == "nginx"


def test_the_app_learns_who_asks_and_cannot_be_lied_to(ask):
    lies = {
        "X_Forwarded_For": "1.2.3.4",
        "X_Forwarded_Proto": "http",
        "Forwarded": "for=1.2.3.4",
        "Proxy": "evil",
        "X_Forwarded_Prefix": "/evil",
        "X_Request_ID": "f" * 32,
        "X_Real_IP": "1.2.3.4",
    }
    headers = json.loads(ask("/", **lies).text)["headers"]
    assert (headers["host"], headers["x-forwarded-proto"], headers["connection"]) == (NAME, "https", "close")
    assert headers["x-forwarded-for"] == headers["x-real-ip"] != "1.2.3.4"
    assert len(headers["x-request-id"]) == 32 and headers["x-request-id"] != "f" * 32
    assert not {"forwarded", "proxy", "x-forwarded-prefix", "upgrade"} & set(headers)


def test_the_app_sees_the_port_that_the_client_sees(ask):
    headers = json.loads(ask("/", Host="Shop.example.com:6666").text)["headers"]
    assert headers["host"] == headers["x-forwarded-host"] == "shop.example.com", "that is no port of ours"


def test_http_is_sent_to_https(ask):
    answer = ask("/a?b=c", port=80, method="POST", body="x")
    assert (answer.status, answer.headers["location"]) == (308, f"https://{NAME}/a?b=c")
    assert "strict-transport-security" not in answer.headers


def test_challenges_are_answered_over_http(ask):
    answer = ask("/.well-known/acme-challenge/token", port=80)
    assert (answer.status, answer.text, answer.headers["content-type"]) == (200, "challenge", "text/plain")
    assert ask("/.well-known/acme-challenge/other", port=80).status == 404


def test_unknown_names_get_no_answer_over_http(host, ask, address):
    if host.backend.get_hostname() == "nginx-foreign":  # somebody else's default server answers them, as before
        assert "Welcome to nginx" in ask("/", name="unknown.example.org", port=80).text
        return
    for name in ("unknown.example.org", address):
        with pytest.raises(ConnectionResetError):
            ask("/", name=name, port=80)


def test_unknown_names_and_bare_addresses_get_no_certificate(connect, address):
    for name in ("unknown.example.org", address, None):
        with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
            connect(name)


def test_a_known_handshake_does_not_reach_an_unknown_host(connect):
    connection = HTTPConnection(NAME)
    connection.sock = connect(NAME)
    connection.request("GET", "/", headers={"Host": "unknown.example.org"})
    with pytest.raises(ConnectionResetError):
        connection.getresponse()


def test_http2_is_spoken(connect):
    assert connect(NAME, protocols=("h2", "http/1.1")).selected_alpn_protocol() == "h2"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_tls_is_refused(address, version):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = version
    with socket.create_connection((address, 443), timeout=20) as plain, pytest.raises(ssl.SSLError):
        context.wrap_socket(plain, server_hostname=NAME)


def test_the_placeholder_names_the_site(connect):
    der = connect(NAME).getpeercert(binary_form=True)
    assert b"Self-signed placeholder" in der
    assert b"www.shop.example.com" in der


def test_static_files_are_served_with_their_cache_time(ask):
    plain, named = ask("/static/shop.css"), ask("/static/shop.css?v=20260101")
    assert (plain.status, plain.text) == (200, "body { color: black }")
    assert (plain.headers["cache-control"], named.headers["cache-control"]) == (
        "public, max-age=3600, stale-if-error=86400",
        "public, max-age=31536000, immutable",
    )
    assert "text/css" in plain.headers["content-type"]
    assert json.loads(ask("/static/not-there.css").text)["path"] == "/static/not-there.css"  # the app knows
    assert ask("/static/../../../etc/passwd").status == 400


@pytest.mark.parametrize(
    ("path", "status"), [("/", 200), ("/static/shop.css", 200), ("/busy", 503), ("/broken", 502), ("/slow", 504)]
)
def test_security_headers_are_on_every_answer(ask, path, status):
    answer = ask(path)
    assert answer.status == status
    assert {name: answer.headers.get(name) for name in SECURITY} == SECURITY
    assert len(answer.headers["x-request-id"]) == 32


def test_security_headers_are_on_errors_of_nginx(ask):
    answer = ask("/", method="POST", body=b"x" * (1024 * 1024 + 1))
    assert answer.status == 413
    assert {name: answer.headers.get(name) for name in SECURITY} == SECURITY


def test_what_the_app_sets_itself_wins(ask):
    headers = ask("/own-headers").headers
    assert (headers["referrer-policy"], headers["strict-transport-security"]) == ("no-referrer", "max-age=60")
    assert headers["x-request-id"] != "mine"
    assert headers["x-content-type-options"] == "nosniff"


def test_a_body_within_the_limit_passes(ask):
    assert ask("/", method="POST", body=b"x" * (1024 * 1024)).status == 200


def test_a_busy_app_and_a_missing_one_invite_to_try_again_a_broken_one_does_not(ask):
    missing = ask("/", name="a-name-that-is-longer-than-one-bucket.of-nginx-holds-by-default.example.com")
    assert (missing.status, missing.headers["retry-after"]) == (503, "2")
    assert ask("/busy").headers["retry-after"] == "2"
    assert "retry-after" not in ask("/broken").headers


def test_answers_are_compressed(ask):
    assert ask("/big").headers.get("content-encoding") is None
    connection_headers = ask("/static/shop.css", Accept_Encoding="gzip").headers
    assert "content-encoding" not in connection_headers  # too small to be worth it


def test_big_answers_are_compressed(connect):
    connection = HTTPConnection(NAME)
    connection.sock = connect(NAME)
    connection.request("GET", "/big", headers={"Accept-Encoding": "gzip"})
    response = connection.getresponse()
    assert response.getheader("Content-Encoding") == "gzip"
    assert len(response.read()) < 1000


def test_a_websocket_passes(connect):
    stream = connect(NAME)
    stream.sendall(f"GET /ws HTTP/1.1\r\nHost: {NAME}\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n".encode())
    reader = stream.makefile("rb")
    assert b"101" in reader.readline()
    while reader.readline().strip():
        pass
    stream.sendall(b"hello\n")
    assert reader.readline() == b"hello\n"


def test_another_upgrade_does_not_pass(ask):
    headers = json.loads(ask("/", Connection="Upgrade, HTTP2-Settings", Upgrade="h2c").text)["headers"]
    assert headers["connection"] == "close" and "upgrade" not in headers


def test_the_log_is_json_with_the_id_that_the_app_saw(host, ask):
    seen = json.loads(ask("/log-me?token=canary").text)["headers"]["x-request-id"]
    log = host.file("/var/log/nginx/ringstand-shop.access.log")
    time.sleep(1.5)  # written once a second
    lines = [json.loads(line) for line in log.content_string.splitlines()]
    (line,) = [line for line in lines if line["request_id"] == seen]
    assert (line["path"], line["status"], line["upstream_status"], line["scheme"]) == ("/log-me", 200, "200", "https")
    assert "canary" not in log.content_string
    assert (log.user, log.group, log.mode) == ("www-data", "adm", 0o640)


def test_logs_are_rotated(host):
    assert host.run("logrotate --debug /etc/logrotate.d/nginx").stderr.count("ringstand-shop.access.log") > 0


def test_keys_are_private(host):
    key = host.file("/etc/ringstand/certificates/shop/privkey.pem")
    assert (key.is_symlink, host.file(key.linked_to).mode, host.file(key.linked_to).user) == (True, 0o600, "root")


def test_only_the_web_ports_listen(host):
    listening = {line.rsplit(":", 1)[1] for line in host.socket.get_listening_sockets() if line.startswith("tcp")}
    assert {"80", "443"} <= listening <= {"22", "80", "443"}


def test_nginx_has_loaded_what_is_on_disk(host):
    assert host.service("nginx").is_enabled and host.service("nginx").is_running
    assert host.run("nginx -t -q").rc == 0
    assert "no_such_directive" not in host.run("nginx -T").stdout


def test_others_are_left_as_they_were(host, ask):
    default = host.file("/etc/nginx/sites-enabled/default")
    if host.backend.get_hostname() == "nginx-foreign":
        assert default.linked_to == "/etc/nginx/sites-available/default"
        answer = ask("/", name="old.example.com", port=80)
        assert answer.text == "somebody else's"
        assert "x-request-id" not in answer.headers
    else:
        assert default.linked_to == "/dev/null"

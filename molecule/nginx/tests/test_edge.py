"""What a site says of how it is served, asked over the network as a visitor would."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPResponse

import pytest

NAME = "edge.example.com"
# One line for each header that MDN's HTTP Observatory grades, and those that it does not.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'self'; connect-src 'self'; font-src 'self'; "
    "form-action 'self'; frame-ancestors 'self'; img-src 'self' https://images.example.com; manifest-src 'self'; "
    "media-src 'self'; script-src 'self'; style-src 'self'; worker-src 'self'",
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains; preload",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "X-Robots-Tag": "noindex",
}
ASK_FROM = """python3 - <<'END'
import http.client, socket, ssl
plain = socket.create_connection(("{to}", 443), 5, ("{address}", 0))
connection = http.client.HTTPConnection("{name}")
connection.sock = ssl._create_unverified_context().wrap_socket(plain, server_hostname="{name}")
connection.request("GET", "{path}", headers={headers})
response = connection.getresponse()
print(response.status, response.headers["Retry-After"], response.read().decode())
END"""
FILL = """python3 - <<'END'
import os, socket, time
server = socket.socket(socket.AF_UNIX)
server.bind("/run/full.sock")
os.chmod("/run/full.sock", 0o777)
server.listen(1)
waiting = []
while True:
    client = socket.socket(socket.AF_UNIX)
    client.setblocking(False)
    try:
        client.connect("/run/full.sock")
    except BlockingIOError:
        break
    waiting.append(client)
if os.fork() == 0:
    os.setsid()
    os.closerange(0, 3)
    time.sleep(15)
END"""


@pytest.fixture
def address(host):
    return host.ansible.get_variables()["ansible_host"]


@pytest.fixture
def ask(address):
    def asked(path: str, name: str = NAME, method: str = "GET", body=None, **headers: str) -> tuple[HTTPResponse, str]:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = HTTPConnection(name)
        connection.sock = context.wrap_socket(socket.create_connection((address, 443), 20), server_hostname=name)
        connection.request(method, path, body, {key.replace("_", "-"): value for key, value in headers.items()})
        response = connection.getresponse()
        names = [key.lower() for key, _value in response.getheaders()]
        assert len(names) == len(set(names)), f"a header is sent twice: {response.getheaders()}"
        return response, response.read().decode()

    return asked


@pytest.mark.parametrize("path", ["/", "/static/shop.css", "/broken", "/limited/", "/robots.txt", "/own", "/inside/"])
def test_each_header_is_on_every_answer(ask, path):
    response, _text = ask(path)
    assert {name: response.headers[name] for name in HEADERS} == HEADERS


def test_names_lead_to_the_first_one(ask):
    response, _text = ask("/a?b=c", name=f"www.{NAME}")
    assert (response.status, response.headers["Location"]) == (308, f"https://{NAME}/a?b=c")
    assert response.headers["Strict-Transport-Security"] == HEADERS["Strict-Transport-Security"]
    response, _text = ask("/a?b=c", name=f"old.{NAME}")
    assert (response.status, response.headers["Location"]) == (307, f"https://{NAME}/moved")


def test_who_asks_too_often_is_told_to_wait(ask):
    found = [ask("/limited/x") for _number in range(4)]
    assert [response.status for response, _text in found][-1] == 429
    response, text = found[-1]
    assert (response.headers["Retry-After"], "Slower" in text) == ("60", True)
    response, text = ask("/limited/x", Accept="application/json")
    assert (json.loads(text)["status"], response.headers["Retry-After"]) == (429, "60")


def test_one_at_a_time_where_it_is_said(ask):
    with ThreadPoolExecutor() as threads:
        found = list(threads.map(ask, ["/one-by-one/slow"] * 2))
    assert sorted(response.status for response, _text in found) == [200, 429]


def test_a_password_is_asked_for(host, ask):
    def secret(path, password):
        login = base64.b64encode(f"alice:{password}".encode()).decode()
        return ask(f"/secret/{path}", Authorization=f"Basic {login}")[0].status

    assert ask("/secret/")[0].headers["WWW-Authenticate"] == 'Basic realm="Restricted"'
    for path in ("", "upload/", "static/shop.css", "static/of-the-app.css", "media/picture.png"):
        assert (ask(f"/secret/{path}")[0].status, secret(path, "correct horse battery")) == (401, 200), path
    assert secret("", "wrong") == 401
    file = host.file("/etc/nginx/ringstand/users/edge.3")
    assert (file.user, file.group, file.mode, "correct" in file.content_string) == ("root", "www-data", 0o640, False)
    assert not host.file("/etc/nginx/ringstand/users/edge.7").exists


def test_only_who_is_allowed_comes_in_and_this_machine(host, ask):
    response, text = ask("/inside/")
    assert (response.status, "Not here" in text) == (403, True)
    for path in ("/inside/", "/secret/"):
        said = host.check_output(
            ASK_FROM.format(to="127.0.0.1", address="127.0.0.1", name=NAME, path=path, headers="{}")
        )
        assert said.startswith("200")


def test_a_proxy_is_believed_and_nobody_else(host):
    headers = '{"X-Forwarded-For": "192.0.2.1, 192.0.2.9", "X-Forwarded-Proto": "http"}'
    seen = {}
    for address in ("127.0.0.2", "127.0.0.3"):
        said = host.check_output(ASK_FROM.format(to="127.0.0.1", address=address, name=NAME, path="/", headers=headers))
        asked = json.loads(said.split(" ", 2)[2])["headers"]
        seen[address] = (asked["x-real-ip"], asked["x-forwarded-proto"])
    assert seen == {"127.0.0.2": ("127.0.0.2", "https"), "127.0.0.3": ("192.0.2.9", "http")}


def test_who_pretends_to_be_this_machine_is_asked_who_that_is(host):
    pretended = '{"X-Forwarded-For": "127.0.0.1"}'
    for path, status in (("/", "200"), ("/secret/", "401"), ("/inside/", "403")):
        said = host.check_output(
            ASK_FROM.format(to="127.0.0.1", address="127.0.0.3", name=NAME, path=path, headers=pretended)
        )
        assert said.startswith(status), path


def test_bodies_have_the_limit_of_their_path(ask):
    body = b"x" * (11 * 1024 * 1024)
    assert ask("/upload/", method="POST", body=body)[0].status == 200
    with pytest.raises((ConnectionError, ssl.SSLError)):
        assert ask("/", method="POST", body=body)[0].status == 413
        raise ConnectionResetError  # the answer came before the whole body was sent


def test_events_are_sent_on_at_once(address):
    context = ssl._create_unverified_context()
    with context.wrap_socket(socket.create_connection((address, 443), 20), server_hostname=NAME) as stream:
        stream.sendall(f"GET /stream HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
        started, received = time.monotonic(), b""
        while b"data: one" not in received:
            received += stream.recv(4096)
        assert time.monotonic() - started < 1.5


def test_uploads_are_shown_or_offered_and_run_nothing(ask):
    response, text = ask("/media/picture.png")
    assert (response.status, text, response.headers["Content-Disposition"]) == (200, "png", None)
    assert response.headers["Cache-Control"] == "public, max-age=3600"
    response, _text = ask("/media/page.html")
    assert response.headers["Content-Disposition"] == "attachment"
    assert response.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert [ask(path)[0].status for path in ("/media/link.txt", "/media/missing.png", "/private/picture.png")] == [
        403,
        404,
        404,
    ]


def test_a_private_upload_is_given_out_by_the_app(ask):
    response, text = ask("/accelerated")
    assert (response.status, text, response.headers["Cache-Control"]) == (200, "png", "private, max-age=5")
    # What the app has set of these is lost on that way.
    expected = {**HEADERS, "Content-Security-Policy": "default-src 'none'; sandbox"}
    assert {name: response.headers[name] for name in HEADERS} == expected
    response, _text = ask("/accelerated/page.html")
    assert response.headers["Content-Disposition"] == "attachment"
    response, text = ask("/accelerated/missing.png")
    assert (response.status, "No such file" in text) == (404, True)
    assert {name: response.headers[name] for name in HEADERS} == HEADERS


def test_files_compressed_before_are_served(ask):
    assert ask("/static/shop.js")[1] == "plain"
    response, text = ask("/static/shop.js", Accept_Encoding="gzip")
    assert (text, response.headers["Content-Encoding"]) == ("compressed before", "gzip")
    assert "Accept-Encoding" in response.headers["Vary"]


def test_pages_of_errors_are_those_of_the_site(ask):
    assert "No such file" in ask("/media/missing.png")[1]
    response, text = ask("/broken")
    assert (response.status, "Broken" in text) == (502, True)
    assert "No such file" not in ask("/static/missing.css")[1]  # that is the app's


def test_a_full_backlog_invites_to_try_again(host, ask):
    host.check_output(f"rm -f /run/full.sock; {FILL}")
    response, text = ask("/", name="full.example.com")
    assert (response.status, response.headers["Retry-After"], "Full" in text) == (503, "2", True)


def test_http3_is_offered_where_nginx_has_it(host, ask):
    has_it = "http_v3_module" in host.run("nginx -V").stderr
    assert (ask("/")[0].headers["Alt-Svc"] is not None) is has_it
    listening = host.check_output("ss -Hlun sport = :443")
    assert bool(listening) is has_it


def test_a_network_of_ipv6_is_one_client(host):
    addresses = ["2001:db8:0:64::1", "2001:db8:0:64::2"]
    host.check_output("; ".join(f"ip -6 address add {address}/128 dev lo nodad" for address in addresses))
    try:
        asked = [
            host.check_output(ASK_FROM.format(to=addresses[0], address=one, name=NAME, path="/limited/x", headers={}))
            for one in addresses * 2
        ]
    finally:
        host.check_output("; ".join(f"ip -6 address delete {address}/128 dev lo" for address in addresses))
    assert [answer.split()[0] for answer in asked] == ["200", "200", "429", "429"]

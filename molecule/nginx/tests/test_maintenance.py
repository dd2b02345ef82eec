"""Maintenance, which begins and ends with a file: from the network, and from addresses of the host itself."""

from __future__ import annotations

import json
import socket
import ssl
from http.client import HTTPConnection, HTTPResponse

import pytest

NAME = "shop.example.com"
FILES = "/etc/ringstand/maintenance"
ASK_FROM = f"""python3 - <<'END'
import http.client, socket, ssl
context = ssl._create_unverified_context()
plain = socket.create_connection(("127.0.0.1", 443), 5, ("{{address}}", 0))
connection = http.client.HTTPConnection("{NAME}")
connection.sock = context.wrap_socket(plain, server_hostname="{NAME}")
connection.request("GET", "/")
print(connection.getresponse().status)
END"""


@pytest.fixture
def connection(host):
    plain = socket.create_connection((host.ansible.get_variables()["ansible_host"], 443), timeout=20)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it is a placeholder
    made = HTTPConnection(NAME)
    made.sock = context.wrap_socket(plain, server_hostname=NAME)
    yield made
    made.close()


@pytest.fixture
def maintenance(host):
    host.check_output(f"touch {FILES}/shop.on")
    yield
    host.check_output(f"rm -rf {FILES}/shop.on {FILES}/shop.allow {FILES}/shop.html")


def ask(connection: HTTPConnection, path: str = "/", method: str = "GET", **headers: str) -> tuple[HTTPResponse, str]:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, "{}" if method != "GET" else None, names)
    response = connection.getresponse()
    return response, response.read().decode()


def test_it_begins_and_ends_on_a_connection_that_stays_open(host, connection):
    sock = connection.sock
    assert ask(connection)[0].status == 200
    host.check_output(f"touch {FILES}/shop.on")
    try:
        response, text = ask(connection)
    finally:
        host.check_output(f"rm {FILES}/shop.on")
    assert (response.status, response.headers["Retry-After"]) == (503, "300")
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert response.headers.get_all("Strict-Transport-Security") == ["max-age=63072000"]
    assert "<h1>Back soon</h1>" in text
    assert ask(connection)[0].status == 200
    assert connection.sock is sock


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_no_method_reaches_the_app(maintenance, connection, method):
    response, text = ask(connection, "/orders", method)
    assert (response.status, "Back soon" in text) == (503, True)


@pytest.mark.parametrize(
    "headers",
    [{"Accept": "application/json"}, {"Accept": "application/problem+json, */*"}, {"Content_Type": "application/json"}],
    ids=str,
)
def test_clients_of_json_get_json(maintenance, connection, headers):
    response, text = ask(connection, "/api", "POST", **headers)
    assert (response.status, response.headers["Retry-After"]) == (503, "300")
    assert response.headers["Content-Type"].startswith("application/json")
    assert json.loads(text)["status"] == 503


def test_a_browser_that_also_takes_json_gets_the_page(maintenance, connection):
    assert "Back soon" in ask(connection, Accept="text/html,application/json;q=0.9")[1]


def test_a_page_of_the_app_comes_first(host, maintenance, connection):
    host.check_output(f"echo '<p>of the app' > {FILES}/shop.html")
    assert ask(connection)[1] == "<p>of the app\n"


def test_static_files_and_challenges_go_on(host, maintenance, connection):
    assert ask(connection, "/static/shop.css")[0].status == 200
    assert ask(connection, "/static/missing.css")[0].status == 503
    address = host.ansible.get_variables()["ansible_host"]
    with socket.create_connection((address, 80), timeout=20) as plain:
        plain.sendall(f"GET /.well-known/acme-challenge/token HTTP/1.0\r\nHost: {NAME}\r\n\r\n".encode())
        assert plain.makefile().read().endswith("challenge")


def test_the_host_itself_and_what_is_allowed_reach_the_app(host, maintenance, connection):
    assert ask(connection)[0].status == 503
    assert host.check_output(ASK_FROM.format(address="127.0.0.1")) == "200"
    assert host.check_output(ASK_FROM.format(address="127.0.0.2")) == "503"
    assert host.check_output(ASK_FROM.format(address="127.0.0.3")) == "200"
    assert host.check_output(f"mkdir {FILES}/shop.allow; touch {FILES}/shop.allow/127.0.0.2") == ""
    assert host.check_output(ASK_FROM.format(address="127.0.0.2")) == "200"


def test_the_pages_are_no_pages_of_the_site(connection):
    assert ask(connection, "/.ringstand-maintenance/html")[0].status == 404
    response, text = ask(connection)
    assert (response.status, response.headers["Cache-Control"]) == (200, None)

"""A host's port 80 as the controller sees it: an HTTP server of the test's own at several addresses."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import acme_preflight
from ansible_collections.ringstand.flask.plugins.plugin_utils import outside_view

DOMAIN = "shop.example.com"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status = {"/missing": 404, "/moved": 301}.get(self.path, 200)
        self.send_response(status)
        self.send_header("Location", "https://shop.example.com/")
        self.end_headers()
        self.wfile.write(b"token" if self.path == "/token" and self.headers["Host"] == DOMAIN else b"other")

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as found:
        monkeypatch.setattr(outside_view, "PORT", found.server_port)
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield
        found.shutdown()


def see(monkeypatch: pytest.MonkeyPatch, addresses: list[str], path: str = "/token") -> outside_view.View:
    monkeypatch.setattr(outside_view, "_addresses", lambda _domain: addresses)
    return outside_view.look({"shop": [DOMAIN]}, path, "token", ["127.0.0.1"])


def test_a_host_that_answers_with_our_token(server: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert see(monkeypatch, ["127.0.0.1"]) == outside_view.View()


@pytest.mark.parametrize("path", ["/missing", "/else"])
def test_another_answer_ends_it(server: None, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    view = see(monkeypatch, ["127.0.0.1"], path)
    assert "shop.example.com leads to 127.0.0.1, which answers a challenge of ours with" in view.refused["shop"]


def test_each_address_is_asked(server: None, monkeypatch: pytest.MonkeyPatch) -> None:
    view = see(monkeypatch, ["127.0.0.1", "127.0.0.2"])  # the server is at the first one only
    assert view.refused == {}
    assert "leads to 127.0.0.2, which is none of the host's own; port" in view.warnings[0]


def test_a_redirect_is_followed_by_authorities(server: None, monkeypatch: pytest.MonkeyPatch) -> None:
    view = see(monkeypatch, ["127.0.0.1"], "/moved")
    assert view.refused == {}
    assert "status 301" in view.warnings[0]


def test_a_domain_without_an_address_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "does not resolve here" in see(monkeypatch, []).warnings[0]


def test_what_this_machine_has_no_way_to_counts_only_for_foreign_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside_view, "ask", lambda *_given: (outside_view.NO_ROUTE, "Network is unreachable"))
    assert see(monkeypatch, ["127.0.0.1"]).warnings == []
    assert "2001:db8::1, which is none" in see(monkeypatch, ["2001:db8::1"]).warnings[0]


def test_the_token_is_ours_and_goes(tmp_path: Path) -> None:
    path, content = acme_preflight.place(str(tmp_path))
    placed = tmp_path / path.lstrip("/")
    assert placed.read_text() == content
    other = placed.parent / "challenge"
    other.touch()
    acme_preflight.remove(str(tmp_path), "/x/challenge")
    acme_preflight.remove(str(tmp_path), path)
    acme_preflight.remove(str(tmp_path), path)
    assert (other.exists(), placed.exists()) == (True, False)


def test_localhost_has_addresses() -> None:
    assert set(outside_view.addresses_of("127.0.0.1")) == {"127.0.0.1"}
    assert outside_view.addresses_of(None) == []
    assert socket.AF_INET

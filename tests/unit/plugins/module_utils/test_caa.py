"""CAA records, asked of a DNS server of the test's own."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from typing import Any

import dns.message
import dns.rcode
import dns.resolver
import dns.rrset
import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import acme_directory
from ansible_collections.ringstand.flask.plugins.plugin_utils import caa, outside_view

OURS = ["authority.test"]
ZONES = {
    "example.com.": ['0 issue "Authority.test; validationmethods=http-01"', '0 issuewild ";"'],
    "other.example.com.": ['0 issue "other.test"', '0 iodef "mailto:ops@example.com"'],
    "nobody.example.com.": ['0 issue ";"'],
    "critical.example.com.": ['128 future "x"', '0 issue "authority.test"'],
    "wild.test.": ['0 issue "other.test"', '0 issuewild "authority.test"'],
    "by-dns.test.": ['0 issue "authority.test; accounturi=https://x/1; validationmethods=dns-01,tls-alpn-01"'],
    "silent.test.": ['0 iodef "mailto:ops@example.com"'],
}


class Handler(socketserver.BaseRequestHandler):
    """Answers for the zones above; what is below them does not exist, and broken.test is broken."""

    def handle(self) -> None:
        data, listener = self.request
        query = dns.message.from_wire(data)
        name = query.question[0].name.to_text()
        answer = dns.message.make_response(query)
        if name == "broken.test.":
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif name in ZONES:
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", "CAA", *ZONES[name]))
        elif name.count(".") > 2:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        listener.sendto(answer.to_wire(), self.client_address)


@pytest.fixture
def resolver() -> Iterator[Any]:
    with socketserver.ThreadingUDPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found = dns.resolver.Resolver(configure=False)
        found.nameservers, found.port = ["127.0.0.1"], server.server_address[1]
        yield found
        server.shutdown()


@pytest.mark.parametrize("domain", [
    "example.com",
    "shop.example.com",  # the nearest records above it
    "a.b.example.com",
    "*.wild.test",
    "silent.test",
    "without.test",
    "broken.test",  # the authority may be luckier
])  # fmt: skip
def test_what_may_be_issued(resolver: Any, domain: str) -> None:
    assert caa.fault(domain, OURS, "http-01", resolver) is None


@pytest.mark.parametrize(("domain", "words"), [
    ("*.example.com", 'of example.com allow nobody to issue for *.example.com, and not this authority. Add the record: '
                      'example.com CAA 0 issuewild "authority.test"'),
    ("by-dns.test", "let this authority prove by-dns.test by dns-01, tls-alpn-01, not by http-01. Add the record: "
                    'by-dns.test CAA 0 issue "authority.test"'),
    ("other.example.com", 'allow other.test to issue for other.example.com, and not this authority. Add the record: '
                          'other.example.com CAA 0 issue "authority.test"'),
    ("nobody.example.com", "allow nobody"),
    ("critical.example.com", "critical property 'future'"),
    ("wild.test", "allow other.test"),
])  # fmt: skip
def test_what_may_not(resolver: Any, domain: str, words: str) -> None:
    assert words in str(caa.fault(domain, OURS, "http-01", resolver))


def test_nothing_is_asked_for_an_authority_without_a_name() -> None:
    assert caa.fault("other.example.com", [], "http-01", resolver=None) is None


def test_it_depends_on_how_a_domain_is_proven(resolver: Any) -> None:
    assert caa.fault("by-dns.test", OURS, "dns-01", resolver) is None
    assert "prove example.com by http-01, not by dns-01" in str(caa.fault("example.com", OURS, "dns-01", resolver))


def test_it_keeps_a_certificate_from_being_ordered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside_view, "_addresses", lambda _domain: [])
    monkeypatch.setattr(caa, "fault", lambda domain, names, method: f"{domain} and {names} by {method}")
    view = outside_view.look({"shop": ["shop.example.com"]}, "/", "", [], OURS, {"wild": ["*.example.com"]})
    assert view.refused == {
        "shop": f"shop.example.com and {OURS} by http-01",
        "wild": f"*.example.com and {OURS} by dns-01",
    }
    assert view.warnings == ["shop.example.com does not resolve here; no authority can verify it unless it does there"]


@pytest.mark.parametrize(("directory", "names"), [
    ({"meta": {"caaIdentities": ["Authority.test"]}}, ["authority.test"]),
    ({"meta": {}}, []),
    ({}, []),
    ([], []),
])  # fmt: skip
def test_the_names_of_an_authority(monkeypatch: pytest.MonkeyPatch, directory: Any, names: list[str]) -> None:
    monkeypatch.setattr(acme_directory, "get", lambda _url, _context: (directory, {}))
    assert acme_directory.caa_identities("https://authority.test/directory", "") == names


def test_an_authority_that_cannot_be_asked_has_no_name() -> None:
    assert acme_directory.caa_identities("https://127.0.0.1:1/directory", "") == []

"""Certificates asked for from outside, and what renews them."""

from __future__ import annotations

import json
import socket
import ssl

import pytest

SITES = {"shop": ("shop", "www"), "blog": ("blog",)}


@pytest.fixture
def domain(host):
    return f"{host.backend.get_hostname()}.example.net"


@pytest.fixture
def served(host):
    """The certificate that a client is shown for a name, in DER."""
    address = host.ansible.get_variables()["ansible_host"]

    def shown(name: str) -> bytes:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with (
            socket.create_connection((address, 443), timeout=20) as plain,
            context.wrap_socket(plain, server_hostname=name) as stream,
        ):
            return stream.getpeercert(binary_form=True)

    return shown


@pytest.mark.parametrize("site", SITES)
def test_each_domain_is_served_with_the_certificate_of_the_authority(host, served, domain, site):
    names = [f"{name}.{domain}" for name in SITES[site]]
    for name in names:
        der = served(name)
        assert b"Pebble Intermediate CA" in der
        assert der == ssl.PEM_cert_to_DER_cert(host.file(f"/etc/letsencrypt/live/{site}/cert.pem").content_string)
    shown = host.run(f"openssl x509 -in /etc/letsencrypt/live/{site}/cert.pem -noout -text").stdout
    assert ", ".join(f"DNS:{name}" for name in names) + "\n" in shown
    assert "id-ecPublicKey" in shown


@pytest.mark.parametrize("site", SITES)
def test_one_link_leads_to_the_certificate(host, site):
    directory = f"/etc/ringstand/certificates/{site}"
    assert host.check_output(f"readlink {directory}/current") == f"/etc/letsencrypt/live/{site}"
    for name in ("fullchain.pem", "privkey.pem"):
        assert host.check_output(f"readlink {directory}/{name}") == f"current/{name}"
    key = host.file(host.check_output(f"realpath {directory}/privkey.pem"))
    assert (key.user, key.mode) == ("root", 0o600)


def test_certbot_keeps_exactly_these(host):
    assert sorted(host.file("/etc/letsencrypt/renewal").listdir()) == ["blog.conf", "shop.conf"]
    assert len(host.check_output("find /etc/letsencrypt/accounts -name regr.json").splitlines()) == 1


def test_the_program_says_so_too(host):
    told = host.run("ringstand --json certificates")
    rows = {row["site"]: row for row in json.loads(told.stdout)["certificates"]}
    assert told.rc == 0
    assert {(name, rows[name]["state"], rows[name]["problem"]) for name in SITES} == {
        ("shop", "served", None),
        ("blog", "served", None),
    }


def test_the_timer_renews_with_jitter_and_trusts_the_authority(host):
    timer = host.service("certbot.timer")
    assert timer.is_enabled and timer.is_running
    shown = host.check_output("systemctl show certbot.timer --property RandomizedDelayUSec")
    assert shown not in ("RandomizedDelayUSec=0", "RandomizedDelayUSec=")
    shown = host.check_output("systemctl show certbot.service --property Environment")
    assert shown == "Environment=REQUESTS_CA_BUNDLE=/etc/ssl/pebble.pem"
    for site in SITES:
        hook = host.file(f"/etc/letsencrypt/renewal/{site}.conf").content_string
        assert "/usr/local/bin/ringstand certificate deploy" in hook


def test_no_challenge_is_left_behind(host):
    assert host.file("/var/www/ringstand-acme/.well-known/acme-challenge").listdir() == []

"""Certificates asked for from outside, and what renews them."""

from __future__ import annotations

import json
import socket
import ssl

import pytest

SITES = {"shop": ("shop", "www"), "blog": ("blog",), "wild": ("wild", "*.wild")}


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
        der = served(name.replace("*", "any"))
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


def test_certbot_keeps_these_and_one_account(host):
    # late is there after the scenarios; nobody asks for it any more.
    assert {"blog.conf", "shop.conf", "wild.conf"} <= set(host.file("/etc/letsencrypt/renewal").listdir())
    assert len(host.check_output("find /etc/letsencrypt/accounts -name regr.json").splitlines()) == 1


def test_the_program_says_so_too(host):
    told = host.run("ringstand --json certificates")
    rows = {row["site"]: row for row in json.loads(told.stdout)["certificates"]}
    # Of late nobody asks for the name that it lacks; that it lacks it is said.
    lacks = rows["late"]["problem"] or ""
    assert told.rc == (3 if lacks else 0)
    assert lacks == "" or lacks.startswith("it lacks stray.")
    assert {(name, rows[name]["state"], rows[name]["problem"]) for name in SITES} == {
        ("shop", "served", None),
        ("blog", "served", None),
        ("wild", "served", None),
    }


def test_only_root_reads_what_the_plugin_does(host):
    folder = host.file("/etc/ringstand/certbot-dns")
    assert (folder.user, folder.mode) == ("root", 0o700)
    credentials = host.file("/etc/ringstand/certbot-dns/rfc2136.ini")
    assert (credentials.user, credentials.mode) == ("root", 0o600)
    assert "dns_rfc2136_name = certbot.\n" in credentials.content_string


def test_the_timer_renews_with_jitter_and_certbots_own_does_not(host):
    timer = host.service("ringstand-certificates.timer")
    assert timer.is_enabled and timer.is_running
    shown = host.check_output("systemctl show ringstand-certificates.timer --property RandomizedDelayUSec")
    assert shown == "RandomizedDelayUSec=50min"
    for site in SITES:
        text = host.file(f"/etc/letsencrypt/renewal/{site}.conf").content_string
        assert "/usr/local/bin/ringstand certificate deploy" in text
        assert "autorenew = False" in text


def test_what_the_timer_runs_has_nothing_to_do(host):
    assert host.run("systemctl start ringstand-certificates.service").rc == 0
    assert host.check_output("systemctl show ringstand-certificates.service --property Result") == "Result=success"


def test_the_doctor_finds_the_certificates_well(host):
    told = json.loads(host.run("ringstand --json doctor").stdout)["findings"]
    assert [one for one in told if one["check"] == "certificates" and one["where"] != "late"] == []


def test_no_challenge_is_left_behind(host):
    assert host.file("/var/www/ringstand-acme/.well-known/acme-challenge").listdir() == []

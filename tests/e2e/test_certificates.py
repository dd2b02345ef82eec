"""A whole site whose certificate comes from an authority: while it is down, once it is there, with one more name, and
when it is asked for no longer. The authority is Pebble on the host, which finds the names by the host's own file."""

from __future__ import annotations

import json
import re

import pytest
from conftest import NAME, variables, write_inventory

WWW = f"www.{NAME}"
UNIT = "authority"
SETUP = f"""
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get -qq -y install --no-install-recommends pebble openssl < /dev/null > /dev/null 2>&1
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=authority \\
  -addext subjectAltName=IP:127.0.0.1 -keyout /etc/ssl/private/authority.key -out /etc/ssl/authority.pem 2> /dev/null
cat > /etc/ssl/authority.json << 'END'
{{"pebble": {{"listenAddress": "127.0.0.1:14000", "managementListenAddress": "127.0.0.1:15000",
  "certificate": "/etc/ssl/authority.pem", "privateKey": "/etc/ssl/private/authority.key", "httpPort": 80,
  "tlsPort": 443, "certificateValidityPeriod": 7776000}}}}
END
echo '127.0.0.1 {NAME} {WWW}' >> /etc/hosts
"""
START = (f"systemd-run --quiet --unit={UNIT} --setenv=PEBBLE_VA_NOSLEEP=1 pebble -config /etc/ssl/authority.json && "
         "timeout 20 sh -c 'until ss -Htln sport = :14000 | grep -q .; do sleep 0.1; done'")
SERVED = f"openssl s_client -connect 127.0.0.1:443 -servername {NAME} < /dev/null 2> /dev/null"


@pytest.fixture(scope="module")
def values(site):
    """The variables of the site with an authority."""
    made = site.root("bash 2>&1; echo $?", SETUP)
    assert made.strip() == "0", made
    wanted = variables(site.planted)
    del wanted["flask_apps"]["shop"]["tls"]
    return {**wanted, "certbot_directory_url": "https://127.0.0.1:14000/dir", "certbot_email": "ops@example.com",
            "certbot_ca_bundle_path": "/etc/ssl/authority.pem"}


def play(site, values: dict, *arguments: str):
    write_inventory(site.inventory, values)
    return site.play(*arguments)


def served(site) -> str:
    """Issuer and names of the certificate that visitors get."""
    return site.root(f"{SERVED} | openssl x509 -noout -issuer -ext subjectAltName")


def changes(site, values: dict) -> list[str]:
    """What a run changes, which check mode has said before, and which the run after it finds done."""
    foreseen = play(site, values, "--check", "--diff")
    done = site.play()
    again = site.play()
    assert (foreseen.code, done.code, again.code) == (0, 0, 0), foreseen.output[-3000:] + done.output[-3000:]
    assert (foreseen.changed(), again.changed()) == (done.changed(), [])
    return done.changed()


def test_an_authority_that_is_down_keeps_nothing_else_from_being_done(site, values):
    shop = values["flask_apps"]["shop"]
    shop["environment"]["GREETING"] = "hello"
    values["flask_apps"]["blog"] = {**{key: shop[key] for key in ("source", "wsgi", "health")}, "workers": 1,
                                    "domains": ["blog.example.com"], "tls": {"certificate": "self_signed"}}
    run = play(site, values)
    assert run.code != 0
    assert re.search(r"Failed to have 1 of 1 certificates served:\s+- shop: ", run.output), run.output[-3000:]
    assert site.root("ringstand run shop printenv GREETING").strip() == "hello"
    assert site.ask("/health/ready").status == 200
    assert "Pebble" not in served(site)
    # The run has waited for it all the same.
    assert json.loads(site.root("ringstand --json releases blog"))["ledger"][-1]["result"] == "ok"


def test_once_it_is_there_the_next_run_gets_the_certificate(site, values):
    assert site.root(f"{START}; echo $?").strip() == "0"
    assert any("Get the certificates" in task for task in changes(site, values))
    assert "Pebble" in served(site)
    rows = json.loads(site.root("ringstand --json certificates"))["certificates"]
    row = next(row for row in rows if row["site"] == "shop")
    assert (row["site"], row["state"], row["problem"]) == ("shop", "served", None)
    assert site.root("systemctl is-active ringstand-certificates.timer").strip() == "active"


def test_one_more_name_is_one_more_in_the_certificate(site, values):
    values["flask_apps"]["shop"]["domains"] = [NAME, WWW]
    assert any("Get the certificates" in task for task in changes(site, values))
    assert re.findall(r"DNS:([\w.]+)", served(site)) == [NAME, WWW]


def test_what_was_issued_serves_on_when_no_authority_is_asked_for(site, values):
    values["flask_apps"]["shop"]["tls"] = {"certificate": "self_signed"}
    assert changes(site, values) == []
    assert "Pebble" in served(site)


def test_of_an_absent_app_nothing_is_renewed_and_nothing_deleted(site, values):
    values["flask_apps"]["shop"] = {"state": "absent"}
    assert any("Get the certificates" in task for task in changes(site, values))
    rows = json.loads(site.root("ringstand --json certificates"))["certificates"]
    assert [row["site"] for row in rows] == ["blog"]
    renewal = json.loads(site.root("ringstand --json certificate renew"))
    assert renewal["certificates"] == {}
    assert site.root("ls /etc/letsencrypt/live/shop/fullchain.pem").strip() != ""

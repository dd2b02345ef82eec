"""What a run refuses before anything is changed or asked for, as its user on the controller sees it."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import urllib.request
from pathlib import Path

import pytest
from once import once_per_host

# The directory of the authority again, with a name of its own in it, which Pebble does not have.
DIRECTORY = """server {
    listen 14001 ssl;
    ssl_certificate /etc/ssl/pebble.pem;
    ssl_certificate_key /etc/ssl/private/pebble.key;
    location = /dir { default_type application/json; alias /var/www/authority.json; }
}
"""
PLAYED = {
    # The certbot of Debian 12 is too old, Debian 13 has no such plugin.
    "certbot-12": (
        {"certbot_profile": "shortlived", "certbot_certificates": [{"name": "shop", "domains": ["shop.example.net"]}]},
        'certbot_profile = "shortlived": the certbot 2.1.0 of this host has no profiles',
    ),
    "certbot-13": (
        {
            "certbot_certificates": [{"name": "shop", "domains": ["*.example.net"], "dns_plugin": "ovh"}],
            "certbot_dns_credentials": {"ovh": "dns_ovh_endpoint = ovh-eu"},
        },
        "its distribution has no package python3-certbot-dns-ovh",
    ),
}


@pytest.fixture(scope="module", autouse=True)
def once(host):
    once_per_host(host, "refusals")


def play(host, tmp_path, prefix=(), **play):
    """What ansible-playbook prints and ends with."""
    path = tmp_path / "play.yml"
    path.write_text(
        json.dumps([{"hosts": host.backend.get_hostname(), "become": True, "gather_facts": False, **play}])
    )
    inventory = Path(os.environ["MOLECULE_INVENTORY_FILE"]).parent
    argv = [*prefix, "ansible-playbook", "-i", str(inventory), str(path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=300)
    return done.returncode, " ".join(f"{done.stdout}{done.stderr}".replace("\\n", " ").split())


def test_what_the_hosts_certbot_cannot_do(host, tmp_path):
    variables, words = PLAYED[host.backend.get_hostname()]
    code, output = play(host, tmp_path, roles=[{"role": "ringstand.flask.certbot", **variables}])
    assert code != 0 and words in output.replace('\\"', '"'), output
    assert "changed=0" in output


@pytest.fixture
def authority(host):
    """The URL of a directory that names the authority, and how many orders it has had."""
    if host.backend.get_hostname() != "certbot-13":
        pytest.skip("the same on each distribution")
    url = f"https://{host.ansible.get_variables()['ansible_host']}:14000/dir"
    with urllib.request.urlopen(url, context=ssl._create_unverified_context(), timeout=20) as answer:
        directory = json.load(answer)
    directory["meta"]["caaIdentities"] = ["authority.test"]
    host.check_output("echo %s > /var/www/authority.json", json.dumps(directory))
    host.check_output("echo %s > /etc/nginx/conf.d/authority.conf; systemctl reload nginx", DIRECTORY)
    yield url.replace("14000", "14001")
    host.check_output("rm /etc/nginx/conf.d/authority.conf; systemctl reload nginx")


def test_records_that_allow_another_authority_end_an_order_at_no_cost(host, authority, tmp_path):
    """By HTTP and by DNS; the controller asks the host's name server, in a mount namespace with its address."""
    name, links = f"guarded.{host.backend.get_hostname()}.example.net", "/etc/ringstand/certificates"
    orders = "journalctl --unit pebble --output cat | grep -c order-plz || true"
    before = host.check_output(orders)
    resolver = tmp_path / "resolv.conf"
    resolver.write_text(f"nameserver {host.ansible.get_variables()['ansible_host']}\n")
    namespace = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"]), "sh", "-c"]
    namespace += ['mount --bind "$0" /etc/resolv.conf && exec "$@"', str(resolver)]
    module = {
        "certificates": [
            {"name": "guarded", "domains": [name], "dir": f"{links}/guarded"},
            {"name": "any", "domains": [f"*.{name}"], "dns_plugin": "rfc2136", "dir": f"{links}/any"},
        ],
        "client": {
            "directory_url": authority,
            "webroot_dir": "/var/www/ringstand-acme",
            "ca_bundle_path": "/etc/ssl/pebble.pem",
        },
    }
    code, output = play(host, tmp_path, namespace, tasks=[{"ringstand.flask.certbot_certificates": module}])
    assert code != 0, output
    assert (
        f"- guarded: the CAA records of {name} allow other.test to issue for {name}, and not this authority. "
        f'Add the record: {name} CAA 0 issue "authority.test"'
    ) in output.replace('\\"', '"')
    assert f"let this authority prove *.{name} by http-01, not by dns-01" in output
    assert host.check_output(orders) == before

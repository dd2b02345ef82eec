"""What the certbot role writes, with and without what is optional."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.ringstand.flask.plugins.module_utils import certificate_settings
from role_templates import Role

FILES = "__certbot_files + (lookup('ansible.builtin.template', 'dns_files.json.j2') | from_json)"
SITE = {"name": "shop", "domains": ["shop.example.com"]}


def render(**variables: Any) -> dict[str, dict[str, Any]]:
    return {entry["path"]: entry for entry in Role("certbot", certbot_certificates=[SITE], **variables).value(FILES)}


def test_what_the_host_reads_is_what_was_written(tmp_path: Any) -> None:
    path = tmp_path / "certbot.json"
    path.write_text(render()["/etc/ringstand/certbot.json"]["content"])
    settings = certificate_settings.load(str(path))
    assert settings is not None
    assert [(site.name, site.directory) for site in settings.sites] == [("shop", "/etc/ringstand/certificates/shop")]
    assert settings.client.renewal.directory_url == "https://acme-v02.api.letsencrypt.org/directory"
    assert settings.client.staging_url == "https://acme-staging-v02.api.letsencrypt.org/directory"
    assert (settings.client.config_path, settings.client.profile, settings.client.ca_bundle_path) == ("", "", "")
    assert settings.client.propagation_seconds == {}
    path.write_text(render(certbot_dns_propagation_seconds={"rfc2136": 5})["/etc/ringstand/certbot.json"]["content"])
    changed = certificate_settings.load(str(path))
    assert changed is not None and changed.client.propagation_seconds == {"rfc2136": 5}


def test_what_others_bring_is_watched_without_an_authority() -> None:
    own = [{"name": "shop", "certificate": {"chain_path": "/etc/x"}}]
    for sites, watched in (([{"name": "shop"}], False), (own, True)):
        role = Role("certbot", nginx_sites=sites)
        assert (role.value("certbot_watch_enabled"), role.value("__certbot_is_used")) == (watched, False)
    assert Role("certbot").value("certbot_watch_enabled") is False
    assert Role("certbot", certbot_removed_certificates=["shop"]).value("__certbot_is_used") is True


def test_another_authority_has_no_staging_directory() -> None:
    text = render(certbot_directory_url="https://ca.example.com/dir")["/etc/ringstand/certbot.json"]["content"]
    assert json.loads(text)["client"]["staging_directory_url"] == ""


def test_secrets_are_in_files_of_their_own() -> None:
    files = render(
        certbot_eab={"kid": "kid-1", "hmac_key": "zWNDZM6eQGHWpSRTPal5eIUYFTu7"},
        certbot_webhook_url="https://hooks.example.com/canary",
        certbot_dns_credentials={"cloudflare": "dns_cloudflare_api_token = canary"},
    )
    assert json.loads(files["/etc/ringstand/certbot.json"]["content"])["client"]["config_path"] in files
    for path, text in (
        ("/etc/ringstand/certbot-account.ini", "eab-hmac-key = zWNDZM6eQGHWpSRTPal5eIUYFTu7\n"),
        ("/etc/ringstand/certbot-webhook.url", "https://hooks.example.com/canary\n"),
        ("/etc/ringstand/certbot-dns/cloudflare.ini", "dns_cloudflare_api_token = canary\n"),
    ):
        assert files[path]["mode"] == "0600"
        assert files[path]["secret_content"].endswith(text)
    assert "canary" not in "".join(str(entry.get("content")) for entry in files.values())


def test_they_go_when_nobody_wants_them_any_more() -> None:
    files = render()
    for path in ("/etc/ringstand/certbot-account.ini", "/etc/ringstand/certbot-webhook.url"):
        assert files[path]["state"] == "absent"


def test_an_environment_of_its_own_needs_no_package_of_certbot() -> None:
    role = Role("certbot", certbot_certificates=[SITE], certbot_source="virtual_environment")
    assert role.value("certbot_packages") == ["openssl", "python3-venv"]
    client = json.loads(role.value("__certbot_settings"))["client"]
    assert client["program"] == "/opt/ringstand/certbot/bin/certbot"
    assert client["ca_bundle_path"] == "/etc/ssl/certs/ca-certificates.crt"
    files = {entry["path"]: entry for entry in role.value("__certbot_environment_files")}
    assert "certbot==5.8.0 \\\n    --hash=sha256:" in files["/opt/ringstand/certbot-requirements.txt"]["content"]
    assert files["/opt/ringstand/certbot-pip.conf"]["mode"] == "0600"


def test_a_plugin_brings_its_package() -> None:
    role = Role("certbot", certbot_certificates=[SITE, {**SITE, "dns_plugin": "cloudflare"}])
    assert role.value("certbot_packages") == ["certbot", "openssl", "python3-certbot-dns-cloudflare"]

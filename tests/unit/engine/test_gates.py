"""How a release is asked whether it is well."""

from __future__ import annotations

from ansible_collections.ringstand.flask.plugins.module_utils import gates
from ansible_collections.ringstand.flask.plugins.module_utils.layout import AppSettings

SHOP = AppSettings("shop", {"path": "/health", "status": [200]}, domains=["shop.example.com"], probe_port=443)


def test_nginx_is_asked_as_by_this_machine_and_an_app_as_by_nginx() -> None:
    """nginx takes whoever a header names for one behind a trusted proxy, who may need a password."""
    assert gates.nginx_check(SHOP).headers == {}
    assert gates.slot_check(SHOP, "r1", "blue").headers["X-Forwarded-Proto"] == "https"

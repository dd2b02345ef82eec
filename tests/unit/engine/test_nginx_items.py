"""What the nginx role renders of each site."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils.nginx_items import nginx_complete, nginx_names

SITE = {"name": "shop", "domains": ["shop.example.com"], "upstream_socket": "/run/shop/live.sock"}


def complete(**keys: Any) -> dict[str, Any]:
    (site,) = nginx_complete([{**SITE, **keys}])
    return site


def test_a_site_with_nothing_said_has_one_location_without_limits() -> None:
    (only,) = complete()["locations"]
    assert (only["path"], only["access"], only["password"], only["rate"], only["connections"]) == (
        "/",
        [],
        "",
        None,
        None,
    )
    assert (only["timeout_seconds"], only["client_max_body_size_mb"], only["buffering_enabled"]) == (30, 10, True)


@pytest.mark.parametrize(
    ("said", "connections", "expected"),
    [
        ([None], 1536, [256]),
        ([None, None], 1536, [256, 256]),
        ([None, None, None], 1536, [170] * 3),
        ([None, None, None], 768, [85] * 3),
        ([100, None, None], 768, [100, 78, 78]),
        ([0, None], 768, [0, 256]),
        ([640, None], 1536, [640, 16]),  # more than there is: the site that said it has it
        ([None] * 50, 768, [16] * 50),
        ([5], 768, [5]),
    ],
)
def test_a_third_of_the_connections_is_shared_out(said: list, connections: int, expected: list) -> None:
    sites = [{**SITE, "name": f"s{number}", "max_connections": most} for number, most in enumerate(said)]
    assert [site["max_connections"] for site in nginx_complete(sites, connections=connections)] == expected


@pytest.mark.parametrize(
    ("rate", "text", "wait"),
    [
        ({"requests": 10}, "10r/s", 1),
        ({"requests": 7, "per": "minute"}, "7r/m", 9),
        ({"requests": 1, "per": "minute", "burst": 3}, "1r/m", 60),
    ],
)
def test_clients_wait_until_another_request_is_free(rate: dict[str, Any], text: str, wait: int) -> None:
    found = complete(rate_limit=rate)["locations"][0]["rate"]
    assert (found["rate"], found["retry_after_seconds"]) == (text, wait)


def test_a_limit_of_the_site_is_one_for_all_of_its_locations() -> None:
    site = complete(
        rate_limit={"requests": 5}, locations=[{"path": "/a/"}, {"path": "/b/", "rate_limit": {"requests": 1}}]
    )
    zones = [(place["rate"]["zone"], place["rate"]["own"]) for place in site["locations"]]
    assert zones == [("ringstand_shop_0", True), ("ringstand_shop_0", False), ("ringstand_shop_2", True)]


@pytest.mark.parametrize(
    ("access", "rules"),
    [
        ({}, []),
        ({"deny": ["192.0.2.1"]}, ["allow 127.0.0.1", "allow ::1", "deny 192.0.2.1"]),
        ({"allow": "192.0.2.1"}, ["allow 127.0.0.1", "allow ::1", "allow 192.0.2.1", "deny all"]),
    ],
)
def test_this_machine_is_always_let_in(access: dict[str, Any], rules: list[str]) -> None:
    assert complete(access=access)["locations"][0]["access"] == rules


def test_a_location_that_says_nothing_of_access_has_that_of_the_site() -> None:
    site = complete(
        access={"users": {"a": "$6$x"}}, locations=[{"path": "/a/"}, {"path": "/b/", "access": {"users": {}}}]
    )
    assert [place["password"] for place in site["locations"]] == ["on", "", "off"]


def test_an_empty_list_of_a_location_lets_everybody_in() -> None:
    site = complete(access={"allow": ["192.0.2.1"]}, locations=[{"path": "/open/", "access": {"allow": []}}])
    assert site["locations"][1]["access"] == ["allow all"]


def test_an_unchanged_password_keeps_its_hash_and_a_hash_stays_as_it_is() -> None:
    users = {"alice": "correct horse battery", "bob": "$6$salt$" + "a" * 86}
    first = nginx_complete([{**SITE, "access": {"users": users}}])[0]["users"][0]["content"]
    salts = {"shop": {line.split(":")[0]: line.split("$")[2] for line in first.splitlines()}}
    again = nginx_complete([{**SITE, "access": {"users": users}}], salts)[0]["users"][0]["content"]
    assert again == first != nginx_complete([{**SITE, "access": {"users": users}}])[0]["users"][0]["content"]
    assert f"bob:{users['bob']}\n" in first


def test_names_include_those_that_are_redirected() -> None:
    redirects = [{"domains": ["www.example.com", "münchen.example"]}, {"domains": ["shop.example.com"]}]
    expected = ["shop.example.com", "www.example.com", "xn--mnchen-3ya.example"]
    assert nginx_names([{**SITE, "redirects": redirects}]) == expected

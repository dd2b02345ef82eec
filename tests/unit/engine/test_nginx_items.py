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
    ("rate", "text", "burst", "wait"),
    [
        ({"requests": 10}, "10r/s", 9, 1),
        ({"requests": 10, "burst": 0}, "10r/s", 0, 1),
        ({"requests": 7, "per": "minute"}, "7r/m", 6, 9),
        ({"requests": 600, "per": "minute"}, "600r/m", 19, 1),
        ({"requests": 1, "per": "minute"}, "1r/m", 0, 60),
        ({"requests": 1, "per": "minute", "burst": 3}, "1r/m", 3, 60),
    ],
)
def test_as_many_as_are_said_may_come_at_once(rate: dict[str, Any], text: str, burst: int, wait: int) -> None:
    """And clients wait until another request is free."""
    found = complete(rate_limit=rate)["locations"][0]["rate"]
    assert (found["rate"], found["burst"], found["retry_after_seconds"]) == (text, burst, wait)


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


ALICE, BOB, OFFICE = {"users": {"alice": "$6$x"}}, {"users": {"bob": "$6$x"}}, {"allow": ["192.0.2.0/24"]}
CLOSED = ["allow 127.0.0.1", "allow ::1", "allow 192.0.2.0/24", "deny all"]


@pytest.mark.parametrize(
    ("site", "around", "said", "expected"),
    [
        # The rules of a location below /admin/, whether it asks for a password, and of whom.
        ({}, ALICE, {}, ([], "on", "shop.1")),
        (BOB, ALICE, {}, ([], "on", "shop.1")),
        ({}, {**ALICE, **OFFICE}, {}, (CLOSED, "on", "shop.1")),
        ({}, ALICE, OFFICE, (CLOSED, "on", "shop.1")),
        ({}, OFFICE, {"allow": []}, ([], "", "shop")),
        (OFFICE, ALICE, {"allow": []}, (["allow all"], "on", "shop.1")),
        ({}, ALICE, {"users": {}}, ([], "", "shop.2")),
        (ALICE, {"users": {}}, {}, ([], "off", "shop.1")),
        (ALICE, {"users": {}}, BOB, ([], "on", "shop.2")),
        (ALICE, {}, {}, ([], "", "shop")),
    ],
)
def test_what_is_below_a_protected_location_is_protected(site: Any, around: Any, said: Any, expected: Any) -> None:
    # In any order, and one in between that says nothing of it.
    below = [{"path": "/admin/upload/new/", "access": said, "timeout_seconds": 600}, {"path": "/admin/upload/"}]
    found = complete(access=site, locations=[{"path": "/admin/", "access": around}, *below])["locations"][2]
    assert (found["access"], found["password"], found["users_file"]) == expected


def test_files_below_a_protected_location_are_protected() -> None:
    site = complete(
        access=BOB,
        locations=[{"path": "/admin", "access": {**ALICE, **OFFICE}, "rate_limit": {"requests": 1}}],
        static=[{"url": "/admin/static", "dir": "/s"}, {"url": "/static/", "dir": "/s"}],
        media=[{"url": "/admin/files/", "dir": "/m"}, {"url": "/p/", "dir": "/m", "internal": True}],
    )
    keys = ("access", "password", "users_file", "cache_scope")
    inside, outside = [[place[key] for key in keys] for place in site["static"]]
    files, internal = [[place[key] for key in keys] for place in site["media"]]
    assert inside == files == [CLOSED, "on", "shop.1", "private"]
    assert outside == [[], "", "shop", "private"], "the server's rules count there"
    assert internal == [[], "off", "shop", "private"], "the app has let in whom it sends there"
    # What is not among the static files is asked of the app as any other path there.
    assert [(place["path"], place["password"]) for place in site["fallbacks"]] == [("@app", "on"), ("@app_1", "on")]
    assert [place["fallback"] for place in site["static"]] == ["@app_1", "@app"]
    assert site["fallbacks"][1]["rate"]["own"] == site["locations"][1]["rate"]["own"]
    assert [users["file"] for users in site["users"]] == ["shop", "shop.1"]


def test_limits_count_below_the_location_that_says_them() -> None:
    api = {"path": "/api/", "rate_limit": {"requests": 5}, "connection_limit": 2, "timeout_seconds": 99}
    site = complete(locations=[{"path": "/api/a/", "timeout_seconds": 9}, api, {"path": "/apiary/"}])
    _site, below, _api, beside = site["locations"]
    assert (below["rate"]["zone"], below["rate"]["own"]) == ("ringstand_shop_2", False)
    assert below["connections"] == {"zone": "ringstand_shop_2_connections", "own": False}
    assert (below["timeout_seconds"], beside["timeout_seconds"], beside["rate"]) == (9, 30, None)


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

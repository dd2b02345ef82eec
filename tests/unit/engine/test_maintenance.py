"""Maintenance as files, without an nginx."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import maintenance
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.layout import Layout


def on(directory: Path, allow: list[str] | None = None, page: str | None = None, by: str = "ann") -> bool:
    return maintenance.switch_on("shop", by, allow or [], page, str(directory))


def names(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


def test_it_is_on_until_it_is_ended(tmp_path: Path) -> None:
    assert maintenance.read("shop", str(tmp_path)) is None
    assert on(tmp_path, ["192.0.2.7"], "<p>")
    found = maintenance.read("shop", str(tmp_path))
    assert found is not None
    assert (found["by"], found["allow"]) == ("ann", ["192.0.2.7"])
    assert names(tmp_path) == ["shop.allow/192.0.2.7", "shop.html", "shop.on"]
    assert maintenance.switch_off("shop", str(tmp_path))
    assert list(tmp_path.iterdir()) == []
    assert not maintenance.switch_off("shop", str(tmp_path))


def test_beginning_it_again_changes_only_what_differs(tmp_path: Path) -> None:
    on(tmp_path, ["192.0.2.7"], "<p>")
    since = maintenance.read("shop", str(tmp_path))
    assert not on(tmp_path, ["192.0.2.7"], "<p>", by="bob")
    assert maintenance.read("shop", str(tmp_path)) == since
    assert on(tmp_path, ["192.0.2.8"])
    assert names(tmp_path) == ["shop.allow/192.0.2.8", "shop.on"]
    assert maintenance.read("shop", str(tmp_path)) == {**(since or {}), "allow": ["192.0.2.8"]}


def test_a_file_made_by_hand_counts(tmp_path: Path) -> None:
    (tmp_path / "shop.on").touch()
    found = maintenance.read("shop", str(tmp_path))
    assert found is not None
    assert (found["by"], found["allow"]) == ("", [])


@pytest.mark.parametrize(
    ("allow", "expected"),
    [
        (["192.0.2.7"], ["192.0.2.7"]),
        (["192.0.2.6/31", "192.0.2.7"], ["192.0.2.6", "192.0.2.7"]),
        (["2001:DB8::0:1"], ["2001:db8::1"]),
    ],
)
def test_addresses(allow: list[str], expected: list[str]) -> None:
    assert maintenance.addresses(allow) == expected


@pytest.mark.parametrize("text", ["10.0.0.0/8", "2001:db8::/64", "office", "../../etc/passwd", ""])
def test_what_is_no_address_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(RingstandError, match="Failed to allow"):
        on(tmp_path, [text])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.7", ["192.0.2.7"]),
        ("2001:db8::1", ["2001:db8::1"]),
        ("2001:db8:1:2:0:3:4:5", ["2001:db8:1:2:0:3:4:5", "2001:db8:1:2::3:4:5"]),
    ],
)
def test_spellings(address: str, expected: list[str]) -> None:
    assert maintenance.spellings(address) == expected


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    class Entry:
        pw_uid = os.getuid()

    monkeypatch.setattr(maintenance.pwd, "getpwnam", lambda _name: Entry)
    path = tmp_path / "srv/shop/shared"
    path.mkdir(parents=True)
    return path


def test_the_apps_own_page(tmp_path: Path, shared: Path) -> None:
    layout = Layout("shop", str(tmp_path))
    assert maintenance.own_page(layout) is None
    (shared / "maintenance.html").write_text("<p>ä")
    assert maintenance.own_page(layout) == "<p>ä"


@pytest.mark.parametrize("kind", ["link", "hard link", "pipe", "too large", "binary"])
def test_nothing_else_is_shown_to_everybody(tmp_path: Path, shared: Path, kind: str) -> None:
    page, secret = shared / "maintenance.html", tmp_path / "secret"
    secret.write_text("secret")
    if kind == "link":
        page.symlink_to(secret)
    elif kind == "hard link":
        os.link(secret, page)
    elif kind == "pipe":
        os.mkfifo(page)
    else:
        page.write_bytes(b"x" * (maintenance.PAGE_BYTES_MAX + 1) if kind == "too large" else b"\xff\xfe")
    with pytest.raises(RingstandError, match="Failed to read"):
        maintenance.own_page(Layout("shop", str(tmp_path)))


def test_a_site_that_does_not_look_for_it_is_refused(tmp_path: Path) -> None:
    site = tmp_path / "shop.conf"
    with pytest.raises(RingstandError, match=r"Run site\.yml first"):
        maintenance.check_served("shop", "/m", str(tmp_path))
    site.write_text("if (-f /m/shop.on) {")
    maintenance.check_served("shop", "/m", str(tmp_path))

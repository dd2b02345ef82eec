"""Certificates that somebody brings, as text and as files, over what was there before."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import certificates, own_certificates
from ansible_collections.ringstand.flask.plugins.module_utils.certificates import REAL, Wanted
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.own_certificates import Own
from test_certbot import make_certificate

DOMAINS = ["shop.example.com", "www.shop.example.com"]


@pytest.fixture
def wanted(tmp_path: Path) -> Wanted:
    """A site that has had a placeholder until now."""
    site = Wanted("shop", DOMAINS, str(tmp_path / "certificates/shop"))
    certificates.ensure(site, days=3650)
    return site


@pytest.fixture
def files(tmp_path: Path) -> Path:
    make_certificate(tmp_path / "mine", DOMAINS)
    return tmp_path / "mine"


def as_text(files: Path) -> Own:
    return Own((files / "fullchain1.pem").read_text(), (files / "privkey1.pem").read_text())


def as_files(files: Path) -> Own:
    return Own(chain_path=str(files / "fullchain1.pem"), key_path=str(files / "privkey1.pem"))


def used(wanted: Wanted) -> bytes:
    """What nginx would read; fails when the key is not its key."""
    directory = Path(wanted.directory)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(directory / "fullchain.pem", directory / "privkey.pem")
    return (directory / "fullchain.pem").read_bytes()


@pytest.mark.parametrize("own", [as_text, as_files])
def test_it_takes_the_place_of_a_placeholder_once(wanted: Wanted, files: Path, own: type[Own]) -> None:
    assert own_certificates.ensure(wanted, own(files), check=True).created
    assert used(wanted) != (files / "fullchain1.pem").read_bytes()
    first = own_certificates.ensure(wanted, own(files))
    again = own_certificates.ensure(wanted, own(files))
    assert (first.state, first.created, again.created) == (REAL, True, False)
    assert used(wanted) == (files / "fullchain1.pem").read_bytes()
    assert [name for name in os.listdir(wanted.directory) if name.startswith("placeholder-")] == []
    assert (Path(wanted.directory) / "privkey.pem").resolve().stat().st_mode & 0o777 == 0o600
    # And it is kept when nobody says anything of it any more.
    assert certificates.ensure(wanted, days=3650).state == REAL


def test_a_new_one_takes_the_place_of_the_old_one(wanted: Wanted, files: Path, tmp_path: Path) -> None:
    own_certificates.ensure(wanted, as_text(files))
    make_certificate(tmp_path / "new", DOMAINS)
    assert own_certificates.ensure(wanted, as_text(tmp_path / "new")).created
    assert used(wanted) == (tmp_path / "new/fullchain1.pem").read_bytes()
    assert len([name for name in os.listdir(wanted.directory) if name.startswith("own-")]) == 1


def test_files_are_followed(wanted: Wanted, files: Path) -> None:
    own_certificates.ensure(wanted, as_files(files))
    make_certificate(files, DOMAINS)
    assert used(wanted) == (files / "fullchain1.pem").read_bytes()
    assert not own_certificates.ensure(wanted, as_files(files)).created


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda files: make_certificate(files / "other", DOMAINS), None),
        (lambda files: make_certificate(files, DOMAINS[:1]), "not for www.shop.example.com"),
        (lambda files: (files / "fullchain1.pem").write_text("x"), "is no certificate in PEM"),
        (lambda files: (files / "privkey1.pem").write_text("x"), "is not its key"),
        (lambda files: (files / "privkey1.pem").unlink(), "is not its key, or cannot be read"),
    ],
)
def test_what_cannot_be_used_changes_nothing(wanted: Wanted, files: Path, damage: object, reason: str | None) -> None:
    damage(files)  # type: ignore[operator]
    before = used(wanted)
    if reason is None:
        other = Own((files / "fullchain1.pem").read_text(), (files / "other/privkey1.pem").read_text())
        reason, own = "key is not its key", other
    else:
        own = as_files(files)
    with pytest.raises(RingstandError, match=reason):
        own_certificates.ensure(wanted, own)
    assert used(wanted) == before


@pytest.mark.parametrize(
    ("name", "domain", "covered"),
    [
        ("*.example.com", "shop.example.com", True),
        ("*.example.com", "a.shop.example.com", False),
        ("*.example.com", "example.com", False),
        ("example.com", "example.com", True),
        ("*.example.com", "*.example.com", True),
    ],
)
def test_a_wildcard_stands_for_one_label(name: str, domain: str, covered: bool) -> None:
    assert own_certificates.covers((name,), domain) is covered

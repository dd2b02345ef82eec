"""Placeholders as openssl really makes them, in every state that a directory can be in."""

import os
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import certificates, links
from ansible_collections.ringstand.flask.plugins.module_utils.certificates import PLACEHOLDER, REAL, UNREADABLE, Wanted
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError

DOMAINS = ["shop.example.com", "www.shop.example.com"]


@pytest.fixture
def wanted(tmp_path: Path) -> Wanted:
    return Wanted("shop", DOMAINS, str(tmp_path / "certificates" / "shop"))


def served(wanted: Wanted) -> bytes:
    """The certificate that nginx would read; fails when the key is not its key."""
    directory = Path(wanted.directory)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(directory / "fullchain.pem", directory / "privkey.pem")
    return (directory / "fullchain.pem").read_bytes()


def real_certificate(folder: Path) -> None:
    folder.mkdir(parents=True)
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "9"]
    argv += ["-subj", "/CN=real", "-keyout", str(folder / "privkey.pem"), "-out", str(folder / "fullchain.pem")]
    subprocess.run(argv, check=True, capture_output=True)


def test_a_placeholder_is_made_once(wanted: Wanted) -> None:
    made = certificates.ensure(wanted, days=3650)
    before = served(wanted)
    again = certificates.ensure(wanted, days=3650)
    assert (made.state, made.created, made.domains) == (PLACEHOLDER, True, DOMAINS)
    assert (again.state, again.created, again.domains, again.expires) == (PLACEHOLDER, False, DOMAINS, made.expires)
    assert served(wanted) == before


def test_the_certificate_is_what_it_should_be(wanted: Wanted) -> None:
    certificates.ensure(wanted, days=3650)
    key, chain = Path(wanted.directory, "privkey.pem"), Path(wanted.directory, "fullchain.pem")
    assert (key.stat().st_mode & 0o777, chain.stat().st_mode & 0o777) == (0o600, 0o644)
    shown = subprocess.run(
        ["openssl", "x509", "-in", chain, "-noout", "-text"], check=True, capture_output=True, text=True
    )
    for expected in ("prime256v1", "ecdsa-with-SHA256", "CA:FALSE", "DNS:shop.example.com, DNS:www.shop.example.com"):
        assert expected in shown.stdout
    assert sorted(os.listdir(wanted.directory))[:2] == ["current", "fullchain.pem"]
    assert os.readlink(chain) == "current/fullchain.pem"


def test_check_makes_nothing(wanted: Wanted) -> None:
    predicted = certificates.ensure(wanted, days=3650, check=True)
    assert (predicted.state, predicted.created, predicted.expires) == (PLACEHOLDER, True, None)
    assert not Path(wanted.directory).exists()


def test_an_address_is_an_address(wanted: Wanted) -> None:
    made = certificates.ensure(Wanted("shop", ["127.0.0.1", "shop.example.com"], wanted.directory), days=10 * 365)
    assert made.domains == ["127.0.0.1", "shop.example.com"]


def spoil_names(directory: Path) -> None:
    certificates.ensure(Wanted("shop", ["old.example.com"], str(directory)), days=3650)


def spoil_lifetime(directory: Path) -> None:
    certificates.ensure(Wanted("shop", DOMAINS, str(directory)), days=29)


def spoil_mode(directory: Path) -> None:
    certificates.ensure(Wanted("shop", DOMAINS, str(directory)), days=3650)
    (directory / "privkey.pem").chmod(0o644)


def spoil_content(directory: Path) -> None:
    certificates.ensure(Wanted("shop", DOMAINS, str(directory)), days=3650)
    (directory / "current" / "fullchain.pem").write_text("not a certificate")


def spoil_key(directory: Path) -> None:
    certificates.ensure(Wanted("shop", DOMAINS, str(directory)), days=3650)
    (directory / "current" / "privkey.pem").unlink()


def spoil_link(directory: Path) -> None:
    directory.mkdir(parents=True)
    (directory / "current").symlink_to("/etc/letsencrypt/live/vanished")
    (directory / "fullchain.pem").symlink_to("current/fullchain.pem")
    (directory / "privkey.pem").symlink_to("/etc/letsencrypt/live/vanished/privkey.pem")


@pytest.mark.parametrize("spoil", [spoil_names, spoil_lifetime, spoil_mode, spoil_content, spoil_key, spoil_link])
def test_what_is_ours_or_dangling_is_made_anew(wanted: Wanted, spoil: object) -> None:
    directory = Path(wanted.directory)
    spoil(directory)  # type: ignore[operator]
    assert certificates.ensure(wanted, days=3650, check=True).created
    assert certificates.ensure(wanted, days=3650).created
    served(wanted)
    assert not certificates.ensure(wanted, days=3650).created
    assert len(list(directory.glob("placeholder-*"))) == 1


def test_a_real_certificate_behind_the_link_is_left(wanted: Wanted, tmp_path: Path) -> None:
    certificates.ensure(wanted, days=3650)
    real_certificate(tmp_path / "live")
    current = Path(wanted.directory, "current")
    current.unlink()
    current.symlink_to(tmp_path / "live")
    before = served(wanted)
    found = certificates.ensure(wanted, days=3650)
    assert (found.state, found.created) == (REAL, False)
    assert served(wanted) == before


def test_real_files_are_left(wanted: Wanted) -> None:
    real_certificate(Path(wanted.directory))
    before = served(wanted)
    assert certificates.ensure(wanted, days=3650).state == REAL
    assert served(wanted) == before


def test_somebodys_unreadable_certificate_is_reported_and_left(wanted: Wanted) -> None:
    real_certificate(Path(wanted.directory))
    Path(wanted.directory, "fullchain.pem").write_text("damaged")
    found = certificates.ensure(wanted, days=3650)
    assert found.as_dict() == {"state": UNREADABLE, "expires": None, "domains": [], "created": False}
    assert Path(wanted.directory, "fullchain.pem").read_text() == "damaged"


@pytest.mark.parametrize("missing", ["privkey.pem", "fullchain.pem"])
def test_half_of_a_real_pair_is_not_completed(wanted: Wanted, missing: str) -> None:
    real_certificate(Path(wanted.directory))
    Path(wanted.directory, missing).unlink()
    with pytest.raises(RingstandError, match=f"placeholder certificate for shop: {missing} is missing beside"):
        certificates.ensure(wanted, days=3650)


def linked(wanted: Wanted, tmp_path: Path) -> Path:
    """A certificate of certbot's that is in use, with the placeholder from before beside it."""
    certificates.ensure(wanted, days=3650)
    live = tmp_path / "live" / "shop"
    real_certificate(live)
    links.point(f"{wanted.directory}/current", str(live))
    return live


def test_a_certificate_of_certbots_stays_in_use(wanted: Wanted, tmp_path: Path) -> None:
    live = linked(wanted, tmp_path)
    assert certificates.ensure(wanted, days=3650).state == REAL
    assert os.readlink(f"{wanted.directory}/current") == str(live)


@pytest.mark.parametrize("damage", ["gone", "no key", "no chain", "empty", "another key"])
def test_a_link_to_rubble_leads_to_a_placeholder_again(wanted: Wanted, tmp_path: Path, damage: str) -> None:
    live = linked(wanted, tmp_path)
    if damage == "gone":
        shutil.rmtree(live)
    elif damage in ("no key", "no chain"):
        (live / ("privkey.pem" if damage == "no key" else "fullchain.pem")).unlink()
    elif damage == "empty":
        (live / "fullchain.pem").write_text("")
    else:
        real_certificate(tmp_path / "other")
        os.replace(tmp_path / "other/privkey.pem", live / "privkey.pem")
    left = sorted(path.name for path in live.glob("*"))
    assert certificates.ensure(wanted, days=3650, check=True).created
    made = certificates.ensure(wanted, days=3650)
    assert (made.state, made.created) == (PLACEHOLDER, True)
    served(wanted)
    assert sorted(path.name for path in live.glob("*")) == left, "certbot's own files are not touched"


@pytest.mark.parametrize(
    ("domains", "reason"),
    [([], "domains is empty"), (["a.example\nkeyUsage=x"], "is not a host name"), (["a,DNS:b"], "is not a host name")],
)
def test_names_that_cannot_be_in_a_certificate(wanted: Wanted, domains: list, reason: str) -> None:
    with pytest.raises(RingstandError, match=reason):
        certificates.ensure(Wanted("shop", domains, wanted.directory), days=3650)


def test_a_failure_leaves_nothing_behind(wanted: Wanted) -> None:
    with pytest.raises(RingstandError, match="openssl refused") as raised:
        certificates.ensure(wanted, days=-1)
    assert raised.value.details["rc"] != 0
    assert os.listdir(wanted.directory) == []


def test_openssl_is_named_when_it_is_missing(wanted: Wanted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates.commands, "run", lambda argv: certificates.commands.Result(127, "", "none"))
    with pytest.raises(RingstandError, match="openssl is not installed"):
        certificates.ensure(wanted, days=3650)

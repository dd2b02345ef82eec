"""What certbot has and says, against what is wanted; certificates are made by the real openssl."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import certbot, certbot_dns, certbot_lineage, x509
from ansible_collections.ringstand.flask.plugins.module_utils.certbot_lineage import DEPLOY_HOOK, Lineage, Renewal
from ansible_collections.ringstand.flask.plugins.module_utils.certificates import Wanted
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError

URL = "https://acme.example.com/directory"
WANTED = Renewal(URL, "ecdsa", "/var/www/acme")
DOMAINS = ["shop.example.com", "www.shop.example.com"]
SITE = Wanted("shop", DOMAINS, "/etc/ringstand/certificates/shop")
# As certbot 4.0 writes it.
RENEWAL = """\
# renew_before_expiry = 30 days
version = 4.0.0
archive_dir = {root}/archive/shop
cert = {root}/live/shop/cert.pem
privkey = {root}/live/shop/privkey.pem
chain = {root}/live/shop/chain.pem
fullchain = {root}/live/shop/fullchain.pem

# Options used in the renewal process
[renewalparams]
account = 4bd5fd3d4ab96a3a8cd6f9e1a2ba7b2d
authenticator = webroot
webroot_path = /var/www/acme,
server = https://acme.example.com/directory
key_type = ecdsa
renew_hook = /usr/local/bin/ringstand certificate deploy
[[webroot_map]]
shop.example.com = /var/www/acme
www.shop.example.com = /var/www/acme
"""


def make_certificate(folder: Path, domains: list[str], key: str = "ec", days: int = 90) -> None:
    """cert1.pem, chain1.pem, fullchain1.pem and privkey1.pem, as certbot names them in its archive."""
    folder.mkdir(parents=True, exist_ok=True)
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if key == "ec" else ["-newkey", "rsa:2048"]
    names = ",".join(f"DNS:{domain}" for domain in domains)
    argv = ["openssl", "req", "-x509", *kind, "-nodes", "-days", str(days), "-subj", "/CN=real"]
    argv += ["-addext", f"subjectAltName={names}", "-keyout", str(folder / "privkey1.pem")]
    subprocess.run([*argv, "-out", str(folder / "cert1.pem")], check=True, capture_output=True)
    for copy in ("chain1.pem", "fullchain1.pem"):
        (folder / copy).write_bytes((folder / "cert1.pem").read_bytes())


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory like /etc/letsencrypt with the whole lineage shop."""
    monkeypatch.setattr(certbot_lineage, "ROOT", str(tmp_path))
    make_certificate(tmp_path / "archive/shop", DOMAINS)
    live = tmp_path / "live/shop"
    live.mkdir(parents=True)
    for kind in ("cert", "privkey", "chain", "fullchain"):
        (live / f"{kind}.pem").symlink_to(f"../../archive/shop/{kind}1.pem")
    (tmp_path / "renewal").mkdir()
    (tmp_path / "renewal/shop.conf").write_text(RENEWAL.format(root=tmp_path))
    return tmp_path


def test_a_whole_lineage_that_is_as_wanted_gives_no_reason(root: Path) -> None:
    lineage = certbot_lineage.read("shop")
    assert (lineage.state, lineage.fault) == ("whole", "")
    assert lineage.details and lineage.details.key_type == "ecdsa"
    assert lineage.details.domains == tuple(DOMAINS)
    assert certbot_lineage.reasons(lineage, DOMAINS[::-1], WANTED) == []
    assert certbot_lineage.names() == ["shop"]


def test_the_serial_is_the_one_that_openssl_reads(root: Path) -> None:
    argv = ["openssl", "x509", "-in", f"{root}/live/shop/cert.pem", "-noout", "-serial"]
    shown = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
    details = certbot_lineage.read("shop").details
    assert details and int(details.serial, 16) == int(shown.removeprefix("serial="), 16)


@pytest.mark.parametrize("der", [b"", b"\x30", b"0\x82\x01\x00", b"\x30\x03\x30\x01\x02", b"\x02\x01\x01"])
def test_what_is_no_certificate_has_no_serial(der: bytes) -> None:
    with pytest.raises(ValueError):
        x509.serial_of(der)


@pytest.mark.parametrize(
    ("old", "new", "wanted", "domains", "reason"),
    [
        ("", "", WANTED, [*DOMAINS, "new.example.com"], "it lacks new.example.com"),
        ("", "", WANTED, DOMAINS[:1], "it still names www.shop.example.com"),
        ("", "", Renewal("https://other/", "ecdsa", "/var/www/acme"), DOMAINS, f"it is from {URL}, not https://other/"),
        ("", "", Renewal(URL, "rsa", "/var/www/acme"), DOMAINS, "its key is ecdsa, not rsa"),
        ("", "", Renewal(URL, "ecdsa", "/srv"), DOMAINS, "it would be renewed by webroot in /var/www/acme"),
        ("= webroot\n", "= standalone\n", WANTED, DOMAINS, "it would be renewed by standalone in /var/www/acme"),
        ("renew_hook = /usr", "x = /usr", WANTED, DOMAINS, "nginx would not learn of its renewal"),
    ],
)
def test_each_difference_is_a_reason(
    root: Path, old: str, new: str, wanted: Renewal, domains: list[str], reason: str
) -> None:
    path = root / "renewal/shop.conf"
    path.write_text(path.read_text().replace(old, new))
    assert certbot_lineage.reasons(certbot_lineage.read("shop"), domains, wanted) == [reason]


def test_a_certificate_that_has_ended_is_a_reason(root: Path) -> None:
    lineage = certbot_lineage.read("shop")
    assert lineage.details
    assert certbot_lineage.reasons(lineage, DOMAINS, WANTED, now=lineage.details.expires + 1) == ["it has expired"]


def test_an_rsa_key_is_recognised(root: Path) -> None:
    make_certificate(root / "archive/shop", DOMAINS, key="rsa")
    details = certbot_lineage.read("shop").details
    assert details and details.key_type == "rsa"


def damage(root: Path, how: str) -> None:
    live, archive = root / "live/shop", root / "archive/shop"
    if how == "no configuration":
        (root / "renewal/shop.conf").unlink()
    elif how == "half a configuration":
        (root / "renewal/shop.conf").write_text("version = 4.0.0\n")
    elif how == "no live directory":
        subprocess.run(["rm", "-r", str(live)], check=True)
    elif how == "a dangling link":
        (archive / "privkey1.pem").unlink()
    elif how == "a file in place of a link":
        (live / "cert.pem").unlink()
        (live / "cert.pem").write_text("x")
    elif how == "an empty certificate":
        (archive / "cert1.pem").write_text("")
    elif how == "another key":
        make_certificate(root / "other", DOMAINS)
        os.replace(root / "other/privkey1.pem", archive / "privkey1.pem")


@pytest.mark.parametrize(
    ("how", "fault"),
    [
        ("no configuration", "shop.conf is missing"),
        ("half a configuration", "lacks cert, privkey, chain, fullchain, authenticator, server"),
        ("no live directory", "cert.pem is missing"),
        ("a dangling link", "privkey.pem is missing"),
        ("a file in place of a link", "cert.pem is no link"),
        ("an empty certificate", "cert.pem is not a certificate"),
        ("another key", "is not the key of"),
    ],
)
def test_a_damaged_lineage_is_set_aside_whole(root: Path, how: str, fault: str) -> None:
    damage(root, how)
    lineage = certbot_lineage.read("shop")
    assert lineage.state == "broken"
    assert fault in lineage.fault
    assert "broken" in certbot_lineage.reasons(lineage, DOMAINS, WANTED)[0]
    files = sum(len(names) for folder, _folders, names in os.walk(root) if "other" not in folder)
    aside = certbot_lineage.set_aside("shop")
    assert certbot_lineage.read("shop").state == "missing"
    assert sum(len(names) for _folder, _folders, names in os.walk(aside)) == files
    assert os.stat(aside).st_mode & 0o777 == 0o700


def test_files_kept_elsewhere_are_somebody_elses(root: Path) -> None:
    path = root / "renewal/shop.conf"
    path.write_text(path.read_text().replace(f"{root}/live/shop/cert.pem", "/home/me/cert.pem"))
    with pytest.raises(RingstandError, match="/home/me/cert.pem, which was not made here"):
        certbot_lineage.read("shop")


def test_a_lineage_that_is_not_there_is_missing(root: Path) -> None:
    lineage = certbot_lineage.read("blog")
    assert lineage == Lineage("blog", "missing")
    assert certbot_lineage.reasons(lineage, DOMAINS, WANTED) == ["there is none"]


def test_certbot_never_has_to_ask() -> None:
    client = certbot.Client(WANTED)
    first = certbot.arguments(client, SITE, replaces=False)
    assert first[first.index("--cert-name") + 1] == "shop"
    assert first[first.index("--deploy-hook") + 1] == DEPLOY_HOOK
    assert "--register-unsafely-without-email" in first and "--force-renewal" not in first
    again = certbot.arguments(certbot.Client(WANTED, "ops@example.com"), SITE, replaces=True)
    assert {"--force-renewal", "--renew-with-new-domains", "ops@example.com"} <= set(again)


def test_a_rehearsal_goes_to_the_staging_directory_and_keeps_nothing() -> None:
    client = certbot.Client(WANTED, staging_url="https://staging.example.com/", config_path="/etc/account.ini")
    argv = certbot.arguments(client, SITE, replaces=False, rehearsal=True)
    assert argv[argv.index("--server") + 1] == "https://staging.example.com/"
    assert "--dry-run" in argv
    assert not {"--deploy-hook", "--config"} & set(argv)


def test_no_timer_of_certbots_renews_what_is_ours() -> None:
    assert "--no-autorenew" in certbot.arguments(certbot.Client(WANTED), SITE, replaces=True)


def test_the_key_of_an_outside_account_is_in_no_command_line() -> None:
    argv = certbot.arguments(certbot.Client(WANTED, config_path="/etc/account.ini"), SITE, replaces=False)
    assert argv[argv.index("--config") + 1] == "/etc/account.ini"
    assert not [word for word in argv if "eab" in word]


BY_DNS = Wanted("shop", ["*.example.com"], "/x", "cloudflare")


def test_dns_takes_the_place_of_the_webroot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certbot_dns, "DIRECTORY", str(tmp_path))
    (tmp_path / "cloudflare.ini").touch()
    argv = certbot.arguments(certbot.Client(WANTED), BY_DNS, replaces=False)
    assert argv[argv.index("--authenticator") + 1] == "dns-cloudflare"
    assert argv[argv.index("--dns-cloudflare-credentials") + 1] == str(tmp_path / "cloudflare.ini")
    assert not [word for word in argv if "webroot" in word or "propagation" in word]


def test_a_plugin_waits_for_its_records_as_long_as_it_is_told() -> None:
    client = certbot.Client(WANTED, propagation_seconds={"cloudflare": 400})
    argv = certbot.arguments(client, BY_DNS, replaces=False)
    assert argv[argv.index("--dns-cloudflare-propagation-seconds") + 1] == "400"
    assert client.timeout_seconds(BY_DNS) == certbot.TIMEOUT_SECONDS + 400
    assert client.timeout_seconds(SITE) == certbot.TIMEOUT_SECONDS
    assert "propagation" not in " ".join(certbot.arguments(client, SITE, replaces=False))


def test_a_plugin_without_options_finds_its_file_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certbot_dns, "DIRECTORY", str(tmp_path))
    (tmp_path / "route53.ini").touch()
    site, client = dataclasses.replace(BY_DNS, dns_plugin="route53"), certbot.Client(WANTED, ca_bundle_path="/ca.pem")
    assert not [word for word in certbot.arguments(client, site, replaces=False) if word.startswith("--dns-")]
    assert client.environment(site) == {
        "AWS_CONFIG_FILE": str(tmp_path / "route53.ini"),
        "REQUESTS_CA_BUNDLE": "/ca.pem",
    }
    assert client.environment(BY_DNS) == {"REQUESTS_CA_BUNDLE": "/ca.pem"}


def fake_certbot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> certbot.Client:
    program = tmp_path / "certbot"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(certbot, "LOG_PATH", str(tmp_path / "letsencrypt.log"))
    return certbot.Client(Renewal("https://ca.example.com:14000/dir", "ecdsa", "/var/www"), program=str(program))


def test_an_account_that_the_authority_has_forgotten_is_moved_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certbot_lineage, "ROOT", str(tmp_path))
    account = tmp_path / "accounts/ca.example.com:14000/dir/4bd5"
    account.mkdir(parents=True)
    (account / "private_key.json").write_text("{}")
    text = "urn:ietf:params:acme:error:accountDoesNotExist :: unknown"
    client = fake_certbot(tmp_path, monkeypatch, f"[ -e {account} ] || exit 0; echo '{text}' >&2; exit 1")
    certbot.issue(client, SITE, replaces=False)
    assert len(list(tmp_path.glob("ringstand-set-aside/account-ca.example.com-*/account/4bd5/private_key.json"))) == 1


def test_the_type_of_a_problem_is_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "letsencrypt.log"
    log.write_text("urn:ietf:params:acme:error:accountDoesNotExist :: of an earlier run\n")
    problem = "acme.messages.Error: urn:ietf:params:acme:error:rateLimited :: There were too many requests"
    client = fake_certbot(tmp_path, monkeypatch, f"echo '{problem}' >> {log}; echo 'Error: come back' >&2; exit 1")
    with pytest.raises(RingstandError, match="has a rate limit that is reached") as caught:
        certbot.issue(client, SITE, replaces=False)
    assert caught.value.details["kind"] == certbot.RATE_LIMIT


def test_what_an_earlier_run_has_logged_counts_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = fake_certbot(tmp_path, monkeypatch, "echo 'Error: out of disk' >&2; exit 1")
    (tmp_path / "letsencrypt.log").write_text("urn:ietf:params:acme:error:rateLimited :: of an earlier run\n")
    with pytest.raises(RingstandError, match="certbot failed: Error: out of disk") as caught:
        certbot.issue(client, SITE, replaces=False)
    assert caught.value.details["kind"] == certbot.OTHER


def test_an_account_that_is_refused_again_is_not_moved_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certbot_lineage, "ROOT", str(tmp_path))
    client = fake_certbot(tmp_path, monkeypatch, "echo 'acme:error:accountDoesNotExist' >&2; exit 1")
    with pytest.raises(RingstandError, match="does not know this host's account"):
        certbot.issue(client, SITE, replaces=False)


def test_a_rate_limit_says_when_to_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    then = time.time() + 7200
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(then))
    said = (
        f"urn:ietf:params:acme:error:rateLimited :: too many certificates (5), retry after {stamp} UTC: see https://x"
    )
    client = fake_certbot(tmp_path, monkeypatch, f"echo '{said}' >&2; exit 1")
    with pytest.raises(RingstandError) as caught:
        certbot.issue(client, SITE, replaces=False)
    assert caught.value.details["kind"] == certbot.RATE_LIMIT
    assert caught.value.details["rate_limited"] is True
    assert abs(caught.value.details["retry_at"] - then) < 2


@pytest.mark.parametrize(("version", "able"), [("1.21.0", False), ("2.1.0", False), ("4.0.0", True), ("5.8.0", True)])
def test_a_profile_needs_a_certbot_that_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, able: bool
) -> None:
    client = dataclasses.replace(fake_certbot(tmp_path, monkeypatch, f"echo certbot {version}"), profile="shortlived")
    if able:
        certbot.check_abilities(client)
        assert "--required-profile" in certbot.arguments(client, SITE, replaces=False)
    else:
        with pytest.raises(RingstandError, match=f"certbot {version[:-2]} has no profiles"):
            certbot.check_abilities(client)
    certbot.check_abilities(dataclasses.replace(client, profile=""))


def test_the_cause_that_an_old_certbot_keeps_to_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said, cause = "Unable to register an account with ACME server", "Server requires external account binding."
    traceback = f"""
    raise errors.Error(msg)
certbot.errors.Error: {cause}

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
certbot.errors.Error: {said}
"""
    (tmp_path / "said").write_text(traceback)
    script = f"cat {tmp_path}/said >> {tmp_path}/letsencrypt.log; echo '{said}' >&2; exit 1"
    with pytest.raises(RingstandError, match=f"certbot failed: {said} {cause}"):
        certbot.issue(fake_certbot(tmp_path, monkeypatch, script), SITE, replaces=False)
    assert certbot.hidden_cause(f"{said}\n{cause}", traceback) == ""


CHALLENGE = """\
Certbot failed to authenticate some domains (authenticator: webroot). The Certificate Authority reported these problems:
  Domain: late.example.net
  Type:   connection
  Detail: Fetching http://late.example.net/.well-known/acme-challenge/x: Get "http://late": dial tcp 10.0.0.1:80:
connect: connection refused

  Domain: www.example.net
  Type:   dns
  Detail: no such host

Hint: The Certificate Authority failed to download the temporary challenge files created by Certbot.

Some challenges have failed.
"""


@pytest.mark.parametrize(
    ("output", "kind"),
    [
        ("Another instance of Certbot is already running.", "locked"),
        ("urn:ietf:params:acme:error:badNonce :: JWS has an invalid anti-replay nonce: x", "nonce"),
        ("urn:ietf:params:acme:error:rateLimited :: There were too many requests", "rate limit"),
        (CHALLENGE, "challenge"),
        ("HTTPSConnectionPool(host='10.0.0.1', port=14000): Max retries exceeded with url: /dir", "unreachable"),
        ("requests.exceptions.SSLError: [SSL: CERTIFICATE_VERIFY_FAILED] unable to get local issuer", "unreachable"),
        ("An unexpected error occurred:\nValueError: no idea", "other"),
    ],
)
def test_a_failure_is_told_by_certbots_words(output: str, kind: str) -> None:
    assert certbot.classify(output) == kind


@pytest.mark.parametrize("word", ["Domain", "Identifier"])  # before certbot 5.3, and from then on
def test_a_failed_challenge_names_each_domain_and_what_the_authority_saw(word: str) -> None:
    told = certbot.explain("challenge", CHALLENGE.replace("Domain:", f"{word}:"), URL)
    assert "late.example.net (connection): Fetching http" in told
    assert "10.0.0.1:80: connect: connection refused; www.example.net (dns): no such host." in told
    assert "port 80" in told
    told = certbot.explain("challenge", CHALLENGE, URL, "cloudflare")
    assert "certbot_dns_propagation_seconds.cloudflare" in told and "port 80" not in told


def test_sections_of_a_renewal_configuration() -> None:
    sections: dict[str, Any] = certbot_lineage.parse_renewal(
        "a = 1\n# b = 2\n[renewalparams]\nrenew_hook = \"x 'y' #z\"\n[[webroot_map]]\nc.example.com = /d\n"
    )
    assert sections == {
        "": {"a": "1"},
        "renewalparams": {"renew_hook": "x 'y' #z"},
        "webroot_map": {"c.example.com": "/d"},
    }


def test_what_an_old_certbot_hides_is_found_in_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian 12's prints an AttributeError instead of the authority's answer; here it meets a bad nonce once."""
    log = tmp_path / "letsencrypt.log"
    script = tmp_path / "certbot"
    script.write_text(
        "#!/bin/sh\n"
        f"[ -e {log} ] && exit 0\n"
        f"echo 'acme.messages.Error: urn:ietf:params:acme:error:badNonce :: an invalid anti-replay nonce' > {log}\n"
        'echo "An unexpected error occurred: AttributeError: can\'t set attribute" >&2; exit 1\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(certbot, "LOG_PATH", str(log))
    client = certbot.Client(Renewal("https://ca.example.com/directory", "ecdsa", "/var/www"))
    certbot.issue(client, SITE, replaces=False)


@pytest.mark.parametrize(
    ("log", "problem"),
    [
        ("", ""),
        ("nothing of that kind", ""),
        (
            "urn:ietf:params:acme:error:badNonce :: x\nlater\nurn:ietf:params:acme:error:rateLimited :: wait\nend",
            "urn:ietf:params:acme:error:rateLimited :: wait",
        ),
    ],
)
def test_the_last_problem_in_a_log(log: str, problem: str) -> None:
    assert certbot.last_problem(log) == problem

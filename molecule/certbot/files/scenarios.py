"""What happens in the life of a certificate, played on a host with an authority of its own (Pebble).

``scenarios.py [NAME…]`` plays all, or those named, each within seconds, and ends with the state that it began with.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable

SETTINGS, PEBBLE = Path("/etc/ringstand/certbot.json"), Path("/etc/ssl/pebble.json")
MEMORY = Path("/var/lib/ringstand/certificates.json")
ORIGINAL: dict[str, Any] = json.loads(SETTINGS.read_text())
DOMAIN = ORIGINAL["certificates"][1]["domains"][0].removeprefix("blog.")
URL = ORIGINAL["client"]["directory_url"]
ADDRESS = URL.removeprefix("https://").partition(":")[0]
HOUR, DAY = 3600, 86_400
LATE = {"name": "late", "domains": [f"late.{DOMAIN}"], "dir": "/etc/ringstand/certificates/late"}
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))


def run(*argv: str, rc: int | None = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(argv, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    assert rc is None or done.returncode == rc, f"{argv} ended with {done.returncode}: {done.stdout}{done.stderr}"
    return done


def authority(days: float = 90, nonce: int = 0, key: str = "") -> None:
    """Start the authority anew: it has forgotten everything."""
    configuration = json.loads(PEBBLE.read_text())
    pebble = configuration["pebble"]
    pebble["certificateValidityPeriod"] = int(days * DAY)
    pebble["externalAccountBindingRequired"] = bool(key)
    pebble["externalAccountMACKeys"] = {"kid-1": key} if key else {}
    PEBBLE.write_text(json.dumps(configuration))
    Path("/run/pebble.environment").write_text(f"PEBBLE_WFE_NONCEREJECT={nonce}\n")
    run("systemctl", "restart", "pebble")
    wait_for_authority()


def wait_for_authority() -> None:
    for _attempt in range(100):
        try:
            socket.create_connection((ADDRESS, 14000), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("pebble does not listen")


def want(*sites: dict[str, Any], **client: str) -> None:
    """As the role would write it: the certificate of shop and others, and changes to the way they are got."""
    wanted = {site["name"]: site for site in (ORIGINAL["certificates"][0], *sites)}
    settings = {**ORIGINAL, "client": {**ORIGINAL["client"], **client}, "certificates": list(wanted.values())}
    SETTINGS.write_text(json.dumps(settings))


def shop(*names: str) -> dict[str, Any]:
    return {**ORIGINAL["certificates"][0], "domains": [f"{name}.{DOMAIN}" for name in names]}


def renew(name: str = "", rc: int = 0, after: float = 0) -> dict[str, Any]:
    """One run of the timer's, or for one certificate, ``after`` seconds from now; what became of each."""
    shifted = {}
    if after:
        # The wall clock alone, as a host knows it whose clock was set.
        shifted = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": f"+{int(after)}s"}
        shifted.update(FAKETIME_DONT_FAKE_MONOTONIC="1", NO_FAKE_STAT="1")
    argv = ["ringstand", "--json", "certificate", "renew", *([name] if name else [])]
    outcomes: dict[str, Any] = json.loads(run(*argv, rc=rc, **shifted).stdout)["certificates"]
    return outcomes


def rows(rc: int | None = None) -> dict[str, dict[str, Any]]:
    told = json.loads(run("ringstand", "--json", "certificates", rc=rc).stdout)["certificates"]
    return {row["site"]: row for row in told}


def forget_attempts() -> None:
    """Of the other certificates nobody wants a renewal, which would only take time."""
    MEMORY.write_text(json.dumps({"schema": 1, "certificates": {}, "ended": ["blog", "late"]}))


def served(site: str = "shop") -> str:
    """The serial that a client is shown, which must be that of the file, for each domain."""
    row = rows()[site]
    assert row["state"] == "served" and not row["problem"], row
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    found = set()
    for domain in row["domains"]:
        with (
            socket.create_connection((ADDRESS, 443), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname=domain) as stream,
        ):
            found.add(ssl.DER_cert_to_PEM_cert(stream.getpeercert(binary_form=True) or b""))
    assert found == {ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(live(site).read_text()))}, row
    return str(row["serial"])


def live(site: str) -> Path:
    return Path(f"/etc/letsencrypt/live/{site}/cert.pem")


def lifetimes() -> None:
    """Renewal of certificates of 90, 45 and 6 days with the clock just before and after two thirds."""
    for days, before, after in ((90, 59 * DAY, 61 * DAY), (45, 29 * DAY, 31 * DAY), (6, 95 * HOUR, 97 * HOUR)):
        if days != 90:  # that it has already
            authority(days)
            assert renew("shop")["shop"]["issued"]
        first = served()
        assert renew(after=before)["shop"]["reasons"] == []
        assert served() == first
        done = renew(after=after)["shop"]
        assert done["reasons"] == ["it is time to renew it"] and done["issued"], done
        assert served() != first


def expired() -> None:
    """A certificate that has expired before anybody looked."""
    first = served()
    assert "it has expired" in renew(after=91 * DAY)["shop"]["reasons"]
    assert served() != first


def account() -> None:
    """The authority has forgotten the account."""
    first = served()
    authority()
    assert renew("shop")["shop"]["issued"]
    assert served() != first
    aside = Path("/etc/letsencrypt/ringstand-set-aside")
    assert list(aside.glob(f"account-{ADDRESS}-*/account/*/private_key.json"))
    assert len(list(Path("/etc/letsencrypt/accounts").rglob("regr.json"))) == 1


def nonce() -> None:
    """One nonce in five is refused."""
    authority(nonce=20)
    first = served()
    assert renew("shop")["shop"]["issued"]
    assert served() != first
    authority()


def down() -> None:
    """The authority is down at a renewal and at a first order; it is asked again, but not at once."""
    want(LATE)
    first = served()
    run("systemctl", "stop", "pebble")
    outcomes = renew(after=61 * DAY, rc=1)
    for name in ("shop", "late"):
        assert f"{URL} cannot be reached" in outcomes[name]["failure"], outcomes
    assert served() == first
    assert rows()["late"]["state"] == "placeholder"
    assert "its order failed: " in rows()["late"]["problem"]
    assert rows()["shop"]["attempt"]["failures"] == 1
    assert renew(after=61 * DAY + 60)["shop"]["waits"]
    run("systemctl", "start", "pebble")
    wait_for_authority()
    outcomes = renew(after=61 * DAY + HOUR + 60)
    assert outcomes["shop"]["issued"] and outcomes["late"]["issued"]
    assert served() != first
    assert served("late")
    assert rows()["shop"]["attempt"] == {}


def names() -> None:
    """A domain is added, one that cannot be proven is too, and both are removed."""
    want(shop("shop", "www", "more"), staging_directory_url=URL)
    assert renew()["shop"]["reasons"] == [f"it lacks more.{DOMAIN}"]
    assert len(rows()["shop"]["domains"]) == 3
    grown = served()
    want(shop("shop", "www"), {**LATE, "domains": [f"late.{DOMAIN}", f"stray.{DOMAIN}"]})
    before = rows()["late"]["serial"]
    outcomes = renew(rc=1)
    assert f"could not verify stray.{DOMAIN}" in outcomes["late"]["failure"], outcomes
    assert rows(rc=3)["late"]["serial"] == before
    assert f"it lacks stray.{DOMAIN}; its order failed: " in rows()["late"]["problem"]
    assert served() != grown
    assert len(rows()["shop"]["domains"]) == 2


def rate() -> None:
    """An authority that has enough of this host is left alone."""
    entry = {"failures": 1, "step": "order", "kind": "rate limit", "reason": "too many", "tried": time.time()}
    MEMORY.write_text(
        json.dumps({"schema": 1, "ended": [], "certificates": {"late": {**entry, "next": time.time() + HOUR}}})
    )
    want({**LATE, "domains": [f"late.{DOMAIN}", f"stray.{DOMAIN}"]})
    assert renew()["late"]["waits"]
    assert "too many. It is not asked again before" in renew("late", rc=1)["late"]["failure"]


def eab() -> None:
    """The authority wants the account to be bound to one that it knows."""
    key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG4"
    authority(key=key)
    first = served()
    failure = renew("shop", rc=1)["shop"]["failure"]
    assert "xternal account" in failure or "externalAccount" in failure, failure
    path = Path("/root/account.ini")
    path.write_text(f"eab-kid = kid-1\neab-hmac-key = {key}\n")
    want(config_path=str(path))
    assert renew("shop")["shop"]["issued"]
    assert served() != first
    assert key not in "".join(log.read_text() for log in Path("/var/log/letsencrypt").glob("letsencrypt.log*"))
    path.unlink()
    authority()


def keys() -> None:
    """From ECDSA to RSA and back, asked for twice at once: one of both does it."""
    for kind in ("rsa", "ecdsa"):
        want(key_type=kind)
        argv = ["ringstand", "--json", "certificate", "renew"]
        both = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _run in range(2)]
        told = [json.loads(one.communicate()[0])["certificates"]["shop"] for one in both]
        assert [one.returncode for one in both] == [0, 0]
        assert sorted(one["issued"] for one in told) == [False, True], told
        shown = run("openssl", "x509", "-in", str(live("shop")), "-noout", "-text").stdout
        assert ("rsaEncryption" if kind == "rsa" else "id-ecPublicKey") in shown
        served()


def closed() -> None:
    """What keeps a challenge from being answered is found before anybody is asked, or is said by the authority."""
    want(LATE)
    site, acme = Path("/etc/nginx/ringstand/sites/late.conf"), "root /var/www/ringstand-acme"
    text = site.read_text()
    site.write_text(text.replace(acme, "root /var/empty"))
    run("systemctl", "restart", "nginx")
    said = renew("late", rc=1)["late"]["failure"]
    assert "does not serve /var/www/ringstand-acme" in said and "status 404" in said, said
    site.write_text(text)
    run("systemctl", "restart", "nginx")
    rule = ["INPUT", "-p", "tcp", "--dport", "80", "-d", ADDRESS, "-j", "REJECT", "--reject-with", "tcp-reset"]
    run("iptables", "-I", *rule)
    said = renew("late", rc=1)["late"]["failure"]
    run("iptables", "-D", *rule)
    assert f"could not verify late.{DOMAIN}" in said and "does port 80 reach it from outside?" in said, said
    run("ufw", "allow", "22/tcp")
    run("ufw", "--force", "enable")
    said = renew("late", rc=1)["late"]["failure"]
    run("ufw", "--force", "disable")
    assert "the firewall (ufw) lets nobody reach port 80" in said and "ufw allow 80/tcp" in said, said


def refused() -> None:
    """nginx refuses its configuration: what was renewed waits, and the old certificate is served."""
    broken = Path("/etc/nginx/conf.d/broken.conf")
    broken.write_text("no_such_directive;\n")
    said = renew("shop", rc=1)["shop"]["failure"]
    assert "nginx refuses its configuration, so it was not reloaded" in said and "no_such_directive" in said, said
    assert rows(rc=3)["shop"]["state"] == "issued"
    broken.unlink()
    assert renew()["shop"]["deployed"]
    served()


def locked() -> None:
    """Another certbot is at work."""
    hold = "import fcntl, time; held = open('/etc/letsencrypt/.certbot.lock', 'w'); fcntl.lockf(held, fcntl.LOCK_EX);"
    with subprocess.Popen([sys.executable, "-c", f"{hold} time.sleep(3)"]) as other:
        time.sleep(0.5)
        assert renew("shop")["shop"]["issued"]
        assert other.poll() == 0
    served()


ALL: tuple[Callable[[], None], ...] = (
    *(account, lifetimes, expired, down, names, keys, eab, nonce, closed, refused, locked, rate),
)


def main(chosen: list[str]) -> None:
    begun = time.monotonic()
    authority()
    want()
    for scenario in (one for one in ALL if one.__name__ in chosen or not chosen):
        start = time.monotonic()
        forget_attempts()
        want()
        scenario()
        print(f"{scenario.__name__}: {time.monotonic() - start:.1f} s", flush=True)
    SETTINGS.write_text(json.dumps(ORIGINAL))
    MEMORY.unlink()
    print(f"all: {time.monotonic() - begun:.1f} s")


if __name__ == "__main__":
    main(sys.argv[1:])

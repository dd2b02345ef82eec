"""What happens in the life of a certificate, played on a host with an authority of its own (Pebble).

``scenarios.py [NAME…]`` plays all, or those named, each within seconds, and ends with the state that it began with.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

SETTINGS, PEBBLE = Path("/etc/ringstand/certbot.json"), Path("/etc/ssl/pebble.json")
MEMORY = Path("/var/lib/ringstand/certificates.json")
WEBHOOK = Path("/etc/ringstand/certbot-webhook.url")
ORIGINAL: dict[str, Any] = json.loads(SETTINGS.read_text())
DOMAIN = ORIGINAL["certificates"][1]["domains"][0].removeprefix("blog.")
URL = ORIGINAL["client"]["directory_url"]
ADDRESS = URL.removeprefix("https://").partition(":")[0]
HOUR, DAY = 3600, 86_400
WILD = ORIGINAL["certificates"][2]
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


def clock(after: float) -> dict[str, str]:
    """The environment of a process ``after`` seconds from now."""
    shifted = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": f"+{int(after)}s", "NO_FAKE_STAT": "1"}
    # The wall clock alone, as a host knows it whose clock was set; but in Debian 12 nobody can sleep then.
    alone = {**shifted, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    sleeps = run(sys.executable, "-c", "import time; time.sleep(0.001)", rc=None, **alone).returncode == 0
    return alone if sleeps else shifted


def told(*argv: str, rc: int | None = 0, after: float = 0) -> dict[str, Any]:
    """What the program says, ``after`` seconds from now."""
    shifted = clock(after) if after else {}
    said: dict[str, Any] = json.loads(run("ringstand", "--json", *argv, rc=rc, **shifted).stdout)
    return said


def renew(name: str = "", rc: int = 0, after: float = 0) -> dict[str, Any]:
    """One run of the timer's, or for one certificate, ``after`` seconds from now; what became of each."""
    outcomes: dict[str, Any] = told("certificate", "renew", *([name] if name else []), rc=rc, after=after)[
        "certificates"
    ]
    return outcomes


def rows(rc: int | None = None) -> dict[str, dict[str, Any]]:
    return {row["site"]: row for row in told("certificates", rc=rc)["certificates"]}


def remember(**attempts: dict[str, Any]) -> None:
    """What the host has tried already. Of the other certificates nobody wants a renewal, which would only take time."""
    MEMORY.write_text(json.dumps({"schema": 1, "certificates": attempts, "ended": ["blog", "late", "wild"]}))


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
            context.wrap_socket(plain, server_hostname=domain.replace("*", "any")) as stream,
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
    remember(late={**entry, "next": time.time() + HOUR})
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


def dns() -> None:
    """A wildcard, proven by records that a plugin makes, and not with a key that the name server does not know."""
    want(WILD)
    credentials = Path("/etc/ringstand/certbot-dns/rfc2136.ini")
    first, text = served("wild"), credentials.read_text()
    assert renew("wild")["wild"]["issued"]
    assert served("wild") != first
    assert credentials.stat().st_mode & 0o777 == 0o600
    key = re.search(r"secret = (\S+)", text)[1]  # type: ignore[index]
    other = key[::-1].strip("=").swapcase().ljust(len(key), "=")
    credentials.write_text(text.replace(key, other))
    try:
        failure = renew("wild", rc=1)["wild"]["failure"]
    finally:
        credentials.write_text(text)
    assert "didn't like the signature" in failure, failure
    for log in Path("/var/log/letsencrypt").glob("letsencrypt.log*"):
        assert key not in log.read_text() and other not in log.read_text()
    assert key not in failure and other not in failure


@contextlib.contextmanager
def listener() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A URL, and the JSON that is posted to it."""
    heard: list[dict[str, Any]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/hook", heard
        server.shutdown()


def scraped() -> dict[str, float]:
    """What the node exporter tells of the certificate of shop, and whether it could read its files."""
    text = urllib.request.urlopen("http://127.0.0.1:9100/metrics", timeout=10).read().decode()
    lines = re.findall(r'^(?:ringstand_certificate_(\w+){site="shop"}|(node_textfile_scrape_error)) (\S+)$', text, re.M)
    return {name or other: float(value) for name, other, value in lines}


def alarm() -> None:
    """Less than a quarter of the lifetime is left: metric, webhook and doctor say so, and do not before."""
    now, late = time.time(), 70 * DAY
    entry = {"failures": 9, "step": "order", "reason": "nobody is there", "tried": now, "next": now + 80 * DAY}
    with listener() as (url, posted):
        WEBHOOK.write_text(url)
        try:
            for after, alarms in ((66 * DAY, 0), (late, 1), (late + HOUR, 1)):
                remember(shop={**entry, **json.loads(MEMORY.read_text())["certificates"].get("shop", {})})
                assert renew(after=after)["shop"]["waits"]
                found = scraped()
                assert found["alarm"] == alarms and found["failed_attempts"] == 9 and found["served"] == 1, found
                assert found["not_after_timestamp_seconds"] - now < 90 * DAY
                assert found["node_textfile_scrape_error"] == 0
                heard = [one for one in posted if one["site"] == "shop"]
                assert len(heard) == alarms, heard  # once a day
        finally:
            WEBHOOK.unlink()
    assert "it ends in 20.0 days and was not renewed" in heard[0]["text"], heard
    findings = told("doctor", rc=None, after=late)["findings"]
    assert "shop" in [one["where"] for one in findings if "it ends in 20.0 days" in one["what"]], findings


ALL: tuple[Callable[[], None], ...] = (
    *(account, alarm, lifetimes, expired, down, names, keys, eab, nonce, closed, refused, locked, rate, dns),
)


def main(chosen: list[str]) -> None:
    begun = time.monotonic()
    authority()
    want()
    try:
        for scenario in (one for one in ALL if one.__name__ in chosen or not chosen):
            start = time.monotonic()
            remember()
            want()
            scenario()
            print(f"{scenario.__name__}: {time.monotonic() - start:.1f} s", flush=True)
    finally:
        SETTINGS.write_text(json.dumps(ORIGINAL))
        MEMORY.unlink(missing_ok=True)
    print(f"all: {time.monotonic() - begun:.1f} s")


if __name__ == "__main__":
    main(sys.argv[1:])

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Let nginx serve a certificate, and prove that it does."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence

from . import commands, links, loopback_tls, unit_control, units, x509
from .certificates import CHAIN, CURRENT, KEY, Wanted
from .errors import RingstandError

ADDRESS, PORT = "127.0.0.1", 443
_NGINX = "nginx.service"
_TIMEOUT_SECONDS = 10.0
# Workers of the old configuration may take a connection until they have noticed that they are to end.
_PROOF_SECONDS = 10.0


def is_current(site: Wanted, live_dir: str) -> bool:
    """Whether the site's links lead to the certificate in ``live_dir``."""
    return links.target_of(os.path.join(site.directory, CURRENT)) == live_dir and all(
        links.target_of(os.path.join(site.directory, name)) == os.path.join(CURRENT, name) for name in (CHAIN, KEY)
    )


def served_der(domain: str) -> bytes | None:
    """The certificate that this host's web server shows for ``domain``, or None when it shows none."""
    context = loopback_tls.unverified()  # what is compared is the certificate itself
    try:
        with (
            socket.create_connection((ADDRESS, PORT), timeout=_TIMEOUT_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=domain.replace("*", "any-name")) as stream,
        ):
            return stream.getpeercert(binary_form=True)
    except (OSError, ValueError):
        return None


def not_served(details: x509.Details, domains: Sequence[str]) -> str | None:
    """Which domain is not served with this certificate and what is shown in its place, or None."""
    for domain in domains:
        der = served_der(domain)
        if der is None:
            return f"{ADDRESS}:{PORT} shows no certificate for {domain}"
        if der != details.der:
            what = "a placeholder" if b"Self-signed placeholder" in der else f"serial {x509.serial_of(der)}"
            return f"{ADDRESS}:{PORT} shows {what} for {domain}, not serial {details.serial}"
    return None


def deploy(site: Wanted, live_dir: str) -> bool:
    """Let the site's links lead to ``live_dir``, reload nginx and prove it; return whether anything was done.

    Raises RingstandError: when nginx refuses its configuration, nothing is reloaded and a changed link is put back.
    """
    details = x509.read(os.path.join(live_dir, "cert.pem"))
    if details is None:
        raise _failed(site, f"{live_dir}/cert.pem is not a certificate")
    linked = is_current(site, live_dir)
    if linked and not_served(details, site.domains) is None:
        return False
    try:
        put_back = None if linked else _link(site, live_dir)
    except OSError as error:
        raise _failed(site, str(error)) from error
    test = commands.run(["nginx", "-t", "-q"])
    if test.rc:
        if put_back:
            links.point(os.path.join(site.directory, CURRENT), put_back)
        raise RingstandError(
            _failed(site, f"nginx refuses its configuration, so it was not reloaded: {test.stderr.strip()}").message,
            stderr=test.stderr,
        )
    _reload(site)
    deadline = time.monotonic() + _PROOF_SECONDS
    while True:
        fault = not_served(details, site.domains)
        if fault is None:
            return True
        if time.monotonic() > deadline:
            raise _failed(site, fault)
        time.sleep(0.2)


def _link(site: Wanted, live_dir: str) -> str | None:
    """Change the links; return what the one that matters said before."""
    current = os.path.join(site.directory, CURRENT)
    paths = {name: os.path.join(site.directory, name) for name in (CHAIN, KEY)}
    for path in paths.values():
        if os.path.lexists(path) and not os.path.islink(path):
            raise _failed(site, f"{path} is a file of somebody else; remove it if the certificate shall be replaced")
    os.makedirs(site.directory, mode=0o755, exist_ok=True)
    before = links.target_of(current)
    links.point(current, live_dir)
    for name, path in paths.items():
        if links.target_of(path) != os.path.join(CURRENT, name):
            links.point(path, os.path.join(CURRENT, name))
    return before


def _reload(site: Wanted) -> None:
    if not units.show([_NGINX])[0].started:
        raise _failed(site, "nginx does not run; it takes the certificate when it is started")
    wanted = units.Wanted(_NGINX, state=units.RELOADED, reload_replaces_workers=True)
    unit_control.Control([wanted], timeout_seconds=60, settle_seconds=0).apply()


def _failed(site: Wanted, reason: str) -> RingstandError:
    return RingstandError(f"Failed to deploy the certificate {site.name}: {reason}")

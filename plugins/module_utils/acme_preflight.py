# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a challenge would be answered, found out without spending an attempt at the certificate authority."""

from __future__ import annotations

import contextlib
import http.client
import os
import secrets
from collections.abc import Sequence

from .firewall import is_closed
from .firewall_state import read_firewall

CHALLENGE_PATH = ".well-known/acme-challenge"
ADDRESS, PORT = "127.0.0.1", 80
_TIMEOUT_SECONDS = 10.0


def fault(webroot: str, domains: Sequence[str]) -> str | None:
    """Why a challenge for one of ``domains`` would fail on this host, or None.

    Raises OSError when nothing can be written below ``webroot``.
    """
    if is_closed(read_firewall(), PORT):
        return f"the firewall (ufw) lets nobody reach port {PORT}, which the challenge comes to: ufw allow {PORT}/tcp"
    folder = os.path.join(webroot, CHALLENGE_PATH)
    os.makedirs(folder, mode=0o755, exist_ok=True)
    name, content = f"ringstand-{secrets.token_hex(8)}", secrets.token_hex(16)
    path = os.path.join(folder, name)
    try:
        with open(path, "w", encoding="ascii") as handle:
            handle.write(content)
        os.chmod(path, 0o644)
        for domain in domains:
            found = _ask(domain, f"/{CHALLENGE_PATH}/{name}")
            if found != content:
                return f"{domain} does not serve {folder} over HTTP: {ADDRESS}:{PORT} answers it with {found}"
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    return None


def _ask(domain: str, path: str) -> str:
    """The body of an answer with status 200, else what came in its place."""
    connection = http.client.HTTPConnection(ADDRESS, PORT, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", path, headers={"Host": domain})
        answer = connection.getresponse()
        body = answer.read(200).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        connection.close()
    return body if answer.status == 200 else f"status {answer.status}"

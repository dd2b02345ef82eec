# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a challenge would be answered, found out without spending an attempt at the certificate authority."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import secrets
from collections.abc import Sequence

from . import commands
from .firewall import is_closed
from .firewall_state import read_firewall

CHALLENGE_PATH = ".well-known/acme-challenge"
ADDRESS, PORT = "127.0.0.1", 80
_TIMEOUT_SECONDS = 10.0
_PREFIX = "ringstand-"


def fault(webroot: str, domains: Sequence[str]) -> str | None:
    """Why a challenge for one of ``domains`` would fail on this host, or None.

    Raises OSError when nothing can be written below ``webroot``.
    """
    if is_closed(read_firewall(), PORT):
        return f"the firewall (ufw) lets nobody reach port {PORT}, which the challenge comes to: ufw allow {PORT}/tcp"
    path, content = place(webroot)
    try:
        for domain in domains:
            found = _ask(domain, path)
            if found != content:
                folder = os.path.join(webroot, CHALLENGE_PATH)
                return f"{domain} does not serve {folder} over HTTP: {ADDRESS}:{PORT} answers it with {found}"
    finally:
        remove(webroot, path)
    return None


def place(webroot: str) -> tuple[str, str]:
    """Put a token of ours where a challenge would be; returns its path in URLs and its content."""
    folder = os.path.join(webroot, CHALLENGE_PATH)
    os.makedirs(folder, mode=0o755, exist_ok=True)
    name, content = f"{_PREFIX}{secrets.token_hex(8)}", secrets.token_hex(16)
    path = os.path.join(folder, name)
    with open(path, "w", encoding="ascii") as handle:
        handle.write(content)
    os.chmod(path, 0o644)
    return f"/{CHALLENGE_PATH}/{name}", content


def remove(webroot: str, path: str) -> None:
    """Remove a token of ours, and nothing else."""
    name = os.path.basename(path)
    if name.startswith(_PREFIX):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(webroot, CHALLENGE_PATH, name))


def host_addresses() -> list[str]:
    """The addresses of this host that others may reach."""
    shown = commands.run(["ip", "-o", "address", "show", "scope", "global"]).stdout
    return re.findall(r" inet6? ([0-9a-f.:]+)", shown)


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

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Maintenance of an app: nginx answers 503 with a page for as long as a file is there.

``<app>.on`` begins it, ``<app>.allow/<address>`` lets a single client through, ``<app>.html`` is the app's own page.
nginx looks at each request, so nothing is reloaded, and a reboot or a run of site.yml changes nothing.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import json
import os
import pwd
import shutil
import socket
import stat
import time
from collections.abc import Iterable
from typing import Any

from . import loopback_tls
from .errors import RingstandError
from .layout import AppSettings, Layout
from .ledger import utc
from .links import sync_dir
from .releases import write_durably

DIRECTORY = "/etc/ringstand/maintenance"
SITES = "/etc/nginx/ringstand/sites"
# Networks of this host's visitors belong into its settings; what is given by hand becomes one file per address.
ADDRESSES_MAX = 256
PAGE_BYTES_MAX = 1024 * 1024
# nginx lets 127.0.0.1 through; this is another address of the same host, which is treated like everybody else's.
_STRANGER = "127.0.0.2"


def read(app: str, directory: str = DIRECTORY) -> dict[str, Any] | None:
    """Since when (ISO 8601, UTC), by whom and with what ``allow`` the app is in maintenance; None when it is not.

    A file that was made by hand counts too, and tells only when it was made.
    """
    path = os.path.join(directory, f"{app}.on")
    try:
        with open(path, encoding="utf-8") as stream:
            made, text = os.fstat(stream.fileno()).st_mtime, stream.read()
    except FileNotFoundError:
        return None
    found: Any = {}
    with contextlib.suppress(ValueError):
        found = json.loads(text)
    known = found if isinstance(found, dict) else {}
    return {"since": known.get("since") or utc(made), "by": known.get("by") or "", "allow": known.get("allow") or []}


def spellings(address: str) -> list[str]:
    """The texts that nginx may have for an address: in IPv6, it also shortens a single group of zeros."""
    found = str(ipaddress.ip_address(address))
    groups = found.split(":")
    if "::" in found or "0" not in groups:
        return [found]
    position = groups.index("0")
    shortened = f"{':'.join(groups[:position])}::{':'.join(groups[position + 1 :])}"
    return [found, shortened]


def addresses(allow: Iterable[str]) -> list[str]:
    """The single addresses of addresses and small networks. Raises :class:`RingstandError` for anything else."""
    found: list[str] = []
    for text in allow:
        try:
            network = ipaddress.ip_network(text, strict=False)
        except ValueError as error:
            raise RingstandError(f"Failed to allow {text!r}: this is neither an address nor a network") from error
        if network.num_addresses > ADDRESSES_MAX:
            raise RingstandError(
                f"Failed to allow {text!r}: more than {ADDRESSES_MAX} addresses. Networks belong into the app's key "
                "maintenance.allow, and site.yml applies it."
            )
        found += [str(address) for address in network]
    return list(dict.fromkeys(found))


def own_page(layout: Layout) -> str | None:
    """The app's ``shared/maintenance.html``, or None.

    The app's user can write there, so it is read as a plain file of that user and nothing else.
    """
    path = os.path.join(layout.shared_dir, "maintenance.html")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RingstandError(f"Failed to read {path}: {error.strerror}. It must be a file, not a link.") from error
    with open(descriptor, "rb") as stream:
        info = os.fstat(descriptor)
        owner = pwd.getpwnam(layout.app).pw_uid
        if not stat.S_ISREG(info.st_mode) or info.st_nlink != 1 or info.st_uid not in (0, owner):
            raise RingstandError(f"Failed to read {path}: it must be a file of its own that belongs to {layout.app}")
        return _text(stream.read(PAGE_BYTES_MAX + 1), path)


def page_of(path: str) -> str:
    """The page in a file that the operator names."""
    try:
        with open(path, "rb") as stream:
            return _text(stream.read(PAGE_BYTES_MAX + 1), path)
    except OSError as error:
        raise RingstandError(f"Failed to read {path}: {error.strerror}") from error


def _text(content: bytes, path: str) -> str:
    if len(content) > PAGE_BYTES_MAX:
        raise RingstandError(f"Failed to read {path}: a maintenance page has {PAGE_BYTES_MAX // 1024} KiB at most")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RingstandError(f"Failed to read {path}: it is not UTF-8") from error


def check_served(app: str, directory: str = DIRECTORY, sites: str = SITES) -> None:
    """Raise :class:`RingstandError` when nginx would not notice."""
    path = os.path.join(sites, f"{app}.conf")
    try:
        with open(path, encoding="utf-8") as stream:
            knows = os.path.join(directory, f"{app}.on") in stream.read()
    except FileNotFoundError:
        knows = False
    if not knows:
        raise RingstandError(f"Failed to begin maintenance of {app}: {path} does not look for it. Run site.yml first.")


def switch_on(app: str, by: str, allow: list[str], page: str | None, directory: str = DIRECTORY) -> bool:
    """Begin maintenance, or give one under way this page and these addresses; returns whether anything changed."""
    wanted = {name for address in addresses(allow) for name in spellings(address)}
    allow_dir, page_path = os.path.join(directory, f"{app}.allow"), os.path.join(directory, f"{app}.html")
    before = read(app, directory)
    changed = before is None or before["allow"] != allow
    if _content(page_path) != page:
        changed = True
        if page is None:
            os.unlink(page_path)
        else:
            write_durably(page_path, page)
    os.makedirs(allow_dir, mode=0o755, exist_ok=True)
    present = set(os.listdir(allow_dir))
    for name in present - wanted:
        os.unlink(os.path.join(allow_dir, name))
    for name in wanted - present:
        with open(os.path.join(allow_dir, name), "w", encoding="utf-8"):
            pass
    if changed or present != wanted:
        since = before["since"] if before else utc(time.time())
        entry = {"since": since, "by": before["by"] if before else by, "allow": allow}
        write_durably(os.path.join(directory, f"{app}.on"), json.dumps(entry) + "\n")
        return True
    return False


def switch_off(app: str, directory: str = DIRECTORY) -> bool:
    """End maintenance; returns whether it was on."""
    was_on = os.path.exists(os.path.join(directory, f"{app}.on"))
    for suffix in ("on", "html"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(directory, f"{app}.{suffix}"))
    shutil.rmtree(os.path.join(directory, f"{app}.allow"), ignore_errors=True)
    if was_on:
        sync_dir(directory)
    return was_on


def _content(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def describe(app: str, found: dict[str, Any] | None, status: int | None) -> str:
    """One line for people; ``status`` is what a visitor gets, None when nginx was not asked."""
    seen = f"; a visitor gets {status}" if status else ""
    if found is None:
        return f"{app}: not in maintenance{seen}"
    by = f" by {found['by']}" if found["by"] else ""
    through = f", let through: {', '.join(found['allow'])}" if found["allow"] else ""
    return f"{app}: in maintenance since {found['since']}{by}{through}{seen}"


def answer(settings: AppSettings, timeout_seconds: float = 3) -> int | None:
    """The status that a visitor gets from nginx, asked from an address that is not let through; None without one."""
    if settings.probe_port is None or not settings.domains:
        return None
    domain = str(settings.health.get("host") or settings.domains[0])
    context = loopback_tls.unverified()
    connection = http.client.HTTPConnection(domain)
    try:
        plain = socket.create_connection(("127.0.0.1", settings.probe_port), timeout_seconds, (_STRANGER, 0))
        connection.sock = context.wrap_socket(plain, server_hostname=domain)
        connection.request("GET", str(settings.health["path"]))
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()

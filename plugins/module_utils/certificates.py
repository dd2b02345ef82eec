# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Self-signed placeholders behind links, so that a web server starts before its first real certificate exists.

A certificate's directory holds ``fullchain.pem`` and ``privkey.pem``, which lead through the one link ``current`` to
a directory with both files. Whoever brings a real certificate changes that one link, so key and certificate always
change together, or puts both files in place of the links. What is real and usable is never changed here.
"""

from __future__ import annotations

import ipaddress
import os
import re
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from . import commands, links, x509
from .errors import RingstandError

CHAIN, KEY, CURRENT = "fullchain.pem", "privkey.pem", "current"
PREFIX, OWN_PREFIX = "placeholder-", "own-"
PLACEHOLDER, REAL, UNREADABLE = "placeholder", "real", "unreadable"
RENEW_BEFORE_DAYS = 30
DAY_SECONDS = 86400
NAME = re.compile(r"[A-Za-z0-9*._:-]+")

# A file and not -addext, because the machine's openssl.cnf may add extensions of its own.
CONFIG = """\
[req]
prompt = no
distinguished_name = name
x509_extensions = extensions
[name]
O = ringstand
CN = Self-signed placeholder
[extensions]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = {names}
"""


# What the modules take for each certificate, as Ansible describes options; see Wanted.
OPTIONS = {
    "name": {"type": "str", "required": True},
    "domains": {"type": "list", "elements": "str", "required": True},
    "dir": {"type": "path", "required": True},
}


@dataclass(frozen=True)
class Wanted:
    """A certificate for ``domains`` (host names or addresses) that is used from ``directory``.

    ``dns_plugin`` is the plugin of certbot's that proves the domains by DNS; when it is empty they are proven by HTTP.
    """

    name: str
    domains: Sequence[str]
    directory: str
    dns_plugin: str = ""


# For who names no site where nginx has to show something: a name that no site can have (RFC 6761).
NAMELESS = Wanted("names that no site has", ("invalid",), "/etc/ringstand/nameless")


@dataclass
class Certificate:
    """What is in use. ``state`` is placeholder, real or unreadable; ``expires`` is in seconds since the epoch."""

    state: str
    expires: int | None = None
    domains: list[str] = field(default_factory=list)
    created: bool = False

    def as_dict(self) -> dict[str, object]:
        """For people and programs, with ``expires`` as ISO 8601 in UTC."""
        expires = None if self.expires is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.expires))
        return {"state": self.state, "expires": expires, "domains": self.domains, "created": self.created}


def ensure(wanted: Wanted, days: int, check: bool = False) -> Certificate:
    """Make a placeholder where no usable certificate is, or renew one that is ours; with ``check`` only say so.

    Raises RingstandError when only one of the two files is there and it is not ours, when a name cannot be in a
    certificate, or when openssl or the file system refuses.
    """
    unfit = [domain for domain in wanted.domains if not NAME.fullmatch(domain)]
    if unfit or not wanted.domains:
        raise _failed(wanted, f"{unfit[0]!r} is not a host name" if unfit else "domains is empty")
    chain, key = (os.path.join(wanted.directory, name) for name in (CHAIN, KEY))
    has_chain, has_key = os.path.exists(chain), os.path.exists(key)
    found = [path for path, exists in ((chain, has_chain), (key, has_key)) if exists]
    real = any(not _is_placeholder(wanted.directory, path) for path in found)
    if real and not _leads_to_rubble(wanted.directory, chain, key):
        if not (has_chain and has_key):
            raise _failed(wanted, f"{KEY if has_chain else CHAIN} is missing beside {found[0]}, which is not ours")
        return read(chain, REAL)
    if len(found) == 2 and not real:
        current = read(chain, PLACEHOLDER)
        if _still_good(current, wanted, key):
            return current
    if check:
        return Certificate(PLACEHOLDER, None, list(wanted.domains), created=True)
    try:
        _create(wanted, days)
        created = read(chain, PLACEHOLDER)
    except OSError as error:
        raise _failed(wanted, str(error)) from error
    created.created = True
    return created


def read(path: str, state: str) -> Certificate:
    """Names and expiry of the first certificate in the file ``path``."""
    found = x509.read(path)
    return Certificate(state, found.expires, list(found.domains)) if found else Certificate(UNREADABLE)


def _failed(wanted: Wanted, reason: str) -> RingstandError:
    return RingstandError(f"Failed to make a placeholder certificate for {wanted.name}: {reason}")


def _is_placeholder(directory: str, path: str) -> bool:
    return os.path.realpath(path).startswith(os.path.join(os.path.realpath(directory), PREFIX))


def _leads_to_rubble(directory: str, chain: str, key: str) -> bool:
    """Whether both files are our links to what an ACME client has or somebody brought, and that is of no use any more.

    nginx has to start nevertheless; whoever asks for certificates sees the placeholder and brings a real one again.
    """
    ours = all(links.target_of(path) == os.path.join(CURRENT, os.path.basename(path)) for path in (chain, key))
    target = links.target_of(os.path.join(directory, CURRENT)) or ""
    leads_away = os.path.isabs(target) or target.startswith(OWN_PREFIX)
    return ours and leads_away and not x509.is_pair(chain, key)


def _still_good(found: Certificate, wanted: Wanted, key: str) -> bool:
    status = os.stat(key)
    private = (status.st_uid, status.st_mode & 0o777) == (os.geteuid(), 0o600)
    lasts = found.expires is not None and found.expires > time.time() + RENEW_BEFORE_DAYS * DAY_SECONDS
    return private and lasts and sorted(found.domains) == sorted(wanted.domains)


def _create(wanted: Wanted, days: int) -> None:
    os.makedirs(wanted.directory, mode=0o755, exist_ok=True)
    folder = tempfile.mkdtemp(prefix=PREFIX, dir=wanted.directory)
    try:
        _run_openssl(wanted, days, folder)
        os.chmod(os.path.join(folder, KEY), 0o600)
        os.chmod(os.path.join(folder, CHAIN), 0o644)
        for path in (os.path.join(folder, KEY), os.path.join(folder, CHAIN), folder):
            links.sync_dir(path)
        links.point(os.path.join(wanted.directory, CURRENT), os.path.basename(folder))
        for name in (CHAIN, KEY):
            links.point(os.path.join(wanted.directory, name), os.path.join(CURRENT, name))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    for name in os.listdir(wanted.directory):
        if name.startswith(PREFIX) and name != os.path.basename(folder):
            shutil.rmtree(os.path.join(wanted.directory, name))


def _run_openssl(wanted: Wanted, days: int, folder: str) -> None:
    config = os.path.join(folder, "openssl.cnf")
    with open(config, "w", encoding="ascii") as handle:
        handle.write(CONFIG.format(names=",".join(_alternative_name(domain) for domain in wanted.domains)))
    argv = ["openssl", "req", "-x509", "-config", config, "-days", str(days), "-sha256", "-nodes"]
    argv += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    argv += ["-keyout", os.path.join(folder, KEY), "-out", os.path.join(folder, CHAIN)]
    run = commands.run(argv)
    os.unlink(config)
    if run.rc:
        reason = "the package openssl is not installed" if run.rc == 127 else "openssl refused"
        raise RingstandError(_failed(wanted, reason).message, rc=run.rc, stderr=run.stderr)


def _alternative_name(domain: str) -> str:
    try:
        return f"IP:{ipaddress.ip_address(domain)}"
    except ValueError:
        return f"DNS:{domain}"

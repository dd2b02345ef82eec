# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Certificates that somebody brings: as text, kept beside the placeholders, or as files of the host, only linked to."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

from . import links, x509
from .certificates import CHAIN, CURRENT, KEY, OWN_PREFIX, PREFIX, REAL, Certificate, Wanted
from .errors import RingstandError


@dataclass(frozen=True)
class Own:
    """Certificate with its chain and key, either as PEM or as paths on the host."""

    chain: str = ""
    key: str = ""
    chain_path: str = ""
    key_path: str = ""

    @property
    def folder(self) -> str:
        """The name of the directory that holds exactly this."""
        content = "\0".join((self.chain, self.key, self.chain_path, self.key_path))
        return OWN_PREFIX + hashlib.sha256(content.encode()).hexdigest()[:16]


def ensure(wanted: Wanted, own: Own, check: bool = False) -> Certificate:
    """Have a certificate of somebody used from ``wanted.directory``; with ``check`` only say whether it would be new.

    Raises RingstandError when it cannot be read, its key is another one's, or it is not for one of the domains. One
    that has expired is taken: that is told by those who look at what is served.
    """
    with _files(own) as (chain, key):
        details = x509.read(chain)
        if details is None:
            raise _failed(wanted, f"{own.chain_path or 'chain'} is no certificate in PEM")
        if not x509.is_pair(chain, key):
            raise _failed(wanted, f"{own.key_path or 'key'} is not its key, or cannot be read")
        missing = [domain for domain in wanted.domains if not covers(details.domains, domain)]
        if missing:
            raise _failed(wanted, f"it is for {', '.join(details.domains) or 'no name'}, not for {', '.join(missing)}")
    found = Certificate(REAL, details.expires, list(details.domains))
    if _is_used(wanted, own):
        return found
    found.created = True
    if not check:
        try:
            _use(wanted, own)
        except OSError as error:
            raise _failed(wanted, str(error)) from error
    return found


def covers(names: tuple[str, ...], domain: str) -> bool:
    """Whether a certificate for ``names`` is one for ``domain``: a wildcard stands for one label."""
    return domain in names or f"*.{domain.partition('.')[2]}" in names


def _is_used(wanted: Wanted, own: Own) -> bool:
    linked = links.target_of(os.path.join(wanted.directory, CURRENT)) == own.folder
    return linked and all(
        links.target_of(os.path.join(wanted.directory, name)) == os.path.join(CURRENT, name)
        and os.path.exists(os.path.join(wanted.directory, name))
        for name in (CHAIN, KEY)
    )


@contextlib.contextmanager
def _files(own: Own) -> Iterator[tuple[str, str]]:
    """Paths of both as files, which openssl and ssl need."""
    if own.chain_path:
        yield own.chain_path, own.key_path
        return
    with tempfile.TemporaryDirectory() as folder:  # only its owner can read it
        chain, key = os.path.join(folder, CHAIN), os.path.join(folder, KEY)
        _write(chain, own.chain, 0o600)
        _write(key, own.key, 0o600)
        yield chain, key


def _use(wanted: Wanted, own: Own) -> None:
    folder = os.path.join(wanted.directory, own.folder)
    os.makedirs(folder, mode=0o755, exist_ok=True)
    for name, text, source, mode in (
        (CHAIN, own.chain, own.chain_path, 0o644),
        (KEY, own.key, own.key_path, 0o600),
    ):
        path = os.path.join(folder, name)
        if source:
            links.point(path, source)
        else:
            _write(path, text, mode)
    links.sync_dir(folder)
    links.point(os.path.join(wanted.directory, CURRENT), own.folder)
    for name in (CHAIN, KEY):
        path = os.path.join(wanted.directory, name)
        if os.path.lexists(path) and not os.path.islink(path):
            raise OSError(f"{path} is a file of somebody else; remove it if the certificate shall be replaced")
        links.point(path, os.path.join(CURRENT, name))
    for name in os.listdir(wanted.directory):
        if name.startswith((PREFIX, OWN_PREFIX)) and name != own.folder:
            shutil.rmtree(os.path.join(wanted.directory, name))


def _write(path: str, text: str, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with open(descriptor, "w", encoding="utf-8") as stream:
        os.fchmod(descriptor, mode)
        stream.write(text if text.endswith("\n") else f"{text}\n")
        stream.flush()
        os.fsync(stream.fileno())


def _failed(wanted: Wanted, reason: str) -> RingstandError:
    return RingstandError(f"Failed to take the own certificate of {wanted.name}: {reason}")

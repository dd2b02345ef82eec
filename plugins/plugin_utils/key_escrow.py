# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The keys of backups on the controller: one file per host, beside the inventory."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat

from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError

_KEY = re.compile(r"[!-~]{20,200}")


def generate() -> str:
    """A new key: 64 characters from 48 random bytes, as pgBackRest's guide recommends."""
    return secrets.token_urlsafe(48)


def check(key: str, what: str) -> str:
    """The key; raises :class:`RingstandError`, which does not show it, when it is none."""
    if not _KEY.fullmatch(key):
        raise RingstandError(f"Failed to accept {what}: a key has 20 to 200 printable characters and no space")
    return key


def read(path: str) -> str:
    """The key in an escrow file, or an empty text when there is none."""
    if not os.path.isabs(path):
        raise RingstandError(f"Failed to find the escrow of the backup key: {path!r} is not an absolute path")
    try:
        with open(path, encoding="utf-8") as stream:
            if stat.S_IMODE(os.fstat(stream.fileno()).st_mode) & 0o077:
                raise RingstandError(f"Failed to read {path}: others may read this key. Run chmod 0600 on it")
            return check(stream.read().strip(), f"the key in {path}")
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise RingstandError(f"Failed to read the backup key {path}: {error}") from error


def write(path: str, key: str) -> None:
    """Write a new key durably, never over another; its directory is made with a .gitignore for all of it."""
    directory = os.path.dirname(path)
    try:
        with contextlib.suppress(FileExistsError):
            os.makedirs(directory, mode=0o700)
        with contextlib.suppress(FileExistsError):
            _create(os.path.join(directory, ".gitignore"), "*\n")
        temporary = f"{path}.{os.getpid()}.new"
        _create(temporary, f"{key}\n")
        try:
            os.link(temporary, path)  # fails when there is one, which a rename would replace
        finally:
            os.unlink(temporary)
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise RingstandError(f"Failed to keep the backup key in {path}: {error.strerror or error}") from error


def _create(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())

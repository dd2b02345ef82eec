# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A look at a second place that is new to a host, before anything is changed: can it be used, and is it free.

Later its absence is no reason to stop: what it misses is sent once it is back.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from typing import Any

from . import backup_offsite, backup_offsite_host, backup_owner, backup_settings, backup_ssh, restic
from .backup_offsite import SSH
from .errors import RingstandError

# In memory: keys are on the disk only where they stay.
_PARENT = "/run"


def look(given: Mapping[str, Any], described: Mapping[str, Any], key: str, recover: bool, check: bool) -> bool:
    """Raise :class:`RingstandError` when a new place cannot be used, or is another machine's and not to ``recover``.

    Returns whether the place is new. With ``check`` the host may lack what is needed to look.
    """
    place = backup_offsite.parse(described)
    if place is None or not _is_new(place.where):
        return False
    if check and not (key and shutil.which("restic")):
        return True
    with tempfile.TemporaryDirectory(prefix="ringstand-offsite-", dir=_PARENT) as directory:
        _write(f"{directory}/key", f"{key}\n")
        for entry in backup_offsite_host.way(given, directory):
            _write(entry["path"], entry.get("secret_content") or entry["content"])
        reason = backup_ssh.problem(place.mounts, directory) if place.type in (SSH, backup_offsite.SFTP) else ""
        if reason:
            raise RingstandError(
                f"Failed to set up backup_repository: {place.where} cannot be used: {reason}. Nothing was changed. "
                "See that host, port, user, private_key and known_hosts are right"
                + (f", and that {place.mounts} is there" if place.mounts else "")
            )
        repository = place.repository(f"{directory}/key", directory)
        try:
            snapshots = restic.snapshots(restic.uncached(repository))
        except RingstandError as error:
            raise RingstandError(
                f"Failed to set up backup_repository: {place.where} cannot be used: {error.message}. Nothing was "
                "changed. A key that is wrong means that another host's backups are there: give this one another name "
                "in backup_repository",
                **error.details,
            ) from error
        if not recover:
            backup_owner.check(snapshots, place.where, [place.replaces])
    return True


def _is_new(where: str) -> bool:
    try:
        known = backup_settings.load().offsite
    except RingstandError:  # there are no settings yet
        return True
    return known is None or known.where != where


def _write(path: str, text: str) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)

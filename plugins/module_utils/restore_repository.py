# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a pgBackRest repository holds, as far as a restore has to know it."""

from __future__ import annotations

import os
import re
import shutil
import tempfile

from . import pgbackrest
from .errors import RingstandError
from .pgbackrest import OWNER, Stanza
from .restore_target import Repository, Timeline, parse_history

_SEGMENT = re.compile(r"(?:.*/)?([0-9A-F]{24})-[0-9a-f]{40}(?:\.\w+)?")
_HISTORY = re.compile(r"([0-9A-F]{8})\.history")


def read(stanza: Stanza, version: str) -> Repository:
    """Read it; ``version`` is PostgreSQL's. Raises :class:`RingstandError` when it cannot be read or has no backup."""
    found = pgbackrest.information(stanza)
    if not found.exists or not found.backups:
        raise RingstandError(f"Failed to find a backup of {stanza.name!r} in {stanza.repository}: {found.message}")
    ids = [name for name in found.archives if name.split("-")[0] == version]
    if not ids:
        raise RingstandError(
            f"Failed to find WAL of PostgreSQL {version} in {stanza.repository}: "
            f"it has that of {' and '.join(found.archives) or 'none'}"
        )
    archive = max(ids, key=lambda name: int(name.split("-")[1]))
    listed = pgbackrest.listing(stanza, _path(stanza, archive))
    files = {name: float(item["time"]) for name, item in listed.items()}
    timelines = [Timeline(1)]
    for name, archived in files.items():
        history = _HISTORY.fullmatch(name)
        if history:
            text = _call(stanza, "repo-get", f"{_path(stanza, archive)}/{name}")
            timelines.append(Timeline(int(history[1], 16), archived, tuple(parse_history(text))))
    segments = {match[1]: archived for name, archived in files.items() for match in [_SEGMENT.fullmatch(name)] if match}
    return Repository(found.backups, timelines, segments)


def fetch_problem(stanza: Stanza, segment: str) -> str:
    """Why a segment cannot be had from the archive; empty when it can, and "missing" when it is not there."""
    with tempfile.TemporaryDirectory(prefix="ringstand-restore-") as directory:
        os.chmod(directory, 0o711)
        target = os.path.join(directory, "segment")
        os.mkdir(target, 0o700)
        shutil.chown(target, OWNER, OWNER)
        result = pgbackrest.call(stanza, "archive-get", segment, os.path.join(target, segment))
    if result.rc == 0:
        return ""
    if result.rc == 1:
        return "missing"
    return re.sub(r"\s+", " ", result.stderr or result.stdout).strip() or f"pgbackrest ended with {result.rc}"


def _path(stanza: Stanza, archive: str) -> str:
    return f"archive/{stanza.name}/{archive}"


def _call(stanza: Stanza, *arguments: str) -> str:
    result = pgbackrest.call(stanza, *arguments)
    if result.rc != 0:
        raise RingstandError(
            f"Failed to read {arguments[-1]} in {stanza.repository}: {pgbackrest.reason(result)}",
            rc=result.rc, stderr=result.stderr,
        )
    return result.stdout

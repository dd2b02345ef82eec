# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Symbolic links that change in one step and survive a power cut."""

from __future__ import annotations

import os
import subprocess
import uuid

_SUFFIX_LENGTH = 8


def point(link: str, target: str) -> None:
    """Make ``link`` a symbolic link to ``target``, atomically and durably."""
    temporary = f"{link}.{uuid.uuid4().hex[:_SUFFIX_LENGTH]}"
    os.symlink(target, temporary)
    try:
        os.rename(temporary, link)
    except OSError:
        os.unlink(temporary)
        raise
    sync_dir(os.path.dirname(link))


def target_of(link: str) -> str | None:
    """What the link says, or None where no link is."""
    try:
        return os.readlink(link)
    except OSError:
        return None


def remove_unfinished(directory: str, *names: str) -> None:
    """Remove what a process that died inside :func:`point` has left beside the links ``names``."""
    for entry in os.listdir(directory):
        name, dot, rest = entry.rpartition(".")
        if dot and name in names and len(rest) == _SUFFIX_LENGTH:
            os.unlink(os.path.join(directory, entry))


def sync_file_system(path: str) -> None:
    """Make everything on the file system of ``path`` durable: many files at once, whoever wrote them."""
    subprocess.run(["sync", "--file-system", path], check=True)


def sync_dir(path: str) -> None:
    """Make the entries of a directory durable, or the content of a file."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

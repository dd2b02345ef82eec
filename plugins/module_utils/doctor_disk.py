# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Room on the file systems that apps and databases write to."""

from __future__ import annotations

import os
from collections.abc import Iterator

from .doctor_findings import HOST, Finding

PATHS = ("/", "/var", "/srv", "/var/lib/postgresql", "/var/lib/redis", "/var/log", "/var/backups/ringstand", "/run")
PATHS_OF_BYTES_MIN = 512 * 1024 * 1024
SHARE_MIN = 0.1
_GIGABYTES_ENOUGH = 5 * 1024**3


def check() -> Iterator[Finding]:
    """Each file system once, by the first of its paths."""
    seen = set()
    for path in filter(os.path.isdir, PATHS):
        device = os.stat(path).st_dev
        if device not in seen:
            seen.add(device)
            yield from judge(path, os.statvfs(path))


def judge(path: str, found: os.statvfs_result) -> Iterator[Finding]:
    """Less than a tenth free, unless that is 5 GB; or less than a tenth of the inodes."""
    size, free = found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize
    if size and free < min(size * SHARE_MIN, _GIGABYTES_ENOUGH):
        what = f"{path} is {1 - free / size:.0%} full: {free / 1024**2:.0f} MB are free"
        yield Finding(HOST, what, f"du -xh {path} | sort -h | tail; lower keep_releases or a retention, or add room")
    if found.f_files and found.f_favail < found.f_files * SHARE_MIN:
        what = f"{path} has few inodes left: {found.f_favail} of {found.f_files}"
        yield Finding(HOST, what, f"du -x --inodes {path} | sort -n | tail")

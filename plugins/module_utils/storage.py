# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What kind of disk a directory is on, and how large its file system is."""

from __future__ import annotations

import os
import re
from typing import Any

SSD, HDD = STORAGES = ("ssd", "hdd")
# Names of disks that a hypervisor emulates.
_VIRTUAL = re.compile(r"(vd|xvd)[a-z]+")
_MEBIBYTE = 1024 * 1024


def read(path: str, root: str = "/") -> dict[str, Any]:
    """``kind`` (ssd or hdd) of the disk below ``path``, or below the directory that it will be in, and ``size_mb``."""
    while not os.path.exists(path):
        path = os.path.dirname(path)
    found = os.statvfs(path)
    return {"kind": kind(os.stat(path).st_dev, root), "size_mb": found.f_blocks * found.f_frsize // _MEBIBYTE}


def kind(device: int, root: str = "/") -> str:
    """HDD only when a disk of real hardware says that it rotates, else SSD.

    An emulated disk says so as well whatever is below it, and a file system that is on no device of its own (overlay,
    btrfs, network) says nothing: both are on flash far more often than not.
    """
    node = os.path.join(root, "sys/dev/block", f"{os.major(device)}:{os.minor(device)}")
    disk = os.path.realpath(node)
    if not os.path.exists(os.path.join(disk, "queue")):
        disk = os.path.dirname(disk)  # a partition is a directory in that of its disk
    rotates = read_text(os.path.join(disk, "queue/rotational")).strip() == "1"
    virtual = _VIRTUAL.fullmatch(os.path.basename(disk)) or _has_hypervisor(root)
    return HDD if rotates and not virtual else SSD


def _has_hypervisor(root: str) -> bool:
    processors = read_text(os.path.join(root, "proc/cpuinfo"))
    return re.search(r"^flags\s*:.*\bhypervisor\b", processors, re.MULTILINE) is not None


def read_text(path: str) -> str:
    """What a file of the kernel says, or nothing."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""

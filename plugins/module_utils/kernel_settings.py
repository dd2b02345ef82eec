# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Kernel settings: the value in force, and the file of sysctl.d(5) that says what it shall be."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from typing import Any

DIRECTORIES = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d")
PROC = "/proc/sys"


def read(names: Iterable[str], directories: Iterable[str] = DIRECTORIES, proc: str = PROC) -> dict[str, dict[str, Any]]:
    """For each name that this kernel has: ``value`` now, and ``path`` of the file that rules it at boot, or empty."""
    ruled = _rules(directories)
    found = {}
    for name in names:
        try:
            with open(os.path.join(proc, name.replace(".", "/")), encoding="utf-8") as handle:
                value = " ".join(handle.read().split())
        except OSError:  # not in this kernel, or not in this container
            continue
        found[name] = {"value": value, "path": ruled.get(name, "")}
    return found


def _rules(directories: Iterable[str]) -> dict[str, str]:
    """Which file sets each setting last. A file hides those of its name in later directories; names are sorted."""
    files: dict[str, str] = {}
    for directory in directories:
        for path in glob.glob(os.path.join(directory, "*.conf")):
            files.setdefault(os.path.basename(path), path)
    ruled = {}
    for _name, path in sorted(files.items()):
        for name in _names(path):
            ruled[name] = path
    return ruled


def _names(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as handle:
            lines = [line.strip() for line in handle]
    except OSError:
        return []
    names = [line.partition("=")[0].strip().lstrip("-").strip() for line in lines if line and line[0] not in "#;"]
    # Both spellings are allowed, as in net/core/somaxconn.
    return [name.replace("/", ".") if "/" in name else name for name in names]

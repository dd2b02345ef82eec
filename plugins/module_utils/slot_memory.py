# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether the machine has room for a second slot beside the one that serves."""

from __future__ import annotations

import contextlib
import os

from .systemd import unit_properties

CGROUP_DIR = "/sys/fs/cgroup"
MEMINFO = "/proc/meminfo"
# A new release may need more than the old one; and what is left must not be nothing.
_GROWTH = 1.2
_RESERVE_MB = 48


def lack_of_memory(unit: str, limit_mb: int | None) -> str:
    """Why a second slot does not fit beside ``unit``, for people; empty when it does or when nobody knows.

    It is expected to need what the first one uses, a fifth more, and at most its limit ``limit_mb``.
    """
    used, available = used_mb(unit), available_mb()
    if used is None or available is None:
        return ""
    needed = used * _GROWTH
    if limit_mb:
        needed = min(needed, limit_mb)
    if available >= needed + _RESERVE_MB:
        return ""
    return f"a second slot needs about {needed:.0f} MB and {available:.0f} MB of memory are free"


def used_mb(unit: str) -> float | None:
    """What the processes of a unit use, without the page cache, in MB; None when it does not run."""
    path = unit_properties(unit, "ControlGroup").get("ControlGroup", "")
    folder = os.path.join(CGROUP_DIR, path.lstrip("/"))
    if not path:
        return None
    return _resident_mb(folder)


def _resident_mb(folder: str) -> float | None:
    """From the counters of cgroup v2, else from the sizes of the processes, shared pages counted once."""
    with contextlib.suppress(OSError, ValueError), open(f"{folder}/memory.stat", encoding="ascii") as stream:
        counters = dict(line.split() for line in stream)
        if "anon" in counters:
            return (int(counters["anon"]) + int(counters.get("kernel", 0))) / 2**20
    total = 0
    for name in ("", "systemd"):  # v1 keeps the processes of a unit under its own hierarchy
        with contextlib.suppress(OSError), open(_processes(folder, name), encoding="ascii") as stream:
            total = sum(_proportional_kb(line.strip()) for line in stream)
    return total / 1024 if total else None


def _processes(folder: str, hierarchy: str) -> str:
    relative = os.path.relpath(folder, CGROUP_DIR)
    return os.path.join(CGROUP_DIR, hierarchy, relative, "cgroup.procs")


def _proportional_kb(process: str) -> int:
    with contextlib.suppress(OSError), open(f"/proc/{process}/smaps_rollup", encoding="ascii") as stream:
        for line in stream:
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def available_mb() -> float | None:
    """What can be had without swapping, in MB: of the machine and, in a container, of what it may use."""
    found = []
    with contextlib.suppress(OSError), open(MEMINFO, encoding="ascii") as stream:
        for line in stream:
            if line.startswith("MemAvailable:"):
                found.append(int(line.split()[1]) / 1024)
    with contextlib.suppress(OSError, ValueError):
        limit, used = (_number(f"{CGROUP_DIR}/memory.{name}") for name in ("max", "current"))
        with open(f"{CGROUP_DIR}/memory.stat", encoding="ascii") as stream:
            cache = int(dict(line.split() for line in stream).get("inactive_file", 0))
        found.append((limit - used + cache) / 2**20)
    return min(found) if found else None


def _number(path: str) -> int:
    with open(path, encoding="ascii") as stream:
        return int(stream.read())  # "max" is no number: there is no limit

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Settings of a PostgreSQL server that follow from the machine, and how a value is written in postgresql.conf."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .errors import RingstandError
from .storage import HDD, SSD

MEMORY_MB_MIN = 128
# The distribution's shared_buffers: never less, where half of the memory allows it.
SHARED_BUFFERS_MB_MIN = 128
PARALLEL_CPUS_MIN = 4
DEFAULT_WORKER_PROCESSES = 8
# From this version on, reading ahead is the business of processes of its own (io_method = worker), three by default.
IO_WORKERS_VERSION, IO_WORKERS_MIN, IO_WORKERS_MAX = 18, 3, 32
MAX_WAL_MB, MIN_WAL_MB = 4096, 1024
# WAL may take a tenth of a small disk between two checkpoints, and no less than the server's own default of 1 GB / 4.
WAL_SHARE_OF_DISK, SMALL_WAL_MB = 10, 256
# pgtune's figures for each kind of disk: random_page_cost and effective_io_concurrency.
DISKS = {SSD: (1.1, 200), HDD: (4.0, 2)}

DEFAULT_CONNECTIONS = 100
# Sized from the apps, up to here; whoever needs more had better think of a pooler, and says so with max_connections.
AUTO_CONNECTIONS_MAX = 500
CONNECTIONS_STEP = 50
# For superusers (superuser_reserved_connections), and for backups, migrations, the doctor and people.
SUPERUSER_CONNECTIONS, OTHER_CONNECTIONS = 3, 10
RESERVED_CONNECTIONS = SUPERUSER_CONNECTIONS + OTHER_CONNECTIONS
# A size that runs and is as near as a quarter to the computed one is kept: the difference is not worth a restart.
KEPT_SHARE = 0.25
_TRUE = ("on", "true", "t", "yes", "y", "1")
_QUANTITY = re.compile(r"\s*([-+]?[0-9]*\.?[0-9]+)\s*([A-Za-z]*)\s*")
# Bytes and microseconds, as postgresql.conf's units are defined (documentation, "Parameter Names and Values").
_UNITS = {"B": 1, "kB": 1024, "MB": 1024**2, "GB": 1024**3, "TB": 1024**4}
_UNITS.update({"us": 1, "ms": 1000, "s": 10**6, "min": 60 * 10**6, "h": 3600 * 10**6, "d": 86400 * 10**6})


def steady(memory_mb: int) -> int:
    """A size rounded down to four significant bits.

    A new kernel reports a few MB more or less; the settings, of which some need a restart, must not follow that.
    """
    step = 1 << max(0, memory_mb.bit_length() - 4)
    return memory_mb // step * step


def connections_for(expected: int) -> int:
    """``max_connections`` for clients that hold ``expected`` at most: in steps, because a change needs a restart."""
    needed = expected + RESERVED_CONNECTIONS
    return max(DEFAULT_CONNECTIONS, -(-needed // CONNECTIONS_STEP) * CONNECTIONS_STEP)


def memory_for(machine_mb: int, reserved_mb: int | None) -> int:
    """MB for PostgreSQL and its page cache: what others leave of seven eighths of the machine, at least a quarter.

    The eighth is the system's. ``reserved_mb`` is None when nobody knows what others need: then it is half.
    """
    if reserved_mb is None:
        return machine_mb // 2
    return max(machine_mb * 7 // 8 - reserved_mb, machine_mb // 4)


def sized_settings(
    memory_mb: int,
    cpu_count: int,
    max_connections: int,
    storage: str = SSD,
    disk_mb: int = 0,
    version: str = "",
) -> dict[str, Any]:
    """Memory, disk and parallelism settings for a server that may use ``memory_mb`` MB.

    The formulas are those of pgtune for its type "web"
    (github.com/le0pard/pgtune, src/features/configuration/configurationSlice.js, 01bb644), but

    - maintenance memory, which every autovacuum worker may take, ends at 2 GB,
    - below 4 CPUs the server's own parallelism stays,
    - ``wal_buffers`` and ``huge_pages`` stay the server's own: 1/32 of shared_buffers up to 16 MB where pgtune writes
      3 % up to 16 MB, and "try",
    - WAL takes at most a tenth of a disk of ``disk_mb`` (0: unknown) between two checkpoints,
    - from version 18 on there are as many io_workers as a quarter of the CPUs.

    Raises :class:`RingstandError` for a size that PostgreSQL cannot work in.
    """
    if memory_mb < MEMORY_MB_MIN:
        raise RingstandError(
            f"Failed to size PostgreSQL: postgresql_memory_mb is {memory_mb}; give it {MEMORY_MB_MIN} or more"
        )
    if cpu_count < 1 or max_connections < 1:
        raise RingstandError(
            f"Failed to size PostgreSQL: {cpu_count} CPUs and postgresql_settings.max_connections of "
            f"{max_connections}; both must be 1 or more"
        )
    if storage not in DISKS:
        raise RingstandError(f"Failed to size PostgreSQL: postgresql_storage is {storage!r}; use ssd or hdd")
    memory_mb = steady(memory_mb)
    shared_buffers_mb = max(memory_mb // 4, min(SHARED_BUFFERS_MB_MIN, memory_mb // 2))
    worker_processes = cpu_count if cpu_count >= PARALLEL_CPUS_MIN else DEFAULT_WORKER_PROCESSES
    # Each connection may run several sorts or hashes at once; three is pgtune's guess.
    work_mem_kb = (memory_mb - shared_buffers_mb) * 1024 // ((max_connections + worker_processes) * 3)
    max_wal_mb = min(MAX_WAL_MB, max(SMALL_WAL_MB, steady(disk_mb // WAL_SHARE_OF_DISK))) if disk_mb else MAX_WAL_MB
    page_cost, io_concurrency = DISKS[storage]
    settings = {
        "max_connections": max_connections,
        "shared_buffers": f"{shared_buffers_mb}MB",
        "effective_cache_size": f"{memory_mb * 3 // 4}MB",
        "maintenance_work_mem": f"{min(memory_mb // 16, 2048)}MB",
        "work_mem": f"{max(work_mem_kb, 4096)}kB",
        "checkpoint_completion_target": 0.9,
        "min_wal_size": _size(min(MIN_WAL_MB, max_wal_mb // 4)),
        "max_wal_size": _size(max_wal_mb),
        "random_page_cost": page_cost,
        "effective_io_concurrency": io_concurrency,
        "jit": False,
    }
    if cpu_count >= PARALLEL_CPUS_MIN:
        half = min(4, (cpu_count + 1) // 2)
        settings["max_worker_processes"] = worker_processes
        settings["max_parallel_workers"] = worker_processes
        settings["max_parallel_workers_per_gather"] = half
        settings["max_parallel_maintenance_workers"] = half
    io_workers = min(IO_WORKERS_MAX, cpu_count // 4)
    if version and int(version) >= IO_WORKERS_VERSION and io_workers > IO_WORKERS_MIN:
        settings["io_workers"] = io_workers
    return settings


def _size(megabytes: int) -> str:
    return f"{megabytes // 1024}GB" if megabytes % 1024 == 0 else f"{megabytes}MB"


def same_value(wanted: Any, running: Mapping[str, Any]) -> bool:
    """Whether a value as people write it is the one a server runs with, as pg_settings shows it."""
    if isinstance(wanted, (list, tuple)):
        return [str(item) for item in wanted] == [item.strip() for item in running["setting"].split(",")]
    text, setting = ("on" if wanted is True else "off" if wanted is False else str(wanted).strip()), running["setting"]
    if running["type"] == "bool":
        return (text.lower() in _TRUE) == (setting == "on")
    if running["type"] in ("integer", "real"):
        ours, theirs = _number(text, running["unit"]), _number(setting, running["unit"])
        return ours is not None and theirs is not None and round(ours, 6) == round(theirs, 6)
    return text.lower() == str(setting).lower() if running["type"] == "enum" else text == setting


def kept_size(wanted: Any, running: Mapping[str, Any]) -> str | None:
    """The size that a server runs with, as postgresql.conf has it, when it is kept in the place of a wanted one.

    None when it is the same, or differs by more than a quarter of the wanted one. ``running`` is of pg_settings.
    """
    ours, theirs = _number(str(wanted), running["unit"]), _number(running["setting"], running["unit"])
    if ours is None or theirs is None or ours == theirs or abs(theirs - ours) > ours * KEPT_SHARE:
        return None
    unit = "MB" if theirs % _UNITS["MB"] == 0 else "kB"
    return f"{int(theirs // _UNITS[unit])}{unit}"


def _number(text: str, unit: str | None) -> float | None:
    """In the base of its kind (bytes, microseconds); a number without a unit is in ``unit``, such as 8kB."""
    match = _QUANTITY.fullmatch(text)
    if not match:
        return None
    number, suffix = float(match[1]), match[2]
    if suffix:
        return number * _UNITS[suffix] if suffix in _UNITS else None
    of_unit = _QUANTITY.fullmatch(unit or "")
    if of_unit:
        return number * float(of_unit[1]) * _UNITS.get(of_unit[2], 1)
    return number * _UNITS.get(unit or "", 1)


def conf_value(value: Any) -> str:
    """A value as postgresql.conf takes it: on and off, numbers bare, everything else quoted."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, (list, tuple)):
        value = ", ".join(str(item) for item in value)
    text = str(value)
    if "\n" in text or "\0" in text:
        raise RingstandError(f"Failed to write the PostgreSQL setting {text!r}: a value is a single line")
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Room for backups: what is free, and what the next one needs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

from .backup_problems import Problem
from .errors import RingstandError
from .pgbackrest import Backup

# Kept free beside what a backup needs: it shares its disk with the database more often than not.
RESERVE_BYTES = 256 * 1024 * 1024
RESERVE_SHARE = 0.02
_MIB = 2**20


def reserve(total: int) -> int:
    """What is kept free of a disk of ``total`` bytes."""
    return max(RESERVE_BYTES, int(total * RESERVE_SHARE))


def require_space(directory: str, need: int, what: str) -> None:
    """Raise :class:`RingstandError` when ``need`` bytes and the reserve do not fit on the disk of ``directory``."""
    usage = shutil.disk_usage(directory)
    if usage.free < need + reserve(usage.total):
        free, wanted, kept = (-(-value // _MIB) for value in (usage.free, need, reserve(usage.total)))
        raise RingstandError(
            f"Failed to start the backup of {what}: {directory} has {free} MB free, it needs about {wanted} MB, and "
            f"{kept} MB are kept free. Make room, or lower the retention"
        )


def needed(backups: Sequence[Backup], kind: str, data_dir: str) -> int:
    """What a backup of ``kind`` full or diff will add to the repository, by the last ones, in bytes."""
    fulls = [backup.repository_size for backup in backups if backup.kind == "full"]
    others = [backup.repository_size for backup in backups if backup.kind != "full"]
    # PostgreSQL's pages compress to a third or less (zstd); half leaves room for those that do not.
    need = fulls[-1] if fulls else tree_bytes(data_dir) // 2
    return need if kind == "full" else max([*others[-1:], need // 10])


def watch(directory: str, backups: Sequence[Backup]) -> tuple[dict[str, int], list[Problem]]:
    """What is free and taken where backups go, in bytes, and whether the next full backup fits beside the others."""
    usage = shutil.disk_usage(directory)
    fulls = [backup.repository_size for backup in backups if backup.kind == "full"]
    taken = sum(backup.repository_size for backup in backups)
    need = (fulls[-1] if fulls else 0) + reserve(usage.total)
    details = {"free_bytes": usage.free, "size_bytes": usage.total, "backups_bytes": taken, "needed_bytes": need}
    if usage.free >= need:
        return details, []
    reason = (
        f"{usage.free // _MIB} MB are free, and the next full backup needs {-(-need // _MIB)} MB with what is kept "
        "free. Make room, or lower the retention"
    )
    return details, [Problem("space", directory, reason)]


def tree_bytes(path: str) -> int:
    """The size of all files below ``path``."""
    total = 0
    for directory, _names, files in os.walk(path):
        for name in files:
            try:
                total += os.lstat(os.path.join(directory, name)).st_size
            except FileNotFoundError:
                continue
    return total

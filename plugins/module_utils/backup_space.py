# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Room for backups: what is free, and what the next one needs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

from . import backup_ssh
from .backup_offsite import PATH, SSH, Offsite
from .backup_problems import Problem
from .commands import run
from .errors import RingstandError
from .pgbackrest import Backup

# Kept free beside what a backup needs: it shares its disk with the database more often than not.
RESERVE_BYTES = 256 * 1024 * 1024
RESERVE_SHARE = 0.02
_MIB = 2**20
_ANSWER_SECONDS = 30.0


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
    taken = sum(backup.repository_size for backup in backups)
    need, problems = _judge(directory, usage.total, usage.free, backups)
    details = {"free_bytes": usage.free, "size_bytes": usage.total, "backups_bytes": taken, "needed_bytes": need}
    return details, problems


def watch_elsewhere(offsite: Offsite, backups: Sequence[Backup]) -> tuple[dict[str, int], list[Problem]]:
    """The same of a second place that is mounted; ``backups`` are those here: one there takes about as much.

    Nothing of one that does not answer, which others report, and of one that has no limit that could be seen.
    """
    path = {PATH: offsite.base, SSH: backup_ssh.MOUNT_DIR}.get(offsite.type, "")
    if not path or (offsite.type == SSH and not (offsite.mounts and backup_ssh.is_mounted())):
        return {}, []
    # A process of its own, because a mount whose other side is gone may hang.
    done = run(["stat", "--file-system", "--format=%S %b %a", path], timeout_seconds=_ANSWER_SECONDS)
    unit, total, free = map(int, done.stdout.split()) if done.rc == 0 else (0, 0, 0)
    if not total:
        return {}, []
    problems = _judge(offsite.where, total * unit, free * unit, backups)[1]
    return {"offsite_free_bytes": free * unit, "offsite_size_bytes": total * unit}, problems


def _judge(place: str, total: int, free: int, backups: Sequence[Backup]) -> tuple[int, list[Problem]]:
    fulls = [backup.repository_size for backup in backups if backup.kind == "full"]
    need = (fulls[-1] if fulls else 0) + reserve(total)
    if free >= need:
        return need, []
    reason = (
        f"{free // _MIB} MB are free, and the next full backup needs {-(-need // _MIB)} MB with what is kept "
        "free. Make room, or lower the retention"
    )
    return need, [Problem("space", place, reason)]


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

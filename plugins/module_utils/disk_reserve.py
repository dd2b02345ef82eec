# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Room that a deploy leaves to the data: PostgreSQL stops, and Redis takes no more writes, when their disk is full.

What fails for want of space in a deploy changes nothing; what it had filled until then would hit all apps of the host.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence

from .app_unit import activation_pattern
from .errors import RingstandError
from .layout import AppSettings
from .systemd import systemctl

_RESERVE = {"MB": 150, "inodes": 2000}
# What runs beside the deploy and has to go on writing: databases, queues, the ledger.
_PATHS = ("/var/lib/postgresql", "/var/lib/redis", "/var/lib/ringstand")
# An archive is unpacked, and packages are installed, at some 100 MB a second.
_LOOK_SECONDS = 0.1


def shortage(paths: Sequence[str] = _PATHS) -> str:
    """Where less than the reserve is left, for people; empty when there is enough everywhere."""
    for path in filter(os.path.isdir, paths):
        found = os.statvfs(path)
        free = {"MB": found.f_bavail * found.f_frsize // 2**20}
        if found.f_files:  # some file systems do not count them
            free["inodes"] = found.f_favail
        for unit, left in free.items():
            if left < _RESERVE[unit]:
                kept_free = f"the last {_RESERVE[unit]} {unit} are for what is there"
                return f"the file system of {path} has {left} {unit} free, and {kept_free}"
    return ""


@contextlib.contextmanager
def kept(settings: AppSettings, paths: Sequence[str] = _PATHS) -> Iterator[None]:
    """End the commands of the block when they come to the reserve.

    Raises :class:`RingstandError` that names it, also when the block has come to its end meanwhile.
    """
    reasons: list[str] = []
    over = threading.Event()
    watcher = threading.Thread(target=_watch, args=(settings, paths, reasons, over), daemon=True)
    watcher.start()
    try:
        yield
    except RingstandError as error:
        if not reasons:
            raise
        raise RingstandError(_message(settings, reasons[0]), **error.details) from error
    finally:
        over.set()
        watcher.join()
    if reasons:
        raise RingstandError(_message(settings, reasons[0]))


def _message(settings: AppSettings, reason: str) -> str:
    return (
        f"Failed to build a release of {settings.name}: {reason}. It was stopped and removed; nothing was switched. "
        f"Free some space, lower keep_releases (now {settings.keep_releases}), or empty {settings.layout.cache_dir}."
    )


def _watch(settings: AppSettings, paths: Sequence[str], reasons: list[str], over: threading.Event) -> None:
    while not over.wait(_LOOK_SECONDS):
        reason = shortage(paths)
        if reason:
            reasons.append(reason)
            systemctl("kill", "--signal=KILL", activation_pattern(settings.name), check=False)

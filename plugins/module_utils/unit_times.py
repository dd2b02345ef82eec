# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether files changed after a unit loaded them, with clocks that may have been set in between.

A file carries the wall clock's time of its last change (ctime: every write, rename, chmod and chown sets it, and
nothing can set it back). systemd notes each event by the wall clock and by the monotonic clock, which is never set.
While both agree about how long ago an event was, the wall clock was not set since, and times can be compared directly.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# systemctl shows wall clock times in whole seconds; what is more than this apart is a clock that was set (or a
# suspended machine, on which the monotonic clock stood still).
TOLERANCE_SECONDS = 2.0
_LINKS_MAX = 40


@dataclass(frozen=True)
class Moment:
    """When something happened: seconds of the monotonic clock, and of the wall clock as it was then (rounded down)."""

    monotonic: float
    realtime: float | None = None


@dataclass(frozen=True)
class Clocks:
    """Both clocks, read at the same time."""

    monotonic: float
    realtime: float

    @classmethod
    def now(cls) -> Clocks:
        """Read them."""
        return cls(time.monotonic(), time.time())


def is_later(changed: float, moment: Moment, clocks: Clocks) -> bool:
    """Whether a file's change time is after the moment."""
    mapped = clocks.realtime - (clocks.monotonic - moment.monotonic)
    # A change "in the future" was stamped before the clock was set back, so before the moment if the clock was not
    # set since then.
    later = mapped < changed <= clocks.realtime + TOLERANCE_SECONDS
    if moment.realtime is None or abs(mapped - moment.realtime) <= TOLERANCE_SECONDS:
        return later
    # The clock was set after the moment: the file may carry the time of either clock.
    return later or changed >= moment.realtime + 1


def first_changed(paths: Iterable[str], moment: Moment, clocks: Clocks) -> str | None:
    """The first of the paths, or of what is below them, that changed after the moment. Missing ones do not count."""
    for path in paths:
        for found, changed in _changes(path):
            if is_later(changed, moment, clocks):
                return found
    return None


def _changes(path: str) -> Iterator[tuple[str, float]]:
    yield from _chain(path)
    for directory, directories, names in os.walk(path):
        # A removed file shows in its directory's time; os.walk does not follow links to directories.
        for name in (*directories, *names):
            yield from _chain(os.path.join(directory, name))


def _chain(path: str) -> Iterator[tuple[str, float]]:
    """The path and, for a link, every link on to its target."""
    current = path
    for _step in range(_LINKS_MAX):
        try:
            found = os.lstat(current)
            yield path, found.st_ctime
            current = os.path.join(os.path.dirname(current), os.readlink(current))
        except OSError:  # not there, or not a link
            return


def worker_starts(pid: int) -> list[Moment]:
    """When the direct children of a process started, without those that say that they are shutting down."""
    offset = time.monotonic() - time.clock_gettime(time.CLOCK_BOOTTIME)
    tick = 1.0 / os.sysconf("SC_CLK_TCK")
    starts = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as handle:
                fields = handle.read().rpartition(")")[2].split()
            if int(fields[1]) != pid:
                continue
            with open(f"/proc/{name}/cmdline", "rb") as handle:
                if b"shutting down" in handle.read():
                    continue
        except OSError:  # ended meanwhile
            continue
        # Field 22 of proc(5) stat, in ticks since boot, rounded down.
        starts.append(Moment((int(fields[19]) + 1) * tick + offset))
    return starts

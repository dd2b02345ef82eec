# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""When which part of a backup has to run, by the clock of the host."""

from __future__ import annotations

import time
from collections.abc import Mapping

DAY_SECONDS = 86_400
# A full backup after this many nights; the others only take what changed since it.
FULL_EVERY_DAYS = 7
# A clock that is set back by less than this is ordinary.
FUTURE_SECONDS = 3600


def last_slot(now: float, hour: int) -> float:
    """The last time at which the host's clock showed ``hour`` o'clock, in seconds since the epoch."""
    local = time.localtime(now)
    slot = time.mktime((local.tm_year, local.tm_mon, local.tm_mday, hour, 0, 0, 0, 0, -1))
    if slot <= now:
        return slot
    return time.mktime((local.tm_year, local.tm_mon, local.tm_mday - 1, hour, 0, 0, 0, 0, -1))


def _done(when: float | None, since: float, now: float) -> bool:
    # What claims to be from the future was made under a wrong clock: how old it is, nobody knows.
    return when is not None and since <= when <= now + FUTURE_SECONDS


def due_parts(now: float, hour: int, last: Mapping[str, float | None]) -> list[str]:
    """Those of postgresql, dumps, files, verify and offsite that have not been done since the last ``hour`` o'clock.

    ``last`` maps each to when it was last done, or None. A part that has never been done is due at once.
    """
    slot = last_slot(now, hour)
    nightly = ("postgresql", "dumps", "files", "verify", "offsite")
    return [part for part in nightly if not _done(last.get(part), slot, now)]


def drill_due(now: float, hour: int, every_days: int, since: float | None, last: float | None, failed: bool) -> bool:
    """Whether a restore has to be drilled, ``every_days`` nights after the last one (0: never).

    The first one comes the night after ``since``, when the first backup was made: that one is busy enough. One that
    ``failed`` is tried again the next night.
    """
    slot = last_slot(now, hour)
    if not every_days or since is None:
        return False
    if last is None or failed:
        return not _done(since if last is None else last, slot, now)
    return not _done(last, slot - (every_days - 1) * DAY_SECONDS, now)


def backup_kind(now: float, hour: int, last_full: float | None) -> str:
    """``full`` once a week and when there is none, else ``diff``."""
    since = last_slot(now, hour) - (FULL_EVERY_DAYS - 1) * DAY_SECONDS
    return "diff" if _done(last_full, since, now) else "full"

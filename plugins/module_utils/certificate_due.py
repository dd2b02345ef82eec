# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""When a certificate has to be renewed, and when to ask again after a failure: for lifetimes from hours to years."""

from __future__ import annotations

import calendar
import re
import time
import zlib
from dataclasses import dataclass

HOUR_SECONDS, DAY_SECONDS = 3600.0, 86_400.0
RENEW_SHARE = 2 / 3
# The authority may ask for a later time, but not for one so late that no attempt may fail before the alarm.
LATEST_SHARE = 0.7
ALARM_SHARE = 0.25
# Let's Encrypt refills "5 certificates of the same names in 7 days" one by one, each 34 hours.
_RATE_LIMIT_SECONDS, _RATE_LIMIT_MAX_SECONDS = 6 * HOUR_SECONDS, 34 * HOUR_SECONDS
# Nobody is made to wait for longer by a clock that is wrong or by a word that was misread.
_TOLD_MAX_SECONDS = 8 * DAY_SECONDS
_TOLD_TIME = re.compile(r"retry after (\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)", re.IGNORECASE)
_TOLD_SECONDS = re.compile(r"^\s*Retry-After: *(\d{1,7})\s*$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class Window:
    """When the authority suggests to renew (RFC 9773, 4.2), in seconds since the epoch."""

    start: float
    end: float


def renewal_time(starts: float, expires: float, serial: str, window: Window | None = None) -> float:
    """When to renew: after two thirds of the lifetime, or at the authority's suggestion, an earlier one in any case.

    Within the window the time follows from the serial number: spread over all certificates, the same at each look.
    """
    lifetime = expires - starts
    if window is None:
        return starts + lifetime * RENEW_SHARE
    share = zlib.crc32(serial.encode()) / 2**32
    return min(window.start + (window.end - window.start) * share, starts + lifetime * LATEST_SHARE)


def is_alarming(starts: float, expires: float, now: float) -> bool:
    """Whether less than a quarter of the lifetime is left: several attempts must have failed by then."""
    return expires - now < (expires - starts) * ALARM_SHARE


def told_time(output: str, now: float) -> float | None:
    """When the authority says that it may be asked again, by its message or by ``Retry-After`` in a log; else None."""
    times = []
    for day, clock in _TOLD_TIME.findall(output):
        try:
            times.append(float(calendar.timegm(time.strptime(f"{day} {clock}", "%Y-%m-%d %H:%M:%S"))))
        except ValueError:
            continue
    times += [now + int(seconds) for seconds in _TOLD_SECONDS.findall(output)]
    return min(max(times), now + _TOLD_MAX_SECONDS) if times else None


def next_attempt(
    failures: int, now: float, left: float, rate_limited: bool = False, told: float | None = None
) -> float:
    """When to ask again after the ``failures``-th failure in a row, with ``left`` seconds of validity left.

    Each wait is twice as long as the one before, from an hour to a day, and shorter when the end is near. An authority
    that has its limit reached is asked when it said so, else after 6 hours at the earliest.
    """
    doubled = 2 ** min(max(failures, 1) - 1, 10)
    if rate_limited:
        return max(told or now + min(_RATE_LIMIT_SECONDS * doubled, _RATE_LIMIT_MAX_SECONDS), now + HOUR_SECONDS)
    wait = min(HOUR_SECONDS * doubled, DAY_SECONDS)
    if left > 0:
        wait = min(wait, left / 8)
    return max(now + max(wait, HOUR_SECONDS), told or 0.0)

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether the live code and the schema of its database fit each other."""

from __future__ import annotations

from collections.abc import Iterator

from . import schema_of_release, switch
from .doctor_findings import NOTICE, Finding
from .errors import RingstandError
from .layout import AppSettings


def check(settings: AppSettings) -> Iterator[Finding]:
    """As before a rollback: does the live release know the revision, and have all of its own been applied?"""
    release = switch.live_release(settings.layout)
    if not release or settings.migrations == "none":
        return
    try:
        notice = schema_of_release.check_fits(settings, release, alone=True)
    except RingstandError as error:
        reason = error.message.partition(": ")[2].partition(" Nothing was switched")[0]
        do = f"Deploy code that fits, or migrate: ringstand run {settings.name} flask db upgrade"
        yield Finding(settings.name, f"live code and database differ: {reason}", do)
        return
    if notice:
        yield Finding(settings.name, notice, f"ringstand run {settings.name} flask db current", NOTICE)

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Backups that failed, are damaged or have not been made."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from . import backup_notice, backup_shipping, backup_status
from .backup_offsite import ONLY_HERE
from .backup_settings import SETTINGS_PATH, holder, load
from .doctor_findings import HOST, NOTICE, Finding


def check() -> Iterator[Finding]:
    """What the status of the last runs says."""
    if not os.path.exists(SETTINGS_PATH):
        return
    status = backup_status.load()
    if not status:
        running = holder()
        what = f"there is no backup yet ({running})" if running else "there is no backup yet"
        yield Finding(HOST, what, "ringstand backup", NOTICE if running else "problem")
        return
    settings = load()
    for text in backup_status.faults(status, time.time(), settings.drill_days):
        yield Finding(HOST, f"backup: {text}", "ringstand backups tells more; ringstand backup makes one now")
    if settings.offsite is None:
        yield Finding(HOST, ONLY_HERE, "README, Backups, Elsewhere, shows how", NOTICE)
    elif settings.cluster:
        for problem in backup_shipping.problems(backup_shipping.load(), time.time()):
            yield Finding(HOST, f"backup: {problem}", f"journalctl -u {backup_shipping.UNIT}")
    for text in backup_notice.undelivered():
        yield Finding(HOST, text, "ringstand backup --test-notification tries it")

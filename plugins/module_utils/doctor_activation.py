# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The activation under way, and what came of the last one."""

from __future__ import annotations

import time
from collections.abc import Iterator

from .activation_unit import holder
from .doctor_findings import Finding
from .layout import AppSettings
from .ledger import from_utc, read_lines
from .systemd import redact

# Longer than any deploy but for its migrations and hooks, which have limits of their own.
_LONG_SECONDS = 900


def check(settings: AppSettings) -> Iterator[Finding]:
    """Whether the last activation failed or was killed, or the present one takes suspiciously long."""
    layout, app = settings.layout, settings.name
    steps = read_lines(layout.progress)
    begun = next((line for line in steps if line.get("event") == "start"), None)
    running = holder(layout)
    if running:
        age = time.time() - from_utc(begun["at"]) if begun else 0.0
        step = str(steps[-1].get("phase")) if steps else ""
        own_limit = {"migrate": settings.migration_timeout_seconds, "hook": settings.hook_timeout_seconds}
        if age > _LONG_SECONDS + own_limit.get(step.partition(" ")[0], 0):
            unit = layout.activation_unit
            do = f"journalctl -u {unit}; to end it: systemctl stop {unit}, and then deploy again"
            yield Finding(app, f"an activation has been under way for {age / 60:.0f} minutes: {running}", do)
        return
    if begun and not any(line.get("event") == "result" for line in steps):
        what = f"the {begun.get('kind')} of {begun.get('at')} by {begun.get('by')} was ended from outside"
        yield Finding(app, what, "Run it again: it goes on from whatever is there.")
        return
    entries = read_lines(layout.ledger)
    if entries and entries[-1].get("result") != "ok":
        last = entries[-1]
        reason = redact(str(last.get("reason") or "no reason is recorded"))
        which = last.get("version") or last.get("release")
        what = f"the last {last.get('kind')}{f' ({which})' if which else ''} failed: {reason}"
        yield Finding(app, what, f"ringstand logs --process activation {app}")

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Carry out an activation and tell what came of it: the ledger, the webhook, the hook for failures."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from . import early_build, hooks, switch, webhook
from .errors import RingstandError, reason_of
from .layout import AppSettings, Layout
from .ledger import SCHEMA, Progress, append_line, ended_from_outside, from_utc, last_live, unfinished, utc

# What people want to hear of even when it goes well.
_TOLD = ("deploy", "rollback")


def run_recorded(settings: AppSettings, progress: Progress, what: Callable[[], None]) -> dict[str, Any]:
    """Run an activation and write what came of it to the ledger; never raises for a failure, returns it."""
    before = switch.live_release(settings.layout)
    entry: dict[str, Any] = {"schema": SCHEMA, "kind": progress.kind, "by": progress.by, "previous": before}
    told = webhook.Webhook(settings.layout)
    if progress.kind in _TOLD:
        told.send(webhook.START, progress.kind, progress.by, {**progress.about, "previous": before})
    try:
        what()
        entry.update(result="ok")
    except Exception as error:  # the ledger must say what happened, whatever it was
        entry.update(_outcome(settings, progress, error))
    finally:
        entry.update(progress.about, seconds=round(time.time() - progress.started, 3))
        if "result" in entry:
            _tell(settings, progress, told, entry)
        entry.update(
            started=utc(progress.started),
            phases=progress.phases,
            notices=progress.notices,
            live=switch.live_release(settings.layout),
        )
        append_line(settings.layout.ledger, entry)
        progress.result(entry)
    return entry


def _outcome(settings: AppSettings, progress: Progress, error: Exception) -> dict[str, Any]:
    """What an error has made of an activation: nothing, when its release was proven already and keeps the traffic."""
    details: dict[str, Any] = {}
    if isinstance(error, RingstandError):
        reason, details = error.message, error.details
    elif isinstance(error, OSError):
        reason = f"Failed to {progress.kind} {settings.name}: {reason_of(error)}"
    else:
        reason = f"{type(error).__name__}: {error}"
    if not progress.is_proven:
        return {"result": "failed", "reason": reason, "details": details}
    progress.notice(f"The release is live and proven, but not all was done that comes after it: {reason}")
    return {"result": "ok"}


def record_ended(layout: Layout, put_right: str) -> dict[str, Any] | None:
    """Write to the ledger what an activation that was ended from outside could not; returns the entry, if there is one.

    ``put_right`` says what was done since. Only for a caller that knows that none is under way.
    """
    ended = unfinished(layout)
    if ended is None or ended["kind"] == early_build.KIND:
        return None
    reason = ended_from_outside(ended["kind"], layout.app, ended["step"])
    outcome: dict[str, Any] = {"result": "failed", "reason": f"{reason} {put_right}".strip(), "details": {}}
    notices = []
    if ended["proven"]:
        outcome = {"result": "ok"}
        notices = [f"It was ended from outside during {ended['step']!r}, when the release was proven already."]
    entry = {
        "schema": SCHEMA,
        **outcome,
        "notices": notices,
        **{key: ended[key] for key in ("kind", "by", "release", "version", "sha")},
        "previous": last_live(layout),
        "started": ended["at"],
        "seconds": from_utc(ended["ended"]) - from_utc(ended["at"]),
        "phases": {},
        "live": switch.live_release(layout),
    }
    append_line(layout.ledger, entry)
    append_line(layout.progress, {"at": utc(time.time()), "event": "result", **entry})
    return entry


def tell_ended(settings: AppSettings, entry: dict[str, Any], say: Callable[[str], None]) -> None:
    """Tell webhook and hook of an activation that was ended from outside; ``say`` gets what could not be told."""
    progress = Progress(settings.layout, entry["kind"], entry["by"], say, begins=False)
    progress.about.update({key: entry.get(key) for key in ("release", "version", "sha")})
    _tell(settings, progress, webhook.Webhook(settings.layout), entry)


def _tell(settings: AppSettings, progress: Progress, told: webhook.Webhook, entry: dict[str, Any]) -> None:
    """Whatever fails here is a notice."""
    if entry["result"] == "failed":
        told.send(webhook.FAILURE, progress.kind, progress.by, entry)
        try:
            hooks.run(settings, hooks.ON_FAILURE, switch.live_release(settings.layout), progress, entry["reason"])
        except Exception as error:
            progress.notice(f"The hook on_failure could not be run: {error}")
    elif progress.kind in _TOLD:
        event = webhook.ROLLBACK if progress.kind == "rollback" else webhook.SUCCESS
        told.send(event, progress.kind, progress.by, entry)
    for problem in told.problems():
        progress.notice(problem)

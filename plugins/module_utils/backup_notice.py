# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tell people that backups are not as they should be, and that they are again: once per change, not every hour.

Each channel (a webhook, mail) remembers what it was last told, so that one that was down is told later.
"""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import mail, webhook
from .backup_settings import STATE_DIR
from .commands import redact
from .errors import RingstandError
from .ledger import utc
from .releases import write_durably

WEBHOOK_PATH = "/etc/ringstand/backup/webhook.url"
SMTP_PATH = "/etc/ringstand/backup/smtp.json"
STATE_PATH = os.path.join(STATE_DIR, "notified.json")
FAILURE, RECOVERY, TEST = "failure", "recovery", "test"
_VERBS = {FAILURE: "are not as they should be", RECOVERY: "are as they should be again", TEST: "send a test message"}
SHOWN_FAULTS = 20
Channel = Callable[[dict[str, Any]], str]


def keys(faults: Sequence[str]) -> list[str]:
    """What tells one fault from another: its words without numbers, which change from hour to hour."""
    return sorted({re.sub(r"[\d.:]+", "#", fault) for fault in faults})


def event_of(told: Sequence[str] | None, now: Sequence[str]) -> str:
    """What has to be told to somebody who knows of the faults ``told``: empty for nothing."""
    if set(now) - set(told or ()):
        return FAILURE
    return RECOVERY if told and not now else ""


def message(event: str, faults: Sequence[str], now: float, host: str = "") -> dict[str, Any]:
    """What a webhook gets; ``text`` is for people, and what a mail says."""
    host = host or socket.gethostname()
    shown = [redact(fault) for fault in faults]
    text = f"Backups of {host} {_VERBS[event]}"
    if event == FAILURE:
        more = len(shown) - SHOWN_FAULTS
        listed = [*shown[:SHOWN_FAULTS], *([f"and {more} more"] if more > 0 else [])]
        text += ":\n" + "\n".join(f"- {fault}" for fault in listed)
        text += "\nOn the host: ringstand backups tells more; ringstand doctor what to do."
    return {"text": text, "event": f"backup-{event}", "host": host, "at": utc(now), "problems": shown}


def channels() -> dict[str, Channel]:
    """Whom to tell, as functions that take a message and return why it was not taken, or nothing."""
    found: dict[str, Channel] = {}
    try:
        with open(WEBHOOK_PATH, encoding="utf-8") as stream:
            url = stream.read().strip()
        if url:
            found["webhook"] = lambda body: webhook.post(url, body)
    except FileNotFoundError:
        pass
    server = mail.load(SMTP_PATH)
    if server:
        found["mail"] = lambda body: mail.send(server, body["text"].splitlines()[0].rstrip(":"), body["text"] + "\n")
    return found


def tell(
    faults: Sequence[str], now: float, to: Mapping[str, Channel] | None = None, path: str = STATE_PATH
) -> list[str]:
    """Tell each channel what has changed for it; returns what could not be told, which the next run tries again."""
    known = _load(path)["told"]
    try:
        to = channels() if to is None else to
    except RingstandError as error:
        return [error.message]
    current, problems, told = keys(faults), [], {}
    for name, send in to.items():
        event = event_of(known.get(name), current)
        reason = send(message(event, faults, now)) if event else ""
        if reason:
            problems.append(f"The {name} was not told of the {event}: {reason}")
        told[name] = known.get(name, []) if reason else current
    if (told, problems) != (known, _load(path)["untold"]):
        write_durably(path, json.dumps({"told": told, "untold": problems}) + "\n", 0o600)
    return problems


def undelivered(path: str = STATE_PATH) -> list[str]:
    """What the last run could not tell, and to whom."""
    return [str(text) for text in _load(path)["untold"]]


def test(now: float) -> tuple[list[str], list[str]]:
    """Send a test message; returns the channels that took it, and the reasons of those that did not."""
    taken, problems = [], []
    for name, send in channels().items():
        reason = send(message(TEST, [], now))
        if reason:
            problems.append(f"The {name} did not take it: {reason}")
        else:
            taken.append(name)
    return taken, problems


def _load(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as stream:
            data = json.load(stream)
        return {"told": {str(name): list(told) for name, told in data["told"].items()}, "untold": list(data["untold"])}
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return {"told": {}, "untold": []}  # better told twice than never

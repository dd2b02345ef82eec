# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What this host remembers of its attempts to get certificates, over runs and reboots."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from . import certificate_due, locks
from .certificate_due import Window
from .errors import RingstandError
from .releases import write_durably

PATH = "/var/lib/ringstand/certificates.json"
LOCK_PATH = "/run/ringstand-certificates.lock"
# As long as some orders take, one after the other.
LOCK_SECONDS = 900.0
_LOCK_POLL_SECONDS = 0.5
SCHEMA = 1
# At which step an attempt failed.
PREFLIGHT, REHEARSAL, ORDER = "preflight", "rehearsal", "order"


@dataclass
class Attempts:
    """Of one certificate. Times are seconds since the epoch, 0 where there is none.

    ``failures`` counts those in a row for ``subject``; ``step``, ``kind`` and ``reason`` tell of the last one, and
    before ``next`` the authority is not asked. ``rehearsed`` names what its staging directory has issued. ``window_*``
    is what the authority suggests for the certificate ``window_serial``, to be asked for again at ``window_next``.
    """

    failures: int = 0
    subject: str = ""
    step: str = ""
    kind: str = ""
    reason: str = ""
    tried: float = 0
    next: float = 0
    issued: float = 0
    alarmed: float = 0
    rehearsed: str = ""
    window_serial: str = ""
    window_start: float = 0
    window_end: float = 0
    window_next: float = 0

    def about(self, subject: str) -> Attempts:
        """Forget the failures for another subject; what an earlier version remembers may be any."""
        if self.subject not in ("", subject):
            self._forget()
        self.subject = subject
        return self

    def failed(self, error: Exception, left: float, now: float) -> None:
        """Remember a failure; ``left`` is how long the certificate that is there still lasts, in seconds."""
        details = error.details if isinstance(error, RingstandError) else {}
        self.failures += 1
        self.step, self.kind = str(details.get("step") or ORDER), str(details.get("kind") or "")
        self.reason = error.message if isinstance(error, RingstandError) else str(error)
        self.tried = now
        limited = bool(details.get("rate_limited"))
        self.next = certificate_due.next_attempt(self.failures, now, left, limited, details.get("retry_at"))

    def succeeded(self, now: float) -> None:
        """Remember that the authority issued it."""
        self._forget()
        self.tried = self.issued = now

    def _forget(self) -> None:
        self.failures, self.step, self.kind, self.reason, self.next, self.alarmed = 0, "", "", "", 0, 0

    def window(self, serial: str) -> Window | None:
        """What the authority suggests for the certificate with this serial number."""
        if self.window_serial != serial or self.window_start >= self.window_end:
            return None
        return Window(self.window_start, self.window_end)

    def waits(self, now: float) -> bool:
        """Whether it is too early to ask again. A time from before the clock was set back does not count."""
        return self.tried <= now < self.next

    def as_dict(self) -> dict[str, Any]:
        """For people and programs: the last failure, with times as ISO 8601 in UTC; empty when there is none."""
        if not self.failures:
            return {}
        return {
            "failures": self.failures,
            "step": self.step,
            "kind": self.kind,
            "reason": self.reason,
            "tried": utc(self.tried),
            "next": utc(self.next),
        }


@dataclass
class Memory:
    """The attempts by the certificates' names, and those whose renewal was ended."""

    certificates: dict[str, Attempts] = field(default_factory=dict)
    ended: list[str] = field(default_factory=list)

    def of(self, name: str) -> Attempts:
        """The attempts of one certificate, made when there are none."""
        return self.certificates.setdefault(name, Attempts())

    def end(self, names: Sequence[str], wanted: Sequence[str]) -> bool:
        """Renew ``names`` no more, from now on; what is ``wanted`` again is. Returns whether that is new."""
        ended = sorted((set(self.ended) | set(names)) - set(wanted))
        changed, self.ended = ended != self.ended, ended
        return changed


def utc(seconds: float) -> str:
    """ISO 8601 in UTC, without fractions."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


@contextlib.contextmanager
def held(wait_seconds: float = LOCK_SECONDS) -> Iterator[Memory]:
    """What is remembered, for one process at a time, which may change it; it is saved at the end.

    Raises RingstandError when another process has had it for longer than ``wait_seconds``.
    """
    with open(LOCK_PATH, "w", encoding="ascii") as lock:
        if not locks.acquire(lock.fileno(), wait_seconds, _LOCK_POLL_SECONDS):
            said = f"another run has been getting certificates for more than {wait_seconds:g} s"
            raise RingstandError(f"Failed to get certificates: {said}; see `ps` for it")
        memory = load()
        try:
            yield memory
        finally:
            save(memory)


def load(path: str | None = None) -> Memory:
    """What is remembered. What cannot be read counts as nothing: the worst of that is one attempt too many."""
    try:
        with open(path or PATH, encoding="utf-8") as stream:
            data = json.load(stream)
        if data["schema"] != SCHEMA:
            return Memory()
        known = {one.name for one in fields(Attempts)}
        certificates = {
            str(name): Attempts(**{key: value for key, value in entry.items() if key in known})
            for name, entry in data["certificates"].items()
        }
        return Memory(certificates, [str(name) for name in data["ended"]])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Memory()


def save(memory: Memory, path: str | None = None) -> None:
    """Write it durably. Raises RingstandError when that is not possible."""
    path = path or PATH
    data = {
        "schema": SCHEMA,
        "certificates": {name: asdict(attempts) for name, attempts in memory.certificates.items()},
        "ended": memory.ended,
    }
    try:
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        write_durably(path, json.dumps(data, indent=1) + "\n")
    except OSError as error:
        raise RingstandError(f"Failed to write {path}: {error.strerror}") from error

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""WAL goes from this host's repository to the second one, within seconds of its arrival and in a process of its own.

The server never waits for the network: what cannot be shipped stays in the first repository, which keeps it as long as
its own backups, and is shipped once the second one answers again. Each segment is decrypted and encrypted anew by
pgBackRest itself, which gives each repository keys of its own.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from . import backup_owner, pgbackrest
from .backup_offsite import CONFIG_PATH, SPOOL_DIR
from .backup_problems import Problem
from .backup_settings import SETTINGS_PATH, STATE_DIR, BackupSettings
from .errors import RingstandError
from .host_program import PROGRAM
from .ledger import utc
from .releases import write_durably
from .systemd import systemctl

UNIT = "ringstand-offsite.service"
STATE_PATH = f"{STATE_DIR}/shipping.json"
POLL_SECONDS = 2.0
# While it fails: often enough to catch up soon, and not a flood in the journal.
RETRY_SECONDS = 30.0
SAVE_SECONDS = 60.0
# What is there is listed anew so often, should somebody have removed some of it.
LIST_SECONDS = 6 * 3600.0
# Each is a process that waits for the network for most of its time.
AT_ONCE = 4
# A second repository that is away for less is not worth an alarm.
LATE_SECONDS = 600
SILENT_SECONDS = 300
_SEGMENT = re.compile(r"([0-9A-F]{24})-[0-9a-f]{40}(?:\.\w+)?")
_HISTORY = re.compile(r"[0-9A-F]{8}\.history")
_LOG = re.compile(r"[0-9A-F]{16}")


def position(name: str) -> str:
    """Where a segment lies in the WAL, whatever its timeline; a history file lies before all of it."""
    return name[8:24] if len(name) == 24 else ""


def to_ship(local: Iterable[str], there: Iterable[str]) -> list[str]:
    """Those of ``local`` that the second repository lacks, in the order of the WAL; history files first.

    What is older than all that it has is of no use to its backups. When it has nothing, the newest is the first.
    """
    names, known = set(local), set(there)
    segments = [name for name in known or names if position(name)]
    first = min(map(position, segments), default="") if known else max(map(position, segments), default="")
    wanted = [name for name in names - known if not position(name) or position(name) >= first]
    return sorted(wanted, key=lambda name: (position(name), name))


class Local:
    """The WAL in this host's repository; only directories that have changed are read again.

    ``archive`` is the newest, such as 17-1: each upgrade of PostgreSQL begins another one, with the same names.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self.archive = ""
        self._read: dict[str, tuple[int, dict[str, float]]] = {}

    def names(self) -> dict[str, float]:
        """Names of segments and history files of the newest archive, with the time of each in seconds."""
        found: dict[str, float] = {}
        try:
            archives = [name for name in os.listdir(self._directory) if re.fullmatch(r"\d+-\d+", name)]
        except FileNotFoundError:
            return found
        if not archives:
            return found
        self.archive = max(archives, key=lambda name: int(name.split("-")[1]))
        newest = os.path.join(self._directory, self.archive)
        for path in [newest, *(entry.path for entry in os.scandir(newest) if _LOG.fullmatch(entry.name))]:
            found.update(self._names(path))
        return found

    def _names(self, path: str) -> dict[str, float]:
        changed = os.stat(path).st_mtime_ns
        known = self._read.get(path)
        if known is None or known[0] != changed:
            names = {}
            for entry in os.scandir(path):
                match = _SEGMENT.fullmatch(entry.name)
                if match or _HISTORY.fullmatch(entry.name):
                    names[match[1] if match else entry.name] = entry.stat().st_mtime
            self._read[path] = known = (changed, names)
        return known[1]


class Shipper:
    """Ships what is new; ``settings`` have a second repository and a cluster."""

    def __init__(self, settings: BackupSettings) -> None:
        self._settings, self._here, self._there = settings, settings.stanza, settings.at_offsite().stanza
        self._local = Local(os.path.join(self._here.repository, "archive", settings.cluster))
        self._known: set[str] | None = None
        self._listed, self._archive = 0.0, ""

    def round(self) -> dict[str, Any]:
        """Ship what is new once; returns what is left and why, for the state file."""
        names = self._local.names()
        if self._local.archive != self._archive:
            self._known, self._archive = None, self._local.archive
        try:
            if self._known is None or time.monotonic() - self._listed > LIST_SECONDS:
                self._known, self._listed = self._listing(), time.monotonic()
            self._ship(to_ship(names, self._known), self._known)
            reason = ""
        except (RingstandError, OSError) as error:
            reason = str(error)
        known = self._known or set()
        left = to_ship(names, known) if self._known is not None else []
        shipped = [name for name in known if position(name)]
        return {
            "reason": reason,
            "waiting": len(left),
            "oldest_waiting": min((names[name] for name in left), default=None),
            "newest": max(shipped, key=lambda name: (position(name), name), default=None),
        }

    def _listing(self) -> set[str]:
        information = pgbackrest.information(self._there)
        if not information.exists:
            raise RingstandError(f"Failed to ship WAL to {self._there.repository}: it is not set up yet")
        if pgbackrest.lags(information, pgbackrest.information(self._here)):
            raise RingstandError(
                f"Failed to ship WAL to {self._there.repository}: it knows the cluster from before an upgrade or a way "
                "back from one. The next backup, or site.yml, lets it follow"
            )
        backup_owner.check_own(self._settings)
        found = set()
        for path in pgbackrest.listing(self._there, f"archive/{self._there.name}"):
            archive, name = path.split("/")[0], path.rsplit("/", 1)[-1]
            if archive != (information.archive or archive):
                continue  # that of a cluster before this one
            match = _SEGMENT.fullmatch(name)
            if match or _HISTORY.fullmatch(name):
                found.add(match[1] if match else name)
        return found

    def _ship(self, names: list[str], known: set[str]) -> None:
        """Ship them, several at once; raises :class:`RingstandError` at the first that cannot be."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for first in range(0, len(names), AT_ONCE):
                some = names[first : first + AT_ONCE]
                reasons = list(pool.map(self._ship_one, some))
                known.update(name for name, reason in zip(some, reasons) if not reason)
                for reason in filter(None, reasons):
                    raise RingstandError(reason)

    def _ship_one(self, name: str) -> str:
        path = os.path.join(SPOOL_DIR, name)
        try:
            got = pgbackrest.call(self._here, "archive-get", name, path)
            if got.rc == 1:  # it has expired meanwhile
                return ""
            done = got if got.rc else pgbackrest.call(self._there, "archive-push", path)
            if done.rc == 0:
                return ""
            verb = "read WAL from this host's own repository" if got.rc else f"ship WAL to {self._there.repository}"
            return f"Failed to {verb}: {pgbackrest.reason(done)}"
        finally:
            if os.path.exists(path):
                os.unlink(path)


def serve(settings: BackupSettings, say: Callable[[str], None]) -> int:
    """Ship until the program or its settings change; systemd then starts it anew."""
    for name in os.listdir(SPOOL_DIR):
        os.unlink(os.path.join(SPOOL_DIR, name))
    versions, shipper, where = _versions(), Shipper(settings), settings.at_offsite().stanza.repository
    before = load()
    failing = before.get("failing_since") if before.get("where") == where else None
    saved = 0.0
    while _versions() == versions:
        state, now = shipper.round(), time.time()
        if bool(state["reason"]) != bool(failing):
            say(state["reason"] or f"WAL is shipped to {where} again")
        failing = (failing or now) if state["reason"] else None
        if state != before or now - saved > SAVE_SECONDS:
            record = {**state, "failing_since": failing, "looked": now, "where": where}
            write_durably(STATE_PATH, json.dumps(record) + "\n")
            saved, before = now, state
        time.sleep(RETRY_SECONDS if state["reason"] else POLL_SECONDS)
    return 0


def begin_anew() -> None:
    """Let it look at once at a stanza there that has followed an upgrade: the next backup waits for its WAL."""
    systemctl("try-restart", UNIT, check=False)


def _versions() -> list[int]:
    return [os.stat(path).st_mtime_ns if os.path.exists(path) else 0 for path in (PROGRAM, SETTINGS_PATH, CONFIG_PATH)]


def load(path: str = STATE_PATH) -> dict[str, Any]:
    """What the shipping process said last; nothing when it has not said anything yet."""
    try:
        with open(path, encoding="utf-8") as stream:
            found = json.load(stream)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def problems(state: Mapping[str, Any], now: float) -> list[Problem]:
    """Why the second repository is further behind than it should be."""
    looked, failing = state.get("looked"), state.get("failing_since")
    if looked is None or now - looked > SILENT_SECONDS:
        since = f"since {utc(looked)}" if looked else "yet"
        what = f"no WAL has been shipped {since}: {UNIT} does not run, or hangs. See journalctl -u {UNIT}"
        return [Problem("archive", "", what)]
    waiting = state.get("oldest_waiting")
    begun = min((when for when in (failing, waiting) if when is not None), default=now)
    if now - begun <= LATE_SECONDS:
        return []
    since = utc(begun)
    reason = state.get("reason") or "more is written than the way to it can take"
    what = f"{state.get('waiting')} WAL segments are on this machine only, the oldest since {since}: {reason}"
    return [Problem("archive", "", what)]

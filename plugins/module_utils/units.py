# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""systemd units: what is wanted, what is, and which actions lead from one to the other."""

from __future__ import annotations

import calendar
import glob
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import commands
from .errors import RingstandError
from .unit_times import Clocks, Moment, first_changed, worker_starts

STARTED, STOPPED, RESTARTED, RELOADED = STATES = ("started", "stopped", "restarted", "reloaded")
DROP_INS_DIR = "/etc/systemd/system"
START, STOP, RESTART, RELOAD = "start", "stop", "restart", "reload"
ENABLE, DISABLE, MASK, UNMASK, DAEMON_RELOAD = "enable", "disable", "mask", "unmask", "daemon-reload"
_TYPES = "service|socket|timer|path|target|mount|automount|swap|slice|device|scope"
_NAME = re.compile(rf"[A-Za-z0-9:_.\\@-]+\.(?:{_TYPES})")
_DATE = re.compile(r"(\d+)-(\d+)-(\d+) (\d+):(\d+):(\d+) UTC")
_EVENTS = ("ActiveEnter", "InactiveExit", "ExecMainStart", "StateChange")
_PROPERTIES = (
    *("Id", "LoadState", "LoadError", "ActiveState", "SubState", "UnitFileState", "NeedDaemonReload", "Job"),
    *("FragmentPath", "DropInPaths"),
    *("Type", "RemainAfterExit", "MainPID", "NRestarts", "Result", "ReloadResult", "ConditionResult", "CanReload"),
    *(f"{event}Timestamp" for event in _EVENTS),
    *(f"{event}TimestampMonotonic" for event in _EVENTS),
)


@dataclass(frozen=True)
class Wanted:
    """One unit as the caller wants it; None means: as it is."""

    name: str
    enabled: bool | None = None
    masked: bool | None = None
    state: str | None = None
    reload_if_newer: tuple[str, ...] = ()
    restart_if_newer: tuple[str, ...] = ()
    reload_replaces_workers: bool = False


@dataclass(frozen=True)
class Foreseen:
    """Paths that check mode only predicts to change: the files themselves still carry their old times."""

    paths: tuple[str, ...] = ()

    def first_in(self, places: Sequence[str]) -> str:
        """The first of the paths that is one of ``places``, what one of them leads to, or below it; else empty."""
        for place in places:
            for path in self.paths:
                if any(path == each or path.startswith(f"{each.rstrip('/')}/") for each in (place, _led_to(place))):
                    return path
        return ""


def _led_to(place: str) -> str:
    return os.path.realpath(place)


NOTHING_FORESEEN = Foreseen()


class Unit:
    """One unit as systemd shows it."""

    def __init__(self, properties: Mapping[str, str]) -> None:
        self._properties = properties
        self.load_state = properties.get("LoadState", "")
        self.active_state = properties.get("ActiveState", "")
        self.sub_state = properties.get("SubState", "")
        self.restarts = int(properties.get("NRestarts") or 0)
        self.main_pid = int(properties.get("MainPID") or 0)
        self.has_job = bool(properties.get("Job"))
        self.can_reload = properties.get("CanReload") == "yes"
        self.need_daemon_reload = properties.get("NeedDaemonReload") == "yes" or _has_new_drop_in(properties)

    def __getitem__(self, name: str) -> str:
        return self._properties.get(name, "")

    @property
    def found(self) -> bool:
        """Whether there is a unit file."""
        return self.load_state != "not-found"

    def read_from(self, path: str) -> bool:
        """Whether a path is one of its unit file and drop-in files, or would be a new drop-in file of its."""
        template = re.sub(r"@.*(\.[a-z]+)$", r"@\1", self["Id"])
        drop_ins = {f"{name}.d" for name in (self["Id"], template)}
        files = [self["FragmentPath"], *self["DropInPaths"].split()]
        return path in files or (path.endswith(".conf") and os.path.basename(os.path.dirname(path)) in drop_ins)

    @property
    def masked(self) -> bool:
        """Whether the unit can not be started at all."""
        return self.load_state == "masked" or self["UnitFileState"].startswith("masked")

    @property
    def enabled(self) -> bool:
        """Whether the unit starts at boot. An instance is not enabled by another instance being so."""
        state = self["UnitFileState"]
        indirect = state == "indirect" and "@" not in self["Id"]
        return state in ("enabled", "alias", "generated") or indirect

    @property
    def crashing(self) -> bool:
        """Whether systemd waits to start the service again."""
        return self.sub_state.startswith("auto-restart")

    @property
    def in_transition(self) -> bool:
        """Whether the unit is on its way from one state to another."""
        return not self.crashing and (self.has_job or self.active_state.endswith("ing"))

    @property
    def ends(self) -> bool:
        """Whether it is a oneshot of which nothing stays active."""
        return self["Type"] == "oneshot" and self["RemainAfterExit"] != "yes"

    @property
    def finished(self) -> bool:
        """Whether it is such a oneshot and ran to its end since boot."""
        ran = int(self["ExecMainStartTimestampMonotonic"] or 0) > 0
        done = self.active_state == "inactive" and self["Result"] == "success"
        return self.ends and ran and done

    @property
    def started(self) -> bool:
        """Whether nothing is left to do for state started."""
        return self.active_state in ("active", "reloading", "refreshing") or self.finished

    @property
    def idle(self) -> bool:
        """Whether it is active without a process that could end: a timer, a socket, a oneshot that remains."""
        return self.started and self.sub_state in ("active", "elapsed", "exited", "listening", "waiting")

    def moment(self, event: str) -> Moment | None:
        """When an event, such as ActiveEnter, last happened."""
        monotonic = int(self[f"{event}TimestampMonotonic"] or 0)
        if not monotonic:
            return None
        date = _DATE.search(self[f"{event}Timestamp"])
        return Moment(monotonic / 1e6, float(calendar.timegm(tuple(map(int, date.groups())))) if date else None)

    def start_moment(self) -> Moment | None:
        """When it began to read its configuration: the start of its main process, else of the unit."""
        forked = self["Type"] == "forking" and not self.restarts  # there the main process is noticed late
        main = None if forked else self.moment("ExecMainStart")
        return main or self.moment("InactiveExit") or self.moment("ActiveEnter")

    def reload_moment(self, replaces_workers: bool) -> Moment | None:
        """When it last loaded what a reload loads.

        With ``replaces_workers`` the start of the oldest worker counts, whoever asked for the reload. Otherwise the
        last successful reload by systemd: an active unit changes its state only to reload.
        """
        start = self.start_moment()
        if replaces_workers and self.main_pid:
            workers = worker_starts(self.main_pid)
            return min(workers, key=lambda moment: moment.monotonic) if workers else start
        active, changed = self.moment("ActiveEnter"), self.moment("StateChange")
        reloaded = active and changed and changed.monotonic > active.monotonic and self["ReloadResult"] == "success"
        return changed if reloaded else start


def parse_wanted(raw: Mapping[str, Any]) -> Wanted:
    """Check one unit without looking at the host. Raises RingstandError naming the unit, the option and the remedy."""
    name = str(raw.get("name") or "")
    full = name if name.rpartition(".")[2] in _TYPES.split("|") else f"{name}.service"
    if not _NAME.fullmatch(full) or len(full) > 255:
        raise RingstandError(f"Failed to check unit {name!r}: that is not a unit name, such as 'nginx.service'")
    state = raw.get("state")
    if state is not None and state not in STATES:
        raise RingstandError(f"Failed to check unit {name!r}: state is {state!r}; use one of {', '.join(STATES)}")
    if state and re.search(r"@\.[a-z]+$", full):
        raise RingstandError(f"Failed to check unit {name!r}: a template has no state; name an instance of it")
    if raw.get("masked") and (raw.get("enabled") or state not in (None, STOPPED)):
        raise RingstandError(
            f"Failed to check unit {name!r}: a masked unit can be neither enabled nor {state or 'started'}"
        )
    for option in ("reload_if_newer", "restart_if_newer"):
        for path in raw.get(option) or ():
            if not path.startswith("/"):
                raise RingstandError(f"Failed to check unit {name!r}: {option} has {path!r}; paths must be absolute")
    return Wanted(
        name=full,
        enabled=raw.get("enabled"),
        masked=raw.get("masked"),
        state=state,
        reload_if_newer=tuple(raw.get("reload_if_newer") or ()),
        restart_if_newer=tuple(raw.get("restart_if_newer") or ()),
        reload_replaces_workers=bool(raw.get("reload_replaces_workers")),
    )


def _has_new_drop_in(properties: Mapping[str, str]) -> bool:
    """Whether a drop-in file is not loaded.

    NeedDaemonReload misses the first one, because systemd (252 at least) remembers which directories there were.
    """
    name = properties.get("Id", "")
    if properties.get("LoadState") != "loaded" or not name:
        return False
    folders = {name, re.sub(r"@.+\.", "@.", name)}
    found = {
        os.path.basename(path)
        for folder in folders
        for path in glob.glob(os.path.join(DROP_INS_DIR, f"{glob.escape(folder)}.d", "*.conf"))
        if os.path.realpath(path) != os.devnull
    }
    return not found <= {os.path.basename(path) for path in properties.get("DropInPaths", "").split()}


def show(names: Sequence[str]) -> list[Unit]:
    """Ask systemd about all units in one call."""
    argv = ["systemctl", "show", f"--property={','.join(_PROPERTIES)}", "--", *names]
    result = commands.run(argv, environment={"TZ": "UTC"})
    blocks = result.stdout.strip("\n").split("\n\n")
    if result.rc != 0 or len(blocks) != len(names):
        reason = result.stderr.strip() or f"{len(blocks)} answers about {len(names)} units"
        raise RingstandError(f"Failed to ask systemd about {', '.join(names)}: {reason}", rc=result.rc)
    return [Unit(dict(line.partition("=")[::2] for line in block.splitlines())) for block in blocks]


def file_actions(wanted: Wanted, unit: Unit, foreseen: Foreseen = NOTHING_FORESEEN) -> list[str]:
    """What to do to the unit's files and links: mask, unmask, enable, disable, daemon-reload."""
    actions = []
    if wanted.masked is not None and wanted.masked != unit.masked:
        actions.append(MASK if wanted.masked else UNMASK)
    if unit.need_daemon_reload or (unit.found and any(map(unit.read_from, foreseen.paths))):
        actions.append(DAEMON_RELOAD)
    masked = unit.masked if wanted.masked is None else wanted.masked
    if wanted.enabled and not unit.enabled:
        if masked:
            raise RingstandError(f"Failed to enable {wanted.name}: it is masked; set masked: false as well")
        if unit["UnitFileState"] == "static":
            raise RingstandError(f"Failed to enable {wanted.name}: its file has no [Install] section; remove enabled")
        actions.append(ENABLE)
    if wanted.enabled is False and unit["UnitFileState"] in ("enabled", "enabled-runtime", "alias"):
        actions.append(DISABLE)
    return actions


def state_action(
    wanted: Wanted, unit: Unit, clocks: Clocks, foreseen: Foreseen = NOTHING_FORESEEN
) -> tuple[str, str]:
    """What to do to the running unit (or nothing), and the changed path that is the reason (or nothing)."""
    if wanted.state in (None, STOPPED) and unit.active_state in ("inactive", "failed"):
        return "", ""
    if wanted.state == STOPPED:
        return STOP, ""
    if unit.masked and wanted.masked is None and not unit.started:
        raise RingstandError(f"Failed to start {wanted.name}: it is masked; set masked: false as well")
    if not unit.started:
        return START, ""
    if wanted.state == RESTARTED:
        return RESTART, ""
    start = unit.start_moment()
    newer = first_changed(wanted.restart_if_newer, start, clocks) if start else None
    newer = newer or foreseen.first_in(wanted.restart_if_newer)
    if newer:
        return (START if unit.finished else RESTART), newer
    loaded = unit.reload_moment(wanted.reload_replaces_workers) if wanted.reload_if_newer else None
    newer = first_changed(wanted.reload_if_newer, loaded, clocks) if loaded else None
    newer = newer or foreseen.first_in(wanted.reload_if_newer)
    if newer or wanted.state == RELOADED:
        return RELOAD, newer or ""
    return "", ""

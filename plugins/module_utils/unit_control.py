# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Act on systemd units and make sure that they then really run."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from . import commands, units
from .errors import RingstandError
from .unit_times import Clocks, worker_starts
from .units import Foreseen, Unit, Wanted

_POLL_SECONDS = 0.1
_JOURNAL_LINES = 20
_RESTARTS_MAX = 3
_WORKERS_SECONDS = 10.0


@dataclass
class Outcome:
    """What was done to one unit (in check mode: would be), and the changed path that was the reason."""

    actions: list[str] = field(default_factory=list)
    newer_path: str = ""


class Control:
    """Brings units to what is wanted, in the order given.

    ``timeout_seconds`` is for one start, stop or reload; ``settle_seconds`` is how long the started ones are watched.
    Without ``wait`` starts are only asked for.
    """

    def __init__(
        self, wanted: Sequence[Wanted], timeout_seconds: float, settle_seconds: float, wait: bool = True
    ) -> None:
        self.wanted = wanted
        self.timeout_seconds = timeout_seconds
        self.settle_seconds = settle_seconds
        self.wait = wait
        self.outcomes = {one.name: Outcome() for one in wanted}
        self.missing: list[str] = []  # known after predict
        if len(self.outcomes) != len(wanted):
            raise RingstandError("Failed to check units: a unit is listed twice; merge its entries")

    def predict(self, changed_paths: Sequence[str] = ()) -> dict[str, Outcome]:
        """What ``apply`` would do once ``changed_paths`` changed. A unit that is not there yet is made by then."""
        clocks, foreseen = Clocks.now(), Foreseen(tuple(changed_paths))
        for wanted, unit in zip(self.wanted, self._show()):
            outcome = self.outcomes[wanted.name]
            self.missing += [] if unit.found or not _needs_file(wanted) else [wanted.name]
            outcome.actions += units.file_actions(wanted, unit, foreseen)
            action, outcome.newer_path = units.state_action(wanted, unit, clocks, foreseen)
            outcome.actions += [action] if action else []
        return self.outcomes

    def apply(self) -> dict[str, Outcome]:
        """Do it. Raises RingstandError with the journal's tail when a unit does not reach its state."""
        shown = self._prepare_files()
        acted = False
        to_watch = []
        for position, wanted in enumerate(self.wanted):
            # An action on one unit can move others: a socket stops its service.
            unit = self._settled(wanted, units.show([wanted.name])[0] if acted else shown[position])
            action, newer = units.state_action(wanted, unit, Clocks.now())
            if not action:
                continue
            acted = True
            self._act(wanted, unit, action)
            self.outcomes[wanted.name].actions.append(action)
            self.outcomes[wanted.name].newer_path = newer
            if action in (units.START, units.RESTART) and not unit.ends:
                to_watch.append(wanted)
        if to_watch and self.wait:
            self._watch(to_watch)
        return self.outcomes

    def _show(self) -> list[Unit]:
        return units.show([one.name for one in self.wanted]) if self.wanted else []

    def _prepare_files(self) -> list[Unit]:
        shown = self._show()
        planned = [units.file_actions(wanted, unit) for wanted, unit in zip(self.wanted, shown)]
        for action in (units.UNMASK, units.MASK):
            self._batch(action, planned)
        unknown = any(_needs_file(wanted) and not unit.found for wanted, unit in zip(self.wanted, shown))
        if unknown or any(action not in (units.ENABLE, units.DISABLE) for actions in planned for action in actions):
            self._systemctl(units.DAEMON_RELOAD, [])
            shown = self._show()
        for wanted, unit, actions in zip(self.wanted, shown, planned):
            if _needs_file(wanted):
                _check_loaded(wanted.name, unit)
            # What was found before the reload stays reported; what enabling needs may only be known now.
            again = units.file_actions(wanted, unit)
            actions[:] = [one for one in actions if one in (units.MASK, units.UNMASK, units.DAEMON_RELOAD)]
            actions += [one for one in again if one in (units.ENABLE, units.DISABLE)]
        for action in (units.ENABLE, units.DISABLE):
            self._batch(action, planned)
        for wanted, actions in zip(self.wanted, planned):
            self.outcomes[wanted.name].actions += actions
        return shown

    def _batch(self, action: str, planned: Sequence[list[str]]) -> None:
        names = [wanted.name for wanted, actions in zip(self.wanted, planned) if action in actions]
        if names:
            self._systemctl(action, names)
            if action == units.UNMASK:
                self._systemctl(action, names, "--runtime")  # which is another place

    def _systemctl(self, verb: str, names: Sequence[str], *options: str) -> None:
        result = commands.run(["systemctl", "--no-ask-password", *options, verb, "--", *names], self.timeout_seconds)
        if result.rc != 0:
            what = " ".join([verb, *names])
            raise RingstandError(
                f"Failed to {what}: {commands.redact(result.stderr).strip()}", rc=result.rc, stderr=result.stderr
            )

    def _act(self, wanted: Wanted, unit: Unit, action: str) -> None:
        name = wanted.name
        if action == units.RELOAD:
            self._reload(wanted, unit)
            return
        if unit.active_state == "failed" or unit.crashing:
            self._systemctl("reset-failed", [name])  # else its start limit may refuse the start
        if unit.ends and action != units.STOP:
            # systemd forgets a unit that ended and that nothing refers to, so its state would tell nothing.
            result = commands.run(["systemctl", "--no-ask-password", action, "--", name], self.timeout_seconds)
            if result.rc != 0:
                self._fail(action, name, commands.redact(result.stderr).strip())
            return
        # Without waiting: systemctl would wait as long as a service that cannot start is started again and again.
        result = commands.run(["systemctl", "--no-ask-password", "--no-block", action, "--", name])
        if result.rc != 0:
            self._fail(action, name, commands.redact(result.stderr).strip())
        if action == units.STOP:
            self._wait_stopped(name)
        elif self.wait:
            self._wait_started(name, action)

    def _reload(self, wanted: Wanted, unit: Unit) -> None:
        if not unit.can_reload:
            raise RingstandError(
                f"Failed to reload {wanted.name}: the unit cannot be reloaded; use restart_if_newer or state: restarted"
            )
        begun = time.monotonic()
        result = commands.run(["systemctl", "--no-ask-password", "reload", "--", wanted.name], self.timeout_seconds)
        if result.rc != 0:
            self._fail("reload", wanted.name, commands.redact(result.stderr).strip())
        while wanted.reload_replaces_workers and unit.main_pid:
            workers = worker_starts(unit.main_pid)
            if workers and all(worker.monotonic >= begun for worker in workers):
                return
            if time.monotonic() > begun + _WORKERS_SECONDS:
                self._fail("reload", wanted.name, f"its workers are still the old ones after {_WORKERS_SECONDS:g} s")
            time.sleep(_POLL_SECONDS)

    def _settled(self, wanted: Wanted, unit: Unit) -> Unit:
        deadline = time.monotonic() + self.timeout_seconds
        while unit.in_transition and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
            unit = units.show([wanted.name])[0]
        return unit

    def _wait_stopped(self, name: str) -> None:
        deadline = time.monotonic() + self.timeout_seconds
        while True:
            unit = units.show([name])[0]
            if unit.active_state in ("inactive", "failed") and not unit.has_job:
                return
            if time.monotonic() > deadline:
                self._fail(units.STOP, name, f"it is still {unit.active_state} after {self.timeout_seconds:g} s")
            time.sleep(_POLL_SECONDS)

    def _wait_started(self, name: str, action: str) -> Unit:
        deadline = time.monotonic() + self.timeout_seconds
        pause = _POLL_SECONDS / 4
        while True:
            unit = units.show([name])[0]
            if unit.restarts >= _RESTARTS_MAX:
                self._fail(action, name, f"it was started {unit.restarts + 1} times and ended each time")
            if not unit.has_job and not unit.in_transition and not unit.crashing:
                if unit.started:
                    return unit
                if unit["ConditionResult"] == "no":
                    self._fail(action, name, "a condition in its unit file is not met")
                self._fail(action, name, f"it is {unit.active_state} ({unit['Result']})")
            if time.monotonic() > deadline:
                self._fail(action, name, f"it is still {unit.active_state} after {self.timeout_seconds:g} s")
            time.sleep(pause)
            pause = min(pause * 2, 2 * _POLL_SECONDS)

    def _watch(self, watched: Iterable[Wanted]) -> None:
        """Wait until all have been running for a while: a simple service counts as started before it fails."""
        names = [one.name for one in watched]
        before = {name: _identity(unit) for name, unit in zip(names, units.show(names)) if not unit.idle}
        names = list(before)
        since = time.monotonic()
        while names and time.monotonic() < since + self.settle_seconds:
            time.sleep(min(0.25, self.settle_seconds))
            for name, unit in zip(names, units.show(names)):
                if _identity(unit) != before[name] or not unit.started:
                    before[name] = _identity(self._wait_started(name, units.START))
                    since = time.monotonic()

    def _fail(self, action: str, name: str, reason: str) -> NoReturn:
        argv = ["journalctl", f"--unit={name}", f"--lines={_JOURNAL_LINES}", "--no-pager", "--quiet", "--output=cat"]
        journal = commands.redact(commands.run(argv).stdout).strip().splitlines()
        said = f"; the journal ends with: {' / '.join(journal[-5:])}" if journal else ""
        raise RingstandError(
            f"Failed to {action} {name}: {reason}{said}",
            journal=journal,
            units={key: {"actions": outcome.actions} for key, outcome in self.outcomes.items()},
        )


def _identity(unit: Unit) -> tuple[int, int]:
    return unit.main_pid, unit.restarts


def _needs_file(wanted: Wanted) -> bool:
    return bool(wanted.enabled) or wanted.state not in (None, units.STOPPED)


def _check_loaded(name: str, unit: Unit) -> None:
    if not unit.found:
        raise RingstandError(f"Failed to find {name}: it has no unit file; install its package or write it before")
    if unit.load_state not in ("loaded", "masked", "merged", "stub"):
        raise RingstandError(f"Failed to load {name}: its unit file is {unit.load_state}: {unit['LoadError'].strip()}")

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Move workers and schedulers to another release, and back when it fails.

In this order: the schedulers of the old release stop, so that nothing of it makes appointments any more; its workers
finish what they do and start anew from the new release; the new schedulers start. A unit is the same for every release
but for the paths in it, so that systemd itself sees to it that no instance runs twice.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from . import process_plan, switch, units
from .errors import RingstandError
from .layout import AppSettings, Layout
from .ledger import Progress
from .process_plan import Plan
from .process_state import is_stale, loaded
from .releases import write_durably
from .systemd import journal_tail, systemctl
from .unit_times import Clocks

_WATCH_SECONDS_MAX = 3.0
_POLL_SECONDS = 0.2
# What has been started anew so lately is in a loop of crashes.
_CRASHED_LATELY_SECONDS = 30.0
_SYSTEMD_SECONDS = 30.0


class Move:
    """The one move of an activation. ``back`` undoes it as far as it has come."""

    def __init__(self, settings: AppSettings, progress: Progress) -> None:
        self._settings, self._progress = settings, progress
        self._begun = False

    def to(self, release: str, restart_all: bool = False, is_strict: bool = False) -> None:
        """Let all processes run ``release``, and watch that they stay up.

        One that does not is an error; unless ``is_strict`` only a notice when it did not run before either.
        """
        layout = self._settings.layout
        plan = process_plan.wanted(self._settings, release)
        before = process_plan.units_on_disk(layout)
        if not before and not plan.processes:
            return
        with self._progress.phase("processes"):
            was_failing = set() if is_strict else _failing(layout, before)
            self._begun = True
            began = time.time()
            carry_out(layout, plan, restart_all)
            for name in sorted(set(before) - {item.process for item in plan.processes}):
                self._progress.notice(f"{name} is no process of {layout.app} any more: it was stopped and removed.")
            down = watch(layout, plan, min(_WATCH_SECONDS_MAX, float(self._settings.health["probation_seconds"])))
            for unit, reason in down.items():
                self._judge(plan, unit, reason, was_failing, began)
            process_plan.save(layout, plan)
        self._progress.about["processes"] = {item.process: item.count for item in plan.processes}

    def _judge(self, plan: Plan, unit: str, reason: str, was_failing: set[str], began: float) -> None:
        process = plan.instances(self._settings.layout)[unit].process
        if process not in was_failing:
            raise RingstandError(
                f"Failed to run process {process} of {plan.release}: {reason}. What ran before runs again.",
                journal=journal_tail(unit, began),
            )
        self._progress.notice(f"Process {process} does not run ({reason}), and it did not before either. See {unit}.")

    def back(self) -> None:
        """Let the processes run again what they last ran well, or what belongs to the release that serves now."""
        if not self._begun:
            return
        with self._progress.phase("processes back"):
            trouble = run_last_good(self._settings)
        if trouble:
            self._progress.notice(f"The processes of {self._settings.name} could not be moved back: {trouble}")


def run_last_good(settings: AppSettings) -> str:
    """Let them run again what they last ran well, or what belongs to the live release; returns why they do not."""
    layout = settings.layout
    try:
        plan, live = process_plan.last_good(layout), switch.live_release(layout)
        # They differ when an activation was killed before it had moved the processes.
        if live and plan.release != live:
            plan = process_plan.wanted(settings, live)
        carry_out(layout, plan)
    except (RingstandError, OSError) as error:
        return str(error)
    return ""


def carry_out(layout: Layout, plan: Plan, restart_all: bool = False) -> None:
    """Bring units and processes to the plan; what is as planned already goes on running, unless ``restart_all``."""
    wanted = plan.instances(layout)
    texts = process_plan.units_on_disk(layout)
    there = loaded(layout)
    shown, clocks = dict(zip(wanted, _show(list(wanted)))), Clocks.now()
    changed = [
        name
        for name, planned in wanted.items()
        if restart_all or not shown[name].started or is_stale(layout, planned, shown[name], texts, clocks)
    ]
    schedulers = [name for name in changed if wanted[name].is_scheduler]
    seconds = _stop_seconds(layout, plan)
    _systemctl("stop", [name for name in there if name not in wanted or name in schedulers], seconds)
    must_reload = _write(layout, plan, texts) or any(unit.need_daemon_reload for unit in shown.values())
    masked = [name for name, unit in shown.items() if unit.masked]
    if masked:
        _systemctl("unmask", masked)
        systemctl("unmask", "--runtime", *masked)  # which is another place
    if must_reload or masked:
        systemctl("daemon-reload")
    systemctl("reset-failed", layout.process_unit("*", "*"), check=False)
    _systemctl("restart", [name for name in changed if name not in schedulers], seconds)
    _systemctl("start", schedulers, seconds)


def _show(names: Sequence[str]) -> list[units.Unit]:
    return units.show(names) if names else []


def _stop_seconds(layout: Layout, plan: Plan) -> float:
    """How long the slowest process, old or new, may take to stop."""
    planned = [*plan.processes, *process_plan.last_good(layout).processes]
    return max((item.stop_timeout_seconds for item in planned), default=0) + _SYSTEMD_SECONDS


def _systemctl(verb: str, names: Sequence[str], timeout_seconds: float = _SYSTEMD_SECONDS) -> None:
    if names:
        systemctl(verb, *names, timeout_seconds=timeout_seconds)


def _write(layout: Layout, plan: Plan, texts: dict[str, str]) -> bool:
    """Write and remove template units; returns whether anything was."""
    wanted = {item.process: item.text for item in plan.processes}
    changed = {name: text for name, text in wanted.items() if texts.get(name) != text}
    gone = set(texts) - set(wanted)
    for name, text in changed.items():
        write_durably(os.path.join(layout.units_dir, layout.process_unit(name)), text)
    for name in gone:
        os.unlink(os.path.join(layout.units_dir, layout.process_unit(name)))
    return bool(changed or gone)


def watch(layout: Layout, plan: Plan, seconds: float) -> dict[str, str]:
    """The units that do not run, or not as they were started, within some seconds, each with the reason."""
    names = list(plan.instances(layout))
    down: dict[str, str] = {}
    deadline = time.monotonic() + seconds
    while names and not down:
        for name, unit in zip(names, units.show(names)):
            if unit.crashing or unit.restarts:
                down[name] = f"it ended soon after its start and was started {unit.restarts + 1} time(s)"
            elif not unit.started:
                down[name] = f"it is {unit.active_state} ({unit['Result']})"
        if time.monotonic() >= deadline:
            break
        time.sleep(_POLL_SECONDS)
    return down


def _failing(layout: Layout, texts: dict[str, str]) -> set[str]:
    """The processes of which an instance that should run does not."""
    plan, failing = process_plan.last_good(layout), set()
    instances = {name: item for name, item in plan.instances(layout).items() if item.process in texts}
    now = Clocks.now().monotonic
    for (_name, planned), unit in zip(instances.items(), _show(list(instances))):
        started = unit.start_moment()
        lately = bool(unit.restarts) and started is not None and now - started.monotonic < _CRASHED_LATELY_SECONDS
        if lately or not unit.started:
            failing.add(planned.process)
    return failing


def start_at_boot(settings: AppSettings, release: str) -> str:
    """Start what belongs to the live release without waiting for it; returns why one of them, as a masked one, cannot.

    That is no failure of the boot: the web runs, and the next deploy, restart or `ringstand processes` mends it.
    """
    layout = settings.layout
    plan = process_plan.wanted(settings, release)
    if _write(layout, plan, process_plan.units_on_disk(layout)):
        systemctl("daemon-reload")
    names = list(plan.instances(layout))
    return systemctl("start", "--no-block", *names, check=False).stderr.strip() if names else ""

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How the processes beside the web are, as plain data: what runs, and whether it is what the settings ask for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from . import process_plan, units
from .layout import AppSettings, Layout
from .process_plan import Plan, Planned
from .systemd import systemctl
from .unit_times import Clocks, first_changed


def loaded(layout: Layout) -> list[str]:
    """The units of the app's processes that systemd knows and that are not at rest."""
    done = systemctl("list-units", "--all", "--plain", "--no-legend", layout.process_unit("*", "*"))
    rows = (line.split() for line in done.stdout.splitlines())
    return sorted(row[0] for row in rows if len(row) > 3 and row[2] != "inactive")


def is_stale(layout: Layout, planned: Planned, unit: units.Unit, texts: dict[str, str], clocks: Clocks) -> bool:
    """Whether a unit is not what is planned, or its process is older than what it read at its start."""
    if texts.get(planned.process) != planned.text or unit.need_daemon_reload:
        return True
    started = unit.start_moment()
    paths = [layout.environment_file, f"{layout.units_dir}/{layout.process_unit(planned.process)}.d"]
    return unit.started and started is not None and first_changed(paths, started, clocks) is not None


def states(settings: AppSettings, release: str | None) -> list[dict[str, Any]]:
    """Each process: kind, count (as planned), running, release, units, and whether ``planned`` is what is there.

    ``planned`` is False when a unit differs from the settings, is older than its environment, or is one too many: what
    ``ringstand processes`` puts right. That one has merely stopped is not among it.
    """
    layout = settings.layout
    plan = process_plan.wanted(settings, release) if release else Plan(settings.name)
    texts = process_plan.units_on_disk(layout)
    if not texts and not plan.processes:
        return []
    instances, clocks = plan.instances(layout), Clocks.now()
    shown = dict(zip(instances, units.show(list(instances)) if instances else []))
    there = loaded(layout)
    found = []
    for planned in plan.processes:
        own = [name for name, item in instances.items() if item is planned]
        surplus = [name for name in there if name not in own and _process_of(layout, name) == planned.process]
        text = texts.get(planned.process)
        as_planned = text == planned.text and not surplus
        as_planned = as_planned and not any(is_stale(layout, planned, shown[name], texts, clocks) for name in own)
        found.append(
            {
                "process": planned.process,
                "kind": planned.kind,
                "count": planned.count,
                "running": sum(shown[name].started for name in own),
                "release": process_plan.release_in(text or ""),
                "units": own,
                "planned": as_planned,
            }
        )
    for name in sorted(set(texts) - {planned.process for planned in plan.processes}):
        own = [unit for unit in there if _process_of(layout, unit) == name]
        gone = {"process": name, "kind": "removed", "count": 0, "running": len(own), "units": own, "planned": False}
        found.append({**gone, "release": process_plan.release_in(texts[name])})
    return found


def is_well(process: Mapping[str, Any]) -> bool:
    """Whether a process of :func:`states` is as planned and runs as often as it should."""
    return bool(process["planned"]) and process["running"] == process["count"]


def describe(process: Mapping[str, Any], live: str | None) -> str:
    """A line about a process of :func:`states`, for people."""
    text = f"{process['kind']} {process['process']}: {process['running']} of {process['count']} running"
    if process["running"] and process["release"] != live:
        text += f", of {process['release']}"
    return text if process["planned"] else f"{text}, differs from the settings"


def _process_of(layout: Layout, unit: str) -> str:
    prefix = layout.process_unit("").partition("@")[0]
    return os.path.basename(unit)[len(prefix) :].partition("@")[0]

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The workers and schedulers beside an app's web."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from . import process_state, switch
from .activation_unit import holder
from .doctor_findings import Finding
from .layout import AppSettings


def check(settings: AppSettings) -> Iterator[Finding]:
    """Those that do not run, and those that are not what the settings ask for. An activation moves them itself."""
    release = switch.live_release(settings.layout)
    if release and not holder(settings.layout):
        yield from judge(settings.name, release, process_state.states(settings, release))


def judge(app: str, release: str, states: Iterable[Mapping[str, Any]]) -> Iterator[Finding]:
    """``states`` are those of process_state."""
    for state in states:
        name = f"{state['kind']} {state['process']}"
        if state["running"] < state["count"]:
            what = f"{name}: {state['running']} of {state['count']} run"
            yield Finding(app, what, f"ringstand logs --process {state['process']} {app}; ringstand restart {app}")
        if not state["planned"]:
            do = f"Run site.yml, or ringstand restart {app}."
            yield Finding(app, f"{name} is not what the settings ask for, or older than them", do)
        elif state["release"] != release:
            what = f"{name} runs release {state['release']}, but {release} serves"
            yield Finding(app, what, f"ringstand restart {app}")

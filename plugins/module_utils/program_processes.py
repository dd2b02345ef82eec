# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The verbs of ``ringstand`` for what runs beside the web: workers and schedulers, and how many of them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

from . import process_plan
from .activation_unit import run_activation
from .app_state import app_state
from .apps import SCHEDULER
from .caller import caller
from .console import Teller, say
from .errors import RingstandError
from .layout import AppSettings, load_settings
from .process_state import describe, is_well

SCALE, SETTLE = KINDS = ("scale", "processes")
COUNT_MAX = 100
_DEFAULT = "default"


def add_commands(command: Callable[..., None]) -> None:
    """Register the verbs with ``command(name, run, help, *options)``."""
    app = ("app", {"metavar": "APP"})
    by = ("--by", {"default": caller(), "help": "who asks, for the ledger"})
    numbers = {"metavar": "PROCESS=N", "nargs": "*", "help": "as worker=3; worker=default is what the settings say"}
    command(SCALE, _scale, "how many of each process run; the numbers are kept", app, ("numbers", numbers), by)
    command(SETTLE, _settle, "bring workers and schedulers to what the settings say", app, by)


def scaled(settings: AppSettings, processes: list[dict[str, Any]], numbers: list[str]) -> dict[str, int]:
    """The numbers to keep, out of those kept so far and ``process=number`` texts.

    Raises :class:`RingstandError` for an unknown process, a number out of range, or two schedulers.
    """
    kept = process_plan.read_scale(settings.layout)
    kinds = {process["process"]: process["kind"] for process in processes if process["kind"] != "removed"}
    for text in numbers:
        name, _equals, number = text.partition("=")
        if name == "web":
            raise RingstandError(
                f"Failed to scale {settings.name}: the web is scaled by the app's workers and threads"
            )
        if name not in kinds:
            names = ", ".join(kinds) or "none"
            raise RingstandError(f"Failed to scale {settings.name}: it has no process {name!r}. Processes: {names}.")
        if number == _DEFAULT:
            kept.pop(name, None)
        elif not number.isdecimal() or int(number) > COUNT_MAX:
            raise RingstandError(
                f"Failed to scale {settings.name}: {text!r} gives no number from 0 to {COUNT_MAX}; write {name}=2, or "
                f"{name}={_DEFAULT} for the number in the settings"
            )
        elif kinds[name] == SCHEDULER and int(number) > 1:
            raise RingstandError(
                f"Failed to scale {settings.name}: {name} is a scheduler, and two would do everything twice"
            )
        else:
            kept[name] = int(number)
    return kept


def _scale(options: argparse.Namespace) -> int:
    settings = load_settings(options.app)
    processes = app_state(settings.layout)["processes"]
    if not options.numbers:
        return _print(options, processes, changed=False)
    scale = scaled(settings, processes, options.numbers)
    if scale == process_plan.read_scale(settings.layout) and all(map(is_well, processes)):
        return _print(options, processes, changed=False)
    return _activate(options, settings, {"kind": SCALE, "scale": scale})


def _settle(options: argparse.Namespace) -> int:
    settings = load_settings(options.app)
    state = app_state(settings.layout)
    if state["release"] is None or all(map(is_well, state["processes"])):
        return _print(options, state["processes"], changed=False)
    return _activate(options, settings, {"kind": SETTLE})


def _activate(options: argparse.Namespace, settings: AppSettings, request: dict[str, Any]) -> int:
    entry = run_activation(settings, {"by": options.by, **request}, Teller(settings.name, options.json))
    if entry["result"] != "ok":
        about = {key: entry[key] for key in ("phases", "notices")}
        raise RingstandError(entry["reason"], **{**entry["details"], **about})
    return _print(options, app_state(settings.layout)["processes"], changed=True, notices=entry["notices"])


def _print(
    options: argparse.Namespace, processes: list[dict[str, Any]], changed: bool, notices: list[str] | None = None
) -> int:
    if options.json:
        say(json.dumps({"result": "ok", "changed": changed, "processes": processes, "notices": notices or []}))
    for process in [] if options.json else processes:
        say(describe(process, process["release"]))
    if not processes and not options.json:
        say(f"{options.app}: no processes beside the web")
    return 0

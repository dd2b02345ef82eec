# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The options of modules that act on systemd units, and acting on them. See the documentation fragment C(units)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from . import unit_control, units

UNIT = {
    "name": {"type": "str", "required": True},
    "enabled": {"type": "bool"},
    "masked": {"type": "bool"},
    "state": {"type": "str", "choices": list(units.STATES)},
    "reload_if_newer": {"type": "list", "elements": "path", "default": []},
    "restart_if_newer": {"type": "list", "elements": "path", "default": []},
    "reload_replaces_workers": {"type": "bool", "default": False},
}
UNITS: dict[str, Any] = {"type": "list", "elements": "dict", "options": UNIT}
OPTIONS: dict[str, Any] = {
    "predicted_paths": {"type": "list", "elements": "path", "default": []},
    "timeout_seconds": {"type": "float", "default": 120},
    "settle_seconds": {"type": "float", "default": 1},
    "wait": {"type": "bool", "default": True},
}


def run(module: Any, predicted_paths: Sequence[str]) -> dict[str, Any]:
    """Bring the units of a module's parameters to their state, or foresee it in check mode; returns its result.

    Raises :class:`RingstandError` when one does not reach its state.
    """
    wanted = [units.parse_wanted(raw) for raw in module.params["units"]]
    limits = (module.params["timeout_seconds"], module.params["settle_seconds"], module.params["wait"])
    control = unit_control.Control(wanted, *limits)
    outcomes = control.predict(predicted_paths) if module.check_mode else control.apply()
    if module.check_mode and control.missing:
        module.warn(f"Not there yet, so whether they start cannot be foreseen: {', '.join(control.missing)}")
    result: dict[str, Any] = {
        "changed": any(outcome.actions for outcome in outcomes.values()),
        "units": {name: asdict(outcome) for name, outcome in outcomes.items()},
    }
    if module._diff:
        result["diff"] = [
            {"prepared": f"{name}: {', '.join(outcome.actions)} {outcome.newer_path}".rstrip() + "\n"}
            for name, outcome in outcomes.items()
            if outcome.actions
        ]
    return result

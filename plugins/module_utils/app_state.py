# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an app on this host is doing, as plain data."""

from __future__ import annotations

import os
import subprocess
from typing import Any

from . import switch
from .activation_unit import holder
from .layout import Layout
from .ledger import good_releases
from .releases import read_manifest


def app_state(layout: Layout) -> dict[str, Any]:
    """What serves: slot, release, version, the unit's state, and whether an activation is under way.

    ``stale`` tells that the running processes are older than what they read at their start: the environment file,
    gunicorn's settings and the unit itself.
    """
    slot, release = switch.live_slot(layout), switch.live_release(layout)
    manifest = (read_manifest(layout, release) if release else None) or {}
    unit = _service(layout, slot) if slot else {}
    return {
        "app": layout.app,
        "slot": slot,
        "release": release,
        "version": manifest.get("version"),
        "sha": manifest.get("sha"),
        "service": unit.get("ActiveState"),
        "since": int(unit["ActiveEnterTimestamp"][1:]) if unit.get("ActiveEnterTimestamp", "")[1:].isdigit() else None,
        "stale": _is_stale(layout, unit),
        "previous": next((name for name in reversed(good_releases(layout)) if name != release), None),
        "activation": holder(layout),
        "socket": os.path.exists(layout.live_socket),
    }


def _service(layout: Layout, slot: str) -> dict[str, str]:
    names = ("ActiveState", "ActiveEnterTimestamp", "FragmentPath")
    done = subprocess.run(
        ["systemctl", "show", "--timestamp=unix", layout.service_unit(slot), *(f"--property={name}" for name in names)],
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def _is_stale(layout: Layout, unit: dict[str, str]) -> bool:
    entered = unit.get("ActiveEnterTimestamp", "")
    if unit.get("ActiveState") != "active" or not entered[1:].isdigit():
        return False
    sources = [layout.environment_file, layout.gunicorn_config, unit.get("FragmentPath", "")]
    return any(os.stat(path).st_mtime > int(entered[1:]) + 1 for path in sources if os.path.exists(path))

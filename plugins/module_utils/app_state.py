# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an app on this host is doing, as plain data."""

from __future__ import annotations

import os
from typing import Any

from . import maintenance, process_plan, process_state, switch, units
from .activation_unit import holder
from .errors import RingstandError
from .layout import Layout, load_settings
from .ledger import good_releases, read_lines
from .release_history import schema_revision
from .releases import read_manifest
from .unit_times import Clocks, first_changed


def app_state(layout: Layout) -> dict[str, Any]:
    """What serves: slot, release, version, the unit's state, and whether an activation is under way.

    ``linked`` tells that all links lead to it. ``stale`` tells that the running processes are older than what they read
    at their start (the environment file, gunicorn's settings, the unit with its drop-in files), or that systemd does
    not listen for them any more: either is put right by a restart in the other slot. ``built`` has the settings that
    the release was built with, None when its manifest is older than that.
    """
    slot, release = switch.should_serve(layout)
    manifest = (read_manifest(layout, release) if release else None) or {}
    activation = holder(layout)
    shown = units.show([layout.service_unit(slot), layout.socket_unit(slot)]) if slot else []
    entered = shown[0].moment("ActiveEnter") if shown else None
    return {
        "app": layout.app,
        "slot": slot,
        "release": release,
        "version": manifest.get("version"),
        "sha": manifest.get("sha"),
        "schema_revision": schema_revision(read_lines(layout.ledger), release),
        "built": manifest.get("settings"),
        "service": shown[0].active_state if shown else None,
        "listener": shown[1].active_state if shown else None,
        "since": int(entered.realtime) if entered and entered.realtime else None,
        "stale": bool(slot) and _is_stale(layout, str(slot), *shown),
        "previous": next((name for name in reversed(good_releases(layout)) if name != release), None),
        "activation": activation,
        "maintenance": maintenance.read(layout.app),
        # While an activation moves the links, they are its own business.
        "linked": bool(activation) or switch.is_linked(layout),
        "socket": os.path.exists(layout.live_socket),
        "processes": _processes(layout, release),
        "scale": process_plan.read_scale(layout),
    }


def _processes(layout: Layout, release: str | None) -> list[dict[str, Any]]:
    try:
        settings = load_settings(layout.app)
    except RingstandError:  # the app is not set up yet
        return []
    return process_state.states(settings, release)


def _is_stale(layout: Layout, slot: str, service: units.Unit, listener: units.Unit) -> bool:
    started = service.start_moment()
    if service.active_state != "active" or started is None:
        return False
    if service.need_daemon_reload or listener.active_state != "active" or not os.path.exists(layout.socket(slot)):
        return True
    drop_ins = [f"/etc/systemd/system/{name}.d" for name in (service["Id"], f"ringstand-{layout.app}@.service")]
    sources = [layout.environment_file, layout.gunicorn_config, service["FragmentPath"], *drop_ins]
    return first_changed(filter(None, sources), started, Clocks.now()) is not None

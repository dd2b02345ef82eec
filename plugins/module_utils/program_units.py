# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The verbs of ``ringstand`` that systemd calls: at a boot, in the unit of an activation, and after its process."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from . import activation, early_build, process_moves, switch, unproven
from .activation_record import record_ended, run_recorded, tell_ended
from .activation_unit import holder
from .console import complain, say
from .errors import RingstandError, reason_of
from .layout import SLOTS, AppSettings, Layout, app_names, load_settings
from .ledger import Progress, last_live
from .program_processes import KINDS as PROCESS_KINDS
from .release_build import Source
from .systemd import systemctl, unit_properties


def add_commands(command: Callable[..., None]) -> None:
    """Register the verbs with ``command(name, run, help, *options)``; without a help text a verb is not shown."""
    app = ("app", {"metavar": "APP"})
    command("boot", _boot, "restore the live sockets and start the live slots (systemd calls this)")
    command("activation", _activation, None, app, ("request", {"metavar": "FILE"}))
    command("ended", _ended, None, app)


def _activation(options: argparse.Namespace) -> int:
    """The process inside the unit: it prints to the journal, and its result is in the ledger."""
    settings = load_settings(options.app)
    with open(options.request, encoding="utf-8") as stream:
        request = json.load(stream)
    layout = settings.layout
    try:
        put_right = unproven.settle(settings)  # before anybody asks what is live
    except (RingstandError, OSError) as error:  # this activation tells what is wrong
        put_right = f"What it left could not be put right: {error}"
    record_ended(layout, put_right)
    progress = Progress(layout, request["kind"], request["by"], say, request["token"])
    if request["kind"] == early_build.KIND:
        os.unlink(options.request)
        early_build.build(settings, request["archive"], request["sha"], request["packages"], progress)
        return 0
    # The webhook tells of it before anything is done.
    progress.about.update({key: request[key] for key in ("version", "sha") if key in request})
    try:
        entry = run_recorded(settings, progress, lambda: _carry_out(settings, request, progress))
    finally:
        for path in (options.request, request.get("archive")):
            if path and os.path.exists(path):
                os.unlink(path)
    say(entry.get("reason") or "done")
    return 0 if entry["result"] == "ok" else 1


def _ended(options: argparse.Namespace) -> int:
    """What systemd calls when the process inside the unit has died, within the unit, so that nobody else begins."""
    if systemctl("is-system-running", check=False).stdout.strip() == "stopping":
        return 0  # everything else ends as well: the boot puts it right
    settings = load_settings(options.app)
    put_right = unproven.settle(settings)
    entry = record_ended(settings.layout, put_right)
    complain(f"ringstand: {(entry or {}).get('reason') or put_right or 'what was left is put right'}")
    if entry:
        tell_ended(settings, entry, complain)
    return 0


def _carry_out(settings: AppSettings, request: dict[str, Any], progress: Progress) -> None:
    kind = request["kind"]
    if kind == "deploy":
        source = Source(request["archive"], request["sha"], request["version"], request.get("root_directory"))
        activation.deploy(replace(settings, **request.get("limits", {})), source, progress)
    elif kind in PROCESS_KINDS:
        activation.settle_processes(settings, progress, request.get("scale"))
    else:
        activation.switch_to(settings, request["release"], progress, request.get("force", False))


def _boot(options: argparse.Namespace) -> int:
    failed = 0
    for name in app_names():
        try:
            settings = load_settings(name)
            if holder(settings.layout):
                continue  # not a boot: units and links are the activation's to change, and it waits for what is a boot
            put_right = unproven.settle(settings, at_boot=True)
            switch.repair(settings.layout)
            slot, release = switch.live_slot(settings.layout), switch.live_release(settings.layout)
            _check_there(settings.layout, slot)
            if slot and release:
                _start_web(settings.layout, slot)
                trouble = process_moves.start_at_boot(settings, release)
                if trouble:
                    complain(f"ringstand: a process of {name} was not started: {trouble}")
            with contextlib.suppress(OSError):  # on a full disk the apps have to start all the same
                record_ended(settings.layout, put_right)
        except (RingstandError, OSError) as error:  # one broken app never keeps another from starting
            reason = reason_of(error) if isinstance(error, OSError) else error.message
            complain(f"ringstand: {name}: {reason}")
            failed += 1
    return 1 if failed else 0


def _check_there(layout: Layout, slot: str | None) -> None:
    """Raise RingstandError when an app has served that is not on this host any more."""
    last = last_live(layout)
    if slot is None and last:
        raise RingstandError(
            f"Failed to start {layout.app}: {last} has to serve, and {layout.release_dir(last)} is missing. "
            f"Is the file system of {layout.app_dir} mounted?"
        )


def _start_web(layout: Layout, slot: str) -> None:
    for other in SLOTS:
        if other != slot:
            systemctl("stop", layout.socket_unit(other), check=False)
    if unit_properties(layout.service_unit(slot), "ActiveState").get("ActiveState") == "active":
        return  # not a boot: only links were missing, and systemd refuses to listen for what runs
    systemctl("reset-failed", layout.socket_unit(slot), layout.service_unit(slot), check=False)
    systemctl("start", layout.socket_unit(slot))
    systemctl("start", "--no-block", layout.service_unit(slot))

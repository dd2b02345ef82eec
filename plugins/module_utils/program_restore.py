# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The verb of ``ringstand`` that brings data back."""

from __future__ import annotations

import argparse
import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from . import backup_settings, drill_unit, restore_files, restore_plan, restore_run, restore_state
from .console import complain, say
from .errors import RingstandError
from .pgbackrest import OWNER
from .restore_state import Progress
from .restore_target import LATEST, parse_target
from .restore_unit import run_restore


def add_commands(command: Callable[..., None]) -> None:
    """Register the verbs with ``command(name, run, help, *options)``; without a help text a verb is not shown."""
    command(
        "restore",
        _restore,
        "bring the databases back from the backup, to the latest state or to a moment",
        ("--to", {"default": LATEST, "metavar": "TIME", "help": "latest, or a time such as 2026-11-21T03:00:00Z"}),
        ("--confirm", {"default": "", "metavar": "HOSTNAME", "help": "the name of this host, when it holds data"}),
        ("--check", {"action": "store_true", "help": "check everything, say what would be done, change nothing"}),
        ("--files", {"metavar": "NAME", "help": "the files of an app, or of host, instead of the databases"}),
        ("--into", {"metavar": "DIR", "help": "with --files: a directory that does not exist yet"}),
        ("--undo", {"action": "store_true", "help": "put back what was before a restore that was interrupted"}),
    )
    command("restoration", _restoration, None, ("request", {"metavar": "FILE"}))


def _restore(options: argparse.Namespace) -> int:
    if options.files or options.into:
        return _restore_files(options)
    if options.check:
        target = parse_target(options.to, time.time())
        plan = restore_plan.make(backup_settings.load(), target, options.confirm, flush=False)
        found = {
            "changed": True, "would": plan.describe(), "backup": plan.choice.backup.label, "target": plan.wanted,
            "kept": "", "problems": [],
        }
        say(json.dumps(found) if options.json else f"would {plan.describe()}")
        return 0

    def tell(text: str) -> None:
        if not options.json:
            complain(f"restore: {text}")

    result = run_restore({"to": options.to, "confirm": options.confirm, "undo": options.undo}, tell)
    if result["result"] != "ok":
        raise RingstandError(result["reason"], **result["details"])
    say(json.dumps(result) if options.json else _words(result))
    return 3 if result.get("problems") else 0


def _restore_files(options: argparse.Namespace) -> int:
    if not (options.files and options.into):
        raise RingstandError("Failed to restore files: --files NAME and --into DIR belong together")
    with drill_unit.only_restore(time.time()):
        found = restore_files.restore(backup_settings.load(), options.files, options.into, options.to, time.time())
    words = f"the files of {found['files']} as of {found['taken']} are in {found['into']}"
    say(json.dumps({**found, "result": "ok", "changed": True}) if options.json else words)
    return 0


def _words(result: dict[str, Any]) -> str:
    if result.get("undone"):
        running = "and the cluster runs on it" if result["started"] else "and the cluster is stopped, as it was"
        return f"{result['data_dir']} is as it was before the restore, {running}"
    tables = ", ".join(f"{name} ({count} tables)" for name, count in result["databases"].items())
    lines = [f"restored up to {result['recovered_to']} from the backup {result['backup']} in {result['seconds']:.0f} s"]
    lines.append(f"databases: {tables}")
    if result["kept"]:
        lines.append(f"the old data directory is kept; remove it when you need it no longer: rm -r {result['kept']}")
    return "\n".join([*lines, *result["problems"]])


def _restoration(options: argparse.Namespace) -> int:
    """The process inside the unit: it prints to the journal, and its result is the last line of its progress."""
    with open(options.request, encoding="utf-8") as stream:
        request = json.load(stream)
    os.unlink(options.request)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.makedirs(backup_settings.STATE_DIR, mode=0o750, exist_ok=True)
    progress = Progress(say, {key: request[key] for key in ("to", "undo", "token")})  # the unit's name guards its file
    try:
        with drill_unit.only_restore(time.time()):
            result = _do(request, progress)
    except (RingstandError, OSError) as error:
        message = error.message if isinstance(error, RingstandError) else f"Failed to restore: {error}"
        details = error.details if isinstance(error, RingstandError) else {}
        progress.result({"result": "failed", "reason": message, "details": details})
        say(message)
        return 1
    progress.result({"result": "ok", "seconds": progress.seconds, **result})
    return 0


def _do(request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    settings = backup_settings.load()
    if request["undo"]:
        cluster = replace(settings.find_cluster(), owner=OWNER)
        return restore_run.undo(request["confirm"], restore_state.read(), cluster, progress)
    progress.step("checking what there is to restore")
    plan = restore_plan.make(settings, parse_target(request["to"], time.time()), request["confirm"], flush=True)
    return restore_run.perform(plan, progress)

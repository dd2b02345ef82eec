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
from typing import Any

from . import backup_settings, drill_unit, restore_job, restore_list
from .console import complain, say
from .errors import RingstandError
from .restore_files import FilesPlan
from .restore_plan import Plan
from .restore_state import Progress
from .restore_unit import run_restore
from .restore_words import words


def add_commands(command: Callable[..., None]) -> None:
    """Register the verbs with ``command(name, run, help, *options)``; without a help text a verb is not shown."""
    command(
        "restore",
        _restore,
        "bring databases or files back from the backup: the latest state, a moment, before a release",
        ("--list", {"action": "store_true", "help": "what can be restored, with --offsite from there"}),
        ("--to", {"metavar": "TIME", "help": "latest (unless told otherwise), or a time such as 2026-11-21T03:00:00Z"}),
        ("--before-release", {"metavar": "[APP/]ID", "help": "to the restore point before that release's migrations"}),
        ("--confirm", {"default": "", "metavar": "HOSTNAME", "help": "the name of this host, when it holds data"}),
        ("--check", {"action": "store_true", "help": "check everything, say what would be done, change nothing"}),
        ("--database", {"metavar": "NAME", "help": "only this database, into a new one beside it: from its newest "
                                                   "dump, or with --to or --before-release as it was then"}),
        ("--table", {"dest": "tables", "action": "append", "metavar": "[SCHEMA.]TABLE",
                     "help": "with --database: the rows of this table only; may be repeated"}),
        ("--as", {"dest": "side", "metavar": "NAME", "help": "with --database: the new one (NAME_restored_DATE)"}),
        ("--dump", {"metavar": "TIME", "help": "with --database: another dump than the newest, as --list names it"}),
        ("--files", {"metavar": "NAME", "help": "the files of an app, or of host, instead of the databases"}),
        ("--path", {"dest": "paths", "action": "append", "metavar": "PATH",
                    "help": "with --files: only what is there; may be repeated"}),
        ("--snapshot", {"metavar": "ID", "help": "with --files: another snapshot than the newest"}),
        ("--into", {"metavar": "DIR", "help": "with --files: a directory that does not exist yet (one beside)"}),
        ("--in-place", {"action": "store_true", "help": "with --files: exchange them, and keep the old ones beside"}),
        ("--offsite", {"action": "store_true", "help": "from the second place of the backups instead of this host"}),
        ("--undo", {"action": "store_true", "help": "put back what was before a restore that was interrupted"}),
    )
    command("restoration", _restoration, None, ("request", {"metavar": "FILE"}))


def _restore(options: argparse.Namespace) -> int:
    if options.list:
        settings = backup_settings.load()
        found = restore_list.gather(settings.at_offsite() if options.offsite else settings)
        say(json.dumps({**found, "changed": False}) if options.json else "\n".join(restore_list.lines(found)))
        return 3 if found["problems"] else 0
    asked = restore_job.request(vars(options))
    if options.check:
        found = _foresee(asked)
        say(json.dumps(found) if options.json else f"would {found['would']}")
        return 0

    def tell(text: str) -> None:
        if not options.json:
            complain(f"restore: {text}")

    result = run_restore(asked, tell)
    if result["result"] != "ok":
        raise RingstandError(result["reason"], **result["details"])
    say(json.dumps(result) if options.json else words(result))
    return 3 if result.get("problems") else 0


def _foresee(asked: dict[str, Any]) -> dict[str, Any]:
    if asked["kind"] == restore_job.UNDO:
        would = "put back what was before an interrupted restore"
        return {"changed": True, "would": would, "target": "", "kept": "", "problems": []}
    plan = restore_job.prepare(asked, flush=False)
    if isinstance(plan, Plan):
        about = {"backup": plan.choice.backup.label, "target": plan.wanted}
    elif isinstance(plan, FilesPlan):
        about = {"snapshot": plan.snapshot.id, "taken": plan.taken, "into": plan.into}
    else:
        about = {"source": plan.source, "side_database": plan.name}
    return {"changed": True, "would": plan.describe(), "kept": "", "problems": [], **about}


def _restoration(options: argparse.Namespace) -> int:
    """The process inside the unit: it prints to the journal, and its result is the last line of its progress."""
    with open(options.request, encoding="utf-8") as stream:
        request = json.load(stream)
    os.unlink(options.request)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.makedirs(backup_settings.STATE_DIR, mode=0o750, exist_ok=True)
    progress = Progress(say, {key: request[key] for key in ("what", "token")})  # the unit's name guards its file
    try:
        with drill_unit.only_restore(time.time()):
            result = restore_job.perform(request, progress)
    except (RingstandError, OSError, KeyboardInterrupt) as error:
        stopped = "it was stopped from outside" if isinstance(error, KeyboardInterrupt) else error
        message = error.message if isinstance(error, RingstandError) else f"Failed to restore: {stopped}"
        details = error.details if isinstance(error, RingstandError) else {}
        progress.result({"result": "failed", "reason": message, "details": details})
        say(message)
        return 1
    progress.result({"result": "ok", "seconds": progress.seconds, **result})
    return 0

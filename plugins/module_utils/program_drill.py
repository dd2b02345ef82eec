# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The verb of ``ringstand`` that proves that backups can be restored."""

from __future__ import annotations

import argparse
import json
import signal
import time
from collections.abc import Callable
from typing import Any

from . import backup_report, backup_settings, backup_status, drill_record, drill_run, drill_unit
from .console import complain, say
from .errors import RingstandError


def add_commands(command: Callable[..., None]) -> None:
    """Register the verb with ``command(name, run, help, *options)``."""
    command(
        "drill",
        _drill,
        "restore the newest backup aside, check it, throw it away; ends with 1 when that failed, with 3 on damage",
        ("--offsite", {"action": "store_true", "help": "from the second place of the backups, whosever turn it is"}),
        ("--here", {"action": "store_true", "help": argparse.SUPPRESS}),  # what the unit runs
    )


def _drill(options: argparse.Namespace) -> int:
    settings = backup_settings.load()
    if options.here:
        status = _here(settings, time.time(), options.offsite)
    else:
        if not options.json:
            complain(f"drill: follow it with journalctl -fu {drill_unit.UNIT}")
        if options.offsite:
            settings.at_offsite()
        status = drill_unit.run_drill(["--offsite"] if options.offsite else [])
    part = status["parts"]["drill"]
    problems = [problem for problem in status["problems"] if problem["part"] == "drill"]
    if options.json:
        say(json.dumps({**part, "result": "done", "drill": part["result"], "problems": problems}))
    else:
        say(drill_record.describe(part))
        for problem in problems:
            say("  " + ": ".join(str(problem[key]) for key in ("file", "reason") if problem.get(key)))
    return backup_status.exit_code(problems)


def _here(settings: backup_settings.BackupSettings, now: float, offsite: bool) -> dict[str, Any]:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with drill_unit.only_drill(now):
        record = drill_record.load()
        drill = drill_run.Drill(settings, record, now, complain, offsite)
        began = time.monotonic()
        try:
            drill.run()
        except KeyboardInterrupt:
            raise RingstandError("Failed to drill a restore: it was stopped, and nothing of it is left") from None
        drill_record.save(record)
        result = {
            "result": "failed" if drill.problems else "ok", "seconds": round(time.monotonic() - began, 2),
            **drill.details,
        }
    status = backup_status.update({"drill": result}, drill.problems, time.time())
    for reason in backup_report.report(settings, status, time.time())[1]:
        complain(reason)
    return status

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The verb of ``ringstand`` that makes a fresh host the one that was lost."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

from . import backup_settings, recover_run, restore_job
from .console import complain, say
from .errors import RingstandError
from .restore_target import LATEST
from .restore_unit import run_restore


def add_commands(command: Callable[..., None]) -> None:
    """Register the verb with ``command(name, run, help, *options)``."""
    command(
        "recover",
        _recover,
        "make this fresh host the one that was lost, from the second place of its backups",
        ("--to", {"default": LATEST, "metavar": "TIME", "help": "latest, or a time such as 2026-11-21T03:00:00Z"}),
        ("--check", {"action": "store_true", "help": "check that this host is a fresh one, change nothing"}),
    )


def _recover(options: argparse.Namespace) -> int:
    if options.check:
        return _foresee(options)

    def tell(text: str) -> None:
        if not options.json:
            complain(f"recover: {text}")

    result: dict[str, Any] = run_restore(restore_job.recovery(options.to), tell)
    if result["result"] != "ok":
        raise RingstandError(result["reason"], **result["details"])
    if options.json:
        say(json.dumps(result))
    elif result["changed"]:
        say(f"recovered from {result['where']} in {result['seconds']:.0f} s; run site.yml now")
    else:
        say("this host has been recovered already")
    return 3 if result.get("problems") else 0


def _foresee(options: argparse.Namespace) -> int:
    reached = recover_run.phase()
    recover_run.check_fresh(backup_settings.load().at_offsite(), check=True)
    changed = reached != recover_run.DONE
    words = "this host can be recovered" if changed else "this host has been recovered already"
    say(json.dumps({"changed": changed, "result": "ok"}) if options.json else words)
    return 0

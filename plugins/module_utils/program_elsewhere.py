# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The verb of ``ringstand`` that brings back the database of an app that is not on this host."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

from . import backup_elsewhere, maintenance_apps
from .backup_settings import load, only_one
from .console import complain, say
from .errors import RingstandError
from .upgrade_plan import require_confirmation


def add_commands(command: Callable[..., None]) -> None:
    """Register the verb with ``command(name, run, help, *options)``."""
    command(
        "restore-elsewhere",
        _restore,
        "put a dump into an app's database on another host, in the place of what is there",
        ("app", {"metavar": "APP"}),
        ("--dump", {"default": "", "metavar": "PATH", "help": "the dump; the newest without it"}),
        ("--confirm", {"default": "", "metavar": "HOSTNAME", "help": "the name of this host"}),
    )


def _restore(options: argparse.Namespace) -> int:
    settings = load()
    if options.app not in settings.elsewhere:
        raise RingstandError(
            f"Failed to restore the database of {options.app}: it is not one that is backed up from elsewhere. For "
            "those of this host there is ringstand restore"
        )
    path = options.dump or backup_elsewhere.newest(settings, options.app).path
    require_confirmation(options.confirm, f"restore the database of {options.app}")
    began = time.monotonic()
    with only_one("restore", time.time()), maintenance_apps.of([options.app], "restore of its database", complain):
        backup_elsewhere.restore(options.app, path)
    seconds = round(time.monotonic() - began, 1)
    found = {"result": "ok", "changed": True, "app": options.app, "dump": path, "seconds": seconds}
    say(json.dumps(found) if options.json else f"the database of {options.app} is as in {path}, after {seconds:.0f} s")
    return 0

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The verb of ``ringstand`` that removes the data of an app that is out of service."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

from . import decommission, purge
from .console import complain, say
from .errors import RingstandError
from .layout import check_app_name


def add_commands(command: Callable[..., None]) -> None:
    """Register the verb with ``command(name, run, help, *options)``."""
    command(
        "purge",
        _purge,
        "remove database, role, user and files of an app that is absent; without --confirm, say what would go",
        ("app", {"metavar": "APP", "nargs": "?", "help": "without it, the apps that can be purged are listed"}),
        ("--confirm", {"metavar": "APP", "help": "the name once more: really remove it"}),
        ("--no-dump", {"action": "store_true", "help": f"without a last dump in {purge.DUMPS_DIR}"}),
    )


def _purge(options: argparse.Namespace) -> int:
    if not options.app:
        names = decommission.kept()
        say(json.dumps({"kept": names}) if options.json else f"Absent and not purged: {', '.join(names) or 'none'}")
        return 0
    app = check_app_name(options.app)
    if options.confirm is None:
        return _show(app, purge.plan(app), options.json)
    if options.confirm != app:
        raise RingstandError(f"Failed to purge {app}: --confirm says {options.confirm!r}. Nothing was removed.")
    tell = (lambda _text: None) if options.json else complain
    done = purge.purge(app, not options.no_dump, time.time(), tell)
    changed = bool(done["databases"] or done["role"] or done["paths"] or done["user"])
    if options.json:
        say(json.dumps({"app": app, "changed": changed, **done}))
    elif not changed:
        say(f"Nothing is left of {app}.")
    else:
        last = f" The last dump is {', '.join(done['dumps'])}." if done["dumps"] else ""
        say(f"{app} is purged.{last} What earlier backups hold of it stays there until they are too old.")
    return 0


def _show(app: str, plan: dict[str, Any], as_json: bool) -> int:
    if as_json:
        say(json.dumps({"app": app, "changed": False, "dumps": [], **plan}))
        return 0
    rows = [f"database {name}" for name in plan["databases"]]
    rows += [f"role {app}"] * plan["role"] + plan["paths"] + [f"user {app}"] * plan["user"]
    say("\n".join([f"Would be removed: {row}" for row in rows] or [f"Nothing is left of {app}."]))
    if rows:
        say(f"To remove all that: ringstand purge {app} --confirm {app}")
    return 0

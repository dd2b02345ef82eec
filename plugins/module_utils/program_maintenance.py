# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The verb of ``ringstand`` for maintenance."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

from . import maintenance
from .caller import caller
from .console import say
from .layout import load_settings


def add_commands(command: Callable[..., None]) -> None:
    """Register the verb with ``command(name, run, help, *options)``."""
    allow = "address or small network that reaches the app all the same; may be repeated"
    command(
        "maintenance",
        _maintenance,
        "answer an app's visitors with 503 and a page, without a reload: APP on, off or status",
        ("app", {"metavar": "APP"}),
        ("state", {"choices": ["on", "off", "status"], "metavar": "on|off|status"}),
        ("--allow", {"action": "append", "default": [], "metavar": "ADDRESS", "help": allow}),
        ("--page", {"metavar": "FILE", "help": "an HTML page (the app's shared/maintenance.html, else a plain one)"}),
        ("--by", {"default": caller(), "help": "who begins it"}),
    )


def _maintenance(options: argparse.Namespace) -> int:
    settings = load_settings(options.app)
    changed = False
    if options.state == "on":
        maintenance.check_served(settings.name)
        page = maintenance.page_of(options.page) if options.page else maintenance.own_page(settings.layout)
        changed = maintenance.switch_on(settings.name, options.by, options.allow, page)
    elif options.state == "off":
        changed = maintenance.switch_off(settings.name)
    found = maintenance.read(settings.name)
    status = maintenance.answer(settings)
    if options.json:
        about = {"app": settings.name, "maintenance": found is not None, "answer": status, "changed": changed}
        say(json.dumps({**about, **(found or {"since": None, "by": None, "allow": []})}))
    else:
        say(maintenance.describe(settings.name, found, status))
    return 0

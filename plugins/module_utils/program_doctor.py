# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The verb of ``ringstand`` that tells what is wrong, and what to do."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

from . import doctor
from .console import say
from .doctor_findings import PROBLEM
from .layout import app_names, load_settings


def add_commands(command: Callable[..., None]) -> None:
    """Register the verb with ``command(name, run, help, *options)``."""
    command(
        "doctor",
        _doctor,
        "what is wrong with this host and its apps, and what to do; ends with 3 when something is",
        ("app", {"metavar": "APP", "nargs": "?", "help": "only this app, and the host"}),
    )


def _doctor(options: argparse.Namespace) -> int:
    began = time.monotonic()
    if options.app and options.app not in app_names():
        load_settings(options.app)  # which says what is wrong with the name
    apps = [options.app] if options.app else app_names()
    findings = doctor.examine(apps)
    problems = [finding for finding in findings if finding.severity == PROBLEM]
    seconds = round(time.monotonic() - began, 2)
    if options.json:
        state = "wrong" if problems else "ok"
        about = {"state": state, "apps": apps, "seconds": seconds}
        say(json.dumps({**about, "findings": [finding.as_dict() for finding in findings]}))
        return 3 if problems else 0
    for finding in findings:
        say(f"{finding.severity.upper():<7}  {finding.where}, {finding.check}: {finding.what}")
        say(f"         {finding.do}")
    checks = len(doctor.HOST_CHECKS) + len(doctor.APP_CHECKS) * len(apps)
    say(f"{checks} checks of this host and {', '.join(apps) or 'no app'} in {seconds} s: {len(problems)} problems")
    return 3 if problems else 0

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The verbs of ``ringstand`` for living with an app: run a command of it, read its log, know its environment."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable

from . import process_environment, process_plan, switch
from .app_unit import new_unit_name, unit_arguments
from .console import say
from .errors import RingstandError
from .layout import AppSettings, load_settings
from .release_unit import one_off_unit

# Enough to see that two hosts have the same value, and too little to keep it by.
FINGERPRINT_CHARACTERS = 12
_TIMEOUT_SECONDS_MAX = 31_536_000


def add_commands(command: Callable[..., None]) -> None:
    """Register the verbs with ``command(name, run, help, *options)``."""
    app = ("app", {"metavar": "APP"})
    command(
        "run",
        _run,
        "run a command with the live release's code, environment and rights, such as: run shop flask shell",
        ("--timeout", {"type": float, "metavar": "SECONDS", "help": "end it after so long (never)"}),
        app,
        ("argv", {"metavar": "COMMAND", "nargs": argparse.REMAINDER, "help": "the command and its arguments"}),
    )
    command(
        "logs",
        _logs,
        "what an app and its activations wrote to the journal",
        app,
        ("--follow", {"action": "store_true", "help": "go on until interrupted"}),
        ("--since", {"metavar": "TIME", "help": "as journalctl takes it, such as '1 hour ago'"}),
        ("--grep", {"metavar": "PATTERN", "help": "only lines that match this regular expression"}),
        ("--lines", {"type": int, "default": 100, "metavar": "N", "help": "at most the last N lines (100)"}),
        ("--process", {"metavar": "NAME", "help": "only web, activation, or this worker or scheduler"}),
    )
    command("env", _env, "the names in an app's environment, with fingerprints instead of values", app)


def _live(settings: AppSettings) -> str:
    release = switch.live_release(settings.layout)
    if release is None:
        raise RingstandError(f"Failed to find the live release of {settings.name}: nothing has been deployed yet")
    return release


def _run(options: argparse.Namespace) -> int:
    settings = load_settings(options.app)
    argv = options.argv[1:] if options.argv[:1] == ["--"] else options.argv
    if not argv:
        raise RingstandError(f"Failed to run a command of {settings.name}: name one, such as `flask --help`")
    if options.timeout is not None and not 0 < options.timeout < _TIMEOUT_SECONDS_MAX:
        raise RingstandError(
            f"Failed to run a command of {settings.name}: --timeout {options.timeout:g} is not between 0 and "
            f"{_TIMEOUT_SECONDS_MAX} seconds"
        )
    if not os.path.exists(settings.layout.environment_file):
        raise RingstandError(
            f"Failed to run a command of {settings.name}: {settings.layout.environment_file} is missing. Run site.yml."
        )
    unit = one_off_unit(settings, _live(settings))
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    command = unit_arguments(unit, new_unit_name(unit), options.timeout, terminal)
    # By way of env, because systemd looks for a bare name in its own PATH and not in the unit's.
    return subprocess.run([*command, "--", "/usr/bin/env", "--", *argv], check=False).returncode


def journal_command(settings: AppSettings, options: argparse.Namespace) -> list[str]:
    """The journalctl command that shows what ``options`` (follow, since, grep, lines, process) ask for."""
    layout = settings.layout
    units = {"web": f"ringstand-{settings.name}@*.service", "activation": layout.activation_unit}
    if options.process in (None, *units):
        chosen = [units[options.process]] if options.process else [*units.values(), layout.process_unit("*", "*")]
    else:
        known = process_plan.units_on_disk(layout)
        if options.process not in known:
            raise RingstandError(
                f"Failed to show the log of {options.process!r}: {settings.name} has no such process. "
                f"It has: {', '.join([*units, *known])}."
            )
        chosen = [layout.process_unit(options.process, "*")]
    command = ["journalctl", "--no-pager", f"--lines={options.lines}", *(f"--unit={unit}" for unit in chosen)]
    command += ["--output=json"] if options.json else ["--output=short-iso"]
    command += ["--follow"] if options.follow else []
    command += [f"--since={options.since}"] if options.since else []
    return command + ([f"--grep={options.grep}"] if options.grep else [])


def _logs(options: argparse.Namespace) -> int:
    command = journal_command(load_settings(options.app), options)
    if not options.grep or options.follow:
        return subprocess.run(command, check=False).returncode
    done = subprocess.run(command, stderr=subprocess.PIPE, check=False)
    sys.stderr.buffer.write(done.stderr)
    # journalctl ends with 1 also when no line matches, and only then without a word about it.
    return 0 if done.returncode == 1 and not done.stderr.strip() else done.returncode


def _env(options: argparse.Namespace) -> int:
    settings = load_settings(options.app)
    found = process_environment.read(settings)
    prints = {
        name: hashlib.sha256(value.encode("utf-8", "surrogateescape")).hexdigest()[:FINGERPRINT_CHARACTERS]
        for name, value in sorted(found.items())
    }
    if options.json:
        say(json.dumps({"app": settings.name, "environment": prints}))
        return 0
    width = max(map(len, prints), default=0)
    for name, fingerprint in prints.items():
        say(f"{name:<{width}}  sha256 {fingerprint}…")
    return 0

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What runs beside the web of an app, its hooks and its other commands, and where its events are sent."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

from ..apps import HOOKS, SCHEDULER, as_list, process_settings
from .app_fields import PROCESS_FIELDS
from .problems import Problems, join
from .schema import Field, check, is_integer
from .secrets import check_url

PROCESS_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,30}")
# A Procfile's web and release have keys of their own; the other names are those of parts that logs are shown of.
RESERVED_PROCESSES = {
    "web": "Set wsgi and workers of the app instead",
    "release": "Set release_command of the app instead",
    "activation": "Rename it",
}
_PROCESS = Field((str, dict), options=PROCESS_FIELDS)


def check_command(command: Any, path: str, problems: Problems) -> None:
    """One shell command on one line, with quotes that match."""
    if not isinstance(command, str):
        return
    if not command.strip() or "\0" in command:
        problems.add(path, "the command is empty or holds a NUL", "Write a shell command or remove it", command)
        return
    try:
        shlex.split(command)
    except ValueError as error:
        problems.add(path, f"the command's quotes do not match ({error})", "Close them", command)


def check_commands(app: Mapping[str, Any], path: str, problems: Problems) -> None:
    """The app's own commands and its hooks: one command or a list of them each."""
    keys = ("release_command", "first_deploy_command", "migration_command")
    found = {join(path, key): app.get(key) for key in keys}
    hooks = app.get("hooks")
    if isinstance(hooks, Mapping):
        found.update({join(join(path, "hooks"), hook): hooks.get(hook) for hook in HOOKS})
    for here, commands in found.items():
        for position, command in enumerate(as_list(commands)):
            check_command(command, join(here, position) if isinstance(commands, list) else here, problems)


def check_processes(processes: Any, path: str, problems: Problems) -> None:
    """Names, keys and commands of workers and schedulers."""
    for key, process in processes.items() if isinstance(processes, Mapping) else ():
        name, here = str(key), join(path, str(key))
        if name in RESERVED_PROCESSES:
            problems.add(here, "this is no name for a worker or scheduler", RESERVED_PROCESSES[name])
        elif not PROCESS_NAME.fullmatch(name):
            rule = "a name has 1 to 31 letters, digits, '-' and '_', and begins with a letter or digit"
            problems.add(here, rule, "Rename it", name)
        if process is None:
            problems.add(here, "the process has no command", "Give it one or remove it")
        elif check(process, _PROCESS, here, problems):
            _check_process(name, process, here, problems)


def _check_process(name: str, given: Any, path: str, problems: Problems) -> None:
    process = process_settings(name, given)
    here = path if isinstance(given, str) else join(path, "command")
    check_command(process["command"], here, problems)
    if isinstance(process["command"], str) and "\n" in process["command"]:
        problems.add(here, "the command has several lines", "Join them with '&&'", process["command"])
    count = process["count"]
    if process["kind"] == SCHEDULER and is_integer(count) and count > 1:
        rule = "two schedulers would do everything twice (by its name or command this is one, unless kind says worker)"
        problems.add(join(path, "count"), rule, "Set it to 1, or kind: worker", count)


def check_webhook(url: Any, path: str, problems: Problems) -> None:
    """Where events are sent; the URL is a secret."""
    check_url(url or None, ("https", "http"), path, problems)

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The verb of ``ringstand`` that opens an app's database."""

from __future__ import annotations

import argparse
import inspect
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

from . import builds, database_shell
from .app_unit import AppUnit, new_unit_name, unit_arguments
from .layout import AppSettings, load_settings


def add_commands(command: Callable[..., None]) -> None:
    """Register the verb with ``command(name, run, help, *options)``."""
    command(
        "database",
        _database,
        "psql with the app's user and database; takes psql's arguments, and SQL by a pipe",
        ("app", {"metavar": "APP"}),
        ("argv", {"metavar": "ARGUMENT", "nargs": argparse.REMAINDER, "help": "of psql, such as -c 'SELECT 1'"}),
    )


def shell_unit(settings: AppSettings) -> AppUnit:
    """The unit that psql runs in: with the app's environment, a direct connection, and without a release of it."""
    layout = settings.layout
    unit = builds.app_unit(
        settings,
        "database",
        layout.shared_dir,
        environment_file=layout.environment_file,
        overriding_file=layout.migration_environment_file,
        # A history would be a file of the app with what an operator typed.
        environment={"HOME": layout.shared_dir, "PSQL_HISTORY": "/dev/null", "PATH": "/usr/local/bin:/usr/bin:/bin"},
        writable_paths=[layout.shared_dir],
    )
    return replace(unit, purpose="database", binds_to=None)


def shell_command(settings: AppSettings, argv: list[str], terminal: bool) -> list[str]:
    """The whole command line; nothing in it is secret but what the operator writes."""
    unit = shell_unit(settings)
    program = ["/usr/bin/python3", "-I", "-c", inspect.getsource(database_shell)]
    return [*unit_arguments(unit, new_unit_name(unit), None, terminal), "--", *program, *argv]


def _database(options: argparse.Namespace) -> int:
    settings = load_settings(options.app)
    argv = options.argv[1:] if options.argv[:1] == ["--"] else options.argv
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    return subprocess.run(shell_command(settings, argv, terminal), check=False).returncode

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the backup role's variables may be: where backups go, of what, and with which key."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any

from .names import check_database_name, check_item_name
from .problems import Problems, join
from .secrets import GENERATE, check_secret
from .sources import check_absolute_path

KEY = re.compile(r"[!-~]{20,200}")
# What is written there is code, configuration or data of others, or is gone after a restart.
NOT_FOR_BACKUPS = (
    "/boot", "/dev", "/etc", "/proc", "/run", "/sys", "/tmp", "/usr", "/var/cache",  # noqa: S108
    "/var/lib/postgresql", "/var/lib/ringstand", "/var/run", "/var/tmp",  # noqa: S108
)


def below(path: str, directory: str) -> bool:
    """Whether a path is a directory or in it."""
    return path == directory or path.startswith(f"{directory.rstrip('/')}/")


def backup_dir(variable: str, value: Any, problems: Problems) -> None:
    """A directory of its own for backups."""
    if not check_absolute_path(value, variable, problems):
        return
    for directory in NOT_FOR_BACKUPS:
        if below(os.path.normpath(value), directory):
            problems.add(variable, f"backups do not belong below {directory}", "Name another directory", value)
    if re.search(r"[^A-Za-z0-9/._-]", value) or ".." in value.split("/"):
        problems.add(variable, "a path here has letters, digits, '.', '_' and '-' only", "Rename it", value)


def backup_key(variable: str, value: Any, problems: Problems) -> None:
    """A key that a line of a configuration file holds verbatim; it is never shown."""
    before = len(problems.errors)
    check_secret(value, variable, problems)
    if isinstance(value, str) and len(problems.errors) == before and not KEY.fullmatch(value):
        problems.add(variable, "a key has 20 to 200 printable ASCII characters and no space", GENERATE)


def absolute_paths(variable: str, value: Any, problems: Problems) -> None:
    """Each item an absolute path of its own."""
    for position, item in enumerate(value if isinstance(value, list) else []):
        check_absolute_path(item, join(variable, position), problems)


def check_backup_paths(items: Iterable[tuple[str, dict[str, Any]]], problems: Problems) -> None:
    """Sets of files; ``items`` are pairs of a path in the input and the set."""
    for path, item in items:
        check_item_name(item.get("name"), join(path, "name"), problems)
        if item.get("name") == "host":
            rule = "this is the name of the set of backup_host_paths"
            problems.add(join(path, "name"), rule, "Rename it, or write backup_host_paths", "host")
        absolute_paths(join(path, "paths"), item.get("paths"), problems)


def check_backup_databases(variable: str, value: Any, problems: Problems) -> None:
    """Names of databases, or "all" alone."""
    names = value if isinstance(value, list) else []
    if "all" in names:
        if len(names) > 1:
            problems.add(variable, "all stands for every database", "Write only [all], or only names", value)
        return
    for position, name in enumerate(names):
        if name != "postgres":
            check_database_name(str(name), join(variable, position), problems)

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The verb of ``ringstand`` by which an app's data arrives from elsewhere."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from . import import_run
from .backup_settings import only_one
from .caller import caller
from .console import complain, say
from .errors import RingstandError
from .layout import load_settings

_LOCK_PATH = "/run/lock/ringstand-import.lock"
_STDIN = "-"


def add_commands(command: Callable[..., None]) -> None:
    """Register the verb with ``command(name, run, help, *options)``."""
    command(
        "import",
        _import,
        "load a dump, or a database elsewhere, and uploads into a new app",
        ("app", {"metavar": "APP"}),
        ("--dump", {"default": "", "metavar": "PATH",
                    "help": "what pg_dump wrote: a file, compressed or not, or a directory"}),
        ("--url-file", {"default": "", "metavar": "FILE",
                        "help": "a file with the postgres:// URL of the source, - for standard input"}),
        ("--uploads", {"default": "", "metavar": "PATH", "help": "a tar archive or a directory of uploads"}),
        ("--uploads-into", {"default": "", "metavar": "DIR",
                            "help": "the folder of the app's shared that they go into (media if it is there)"}),
        ("--check", {"action": "store_true", "help": "check everything, say what would be done, change nothing"}),
        ("--by", {"default": caller(), "help": "who does it"}),
    )


def _url(path: str) -> str:
    if not path:
        return ""
    try:
        if path == _STDIN:
            return sys.stdin.read().strip()
        with open(path, encoding="utf-8") as stream:
            return stream.read().strip()
    except (OSError, ValueError) as error:
        raise RingstandError(f"Failed to read the source's URL from {path}: {error}") from error


def _import(options: argparse.Namespace) -> int:
    settings = load_settings(options.app)
    if options.dump and options.url_file:
        raise RingstandError("Failed to import: --dump and --url-file exclude each other")
    url = _url(options.url_file)
    if options.url_file and not url:
        raise RingstandError(f"Failed to import: there is no URL in {options.url_file}")
    wanted = import_run.Wanted(settings, options.dump, url, options.uploads, options.uploads_into)

    def tell(text: str) -> None:
        if not options.json:
            complain(f"import: {text}")

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with only_one("import", time.time(), _LOCK_PATH):
        result = import_run.run(wanted, options.by, tell, options.check)
    say(json.dumps({**result, "result": "ok"}) if options.json else _words(result))
    return 3 if result["problems"] else 0


def _words(result: dict[str, Any]) -> str:
    if "would" in result:
        return f"would {result['would']}"
    lines = []
    if "database" in result:
        tables = f"{result['rows']} rows in {len(result['tables'])} tables"
        lines.append(f"{tables} are in the database {result['database']}")
        lines.append(f"the database is at the revision {result['revision']}" if result["revision"] else
                     "the database has no revision of Alembic")
    if result.get("uploads"):
        lines.append(f"the uploads are in {result['uploads']}")
    if "database" in result and not result["maintenance"]:
        lines.append(f"if the app ran meanwhile, restart it: ringstand restart {result['app']}")
    # Unless the problems say what has to come before its end.
    if result.get("maintenance") and not any("ringstand maintenance" in text for text in result["problems"]):
        lines.append(
            f"{result['app']} was in maintenance before, which an import that was killed leaves as well, and still is. "
            f"To end it: ringstand maintenance {result['app']} off"
        )
    return "\n".join([*lines, *(f"NOT GOOD: {text}" for text in result["problems"])])

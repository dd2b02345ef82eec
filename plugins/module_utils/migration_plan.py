# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a source brings its schema to a database: Flask-Migrate, Alembic alone, or a command of its own."""

from __future__ import annotations

import configparser
import os
from collections.abc import Sequence
from dataclasses import dataclass

from .errors import RingstandError
from .source_files import read_inside

DEFAULT_DIR = "migrations"


@dataclass(frozen=True)
class MigrationPlan:
    """``directory`` has Alembic's revisions, relative to the source; empty when there is none.

    ``command`` upgrades; without words it is ``flask db upgrade``.
    """

    directory: str
    command: Sequence[str] = ()


def migration_plan(source: str, venv: str, kind: str, directory: str = "", command: str = "") -> MigrationPlan:
    """Find out what to do. ``kind`` is auto, flask or alembic; ``directory`` and ``command`` are what the user set.

    With auto, Alembic is used alone where ``alembic.ini`` is in the root and not beside the revisions, as Flask-Migrate
    has it. Raises RingstandError when alembic.ini says nothing.
    """
    wanted = directory or DEFAULT_DIR
    has_ini = [os.path.isfile(os.path.join(source, folder, "alembic.ini")) for folder in ("", wanted)]
    is_alone = has_ini == [True, False]
    if kind == "alembic" or (kind == "auto" and is_alone):
        directory = directory or script_location(source)
        words: Sequence[str] = [f"{venv}/bin/alembic", "upgrade", "head"]
    else:
        directory, words = wanted, ()
    if command:
        words = ["/bin/sh", "-ec", command]
        directory = directory if os.path.isdir(os.path.join(source, directory)) else ""
    return MigrationPlan(directory, words)


def script_location(source: str) -> str:
    """The folder that a source's alembic.ini names, relative to it."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(read_inside(source, "alembic.ini").decode())
        location = parser.get("alembic", "script_location")
    except (OSError, configparser.Error, UnicodeDecodeError) as error:
        raise RingstandError(
            f"Failed to read alembic.ini: {error}. Set migrations_dir to the folder that has the app's env.py, "
            "or migrations: none."
        ) from error
    # package:folder is looked up in the source, "here" is the folder of alembic.ini.
    package, colon, folder = location.partition(":")
    path = f"{package.replace('.', '/')}/{folder}" if colon else location
    path = os.path.normpath(path.replace("%(here)s", "."))
    if path.startswith(("/", "..")):
        raise RingstandError(f"Failed to read alembic.ini: its script_location {location!r} is outside the source.")
    return path

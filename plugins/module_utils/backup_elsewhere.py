# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Dumps of databases that are not on this host, and their way back. There is no point in time for these.

pg_dump and pg_restore run as the app's user in a unit of its own, in whose environment systemd puts the URL from the
app's environment file (root's, 0600): it is in no argument and in no file of ours.
"""

from __future__ import annotations

import contextlib
import grp
import inspect
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from . import backup_dumps, database_shell
from .app_unit import new_unit_name, unit_arguments
from .backup_dumps import Dump
from .backup_settings import BackupSettings
from .commands import redact, run
from .errors import RingstandError
from .layout import load_settings
from .program_database import shell_unit

# What a database elsewhere is called among the dumps: no database of this host has such a name.
SUFFIX = "@elsewhere"
# "2; 3079 16389 EXTENSION - citext", "4021; 0 0 COMMENT - EXTENSION citext"
_EXTENSION = re.compile(r"\d+; \d+ \d+ (COMMENT - )?EXTENSION ")
NO_POINT_IN_TIME = "its database is elsewhere: only nightly dumps of it are here, no restore to a moment"


def folder(app: str) -> str:
    """The name of an app's dumps."""
    return f"{app}{SUFFIX}"


def dump(settings: BackupSettings, app: str, now: float) -> Dump:
    """Dump the database of an app, read the result back, and put it in place; as :func:`backup_dumps.dump`."""

    def fill(stream: Any) -> None:
        wait = backup_dumps.LOCK_WAIT_SECONDS * 1000
        arguments = ["pg_dump", "-Fc", "-w", "--no-owner", "--no-privileges", f"--lock-wait-timeout={wait}"]
        _run(app, arguments, "dump", stdout=stream)

    def read_back(path: str) -> None:
        with open(path, "rb") as stream:
            _run(app, ["pg_restore", "--file=/dev/null"], "read back the dump of", stdin=stream)

    return backup_dumps.write(settings, folder(app), now, fill, read_back)


def newest(settings: BackupSettings, app: str) -> Dump:
    """The newest dump of an app's database; raises :class:`RingstandError` when there is none."""
    found = [item for item in backup_dumps.dumps(settings.dumps_dir) if item.database == folder(app)]
    if not found:
        raise RingstandError(f"Failed to find a dump of the database of {app}: {settings.dumps_dir} has none")
    return found[-1]


def restore(app: str, path: str) -> None:
    """Put a dump into an app's database in the place of what is there, in one transaction: all of it, or nothing.

    Raises :class:`RingstandError`, and then the database is as before.
    """
    reason = backup_dumps.damage(path, os.path.exists(f"{path}{backup_dumps.SUM}"))
    if reason and not reason.startswith("its sum"):
        raise RingstandError(f"Failed to restore {path}: {reason}. Nothing was changed")
    options = ["--clean", "--if-exists", "--no-owner", "--no-privileges", "--single-transaction", "--dbname="]
    listed = run(["pg_restore", "--list", path])
    if listed.rc != 0:
        raise RingstandError(f"Failed to read {path}: {listed.stderr.strip()}. Nothing was changed")
    with _readable_by(app, without_extensions(listed.stdout)) as contents, open(path, "rb") as stream:
        _run(app, ["pg_restore", *options, f"--use-list={contents}"], "restore", stdin=stream)


def without_extensions(listing: str) -> str:
    """The table of contents of a dump without extensions: these are the server's, and only a superuser changes them."""
    lines = listing.splitlines()
    return "\n".join(line for line in lines if not _EXTENSION.match(line)) + "\n"


@contextlib.contextmanager
def _readable_by(app: str, text: str) -> Iterator[str]:
    """A file that only root and the app can read, for as long as it is needed."""
    descriptor, path = tempfile.mkstemp(prefix="ringstand-contents-", dir="/run")
    try:
        with open(descriptor, "w", encoding="utf-8") as stream:
            os.fchown(descriptor, 0, grp.getgrnam(app).gr_gid)
            os.fchmod(descriptor, 0o640)
            stream.write(text)
        yield path
    finally:
        os.unlink(path)


def _run(app: str, arguments: Sequence[str], what: str, stdin: Any = None, stdout: Any = None) -> None:
    unit = shell_unit(load_settings(app))
    program = ["/usr/bin/python3", "-I", "-c", inspect.getsource(database_shell)]
    command = [*unit_arguments(unit, new_unit_name(unit), None), "--", *program, f"--program={arguments[0]}"]
    done = subprocess.run(
        [*command, *arguments[1:]],
        stdin=stdin or subprocess.DEVNULL,
        stdout=stdout or subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        said = " / ".join(line.strip() for line in redact(done.stderr).splitlines()[:3]) or "it gave no reason"
        hint = ". Install a postgresql-client of the server's version or newer" if "version mismatch" in said else ""
        raise RingstandError(f"Failed to {what} the database of {app}: {said}{hint}", rc=done.returncode)

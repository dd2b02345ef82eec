# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The files of Redis instances as they are at one moment, without a password and without stopping anything.

Redis only ever appends to a log, or writes a new file and renames it over the old one; what its manifest names is
complete, and stays when it is linked under another name while Redis removes it
(https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/, "Backing up AOF persistence"). The end of
a log that is being written may be half a command, which Redis cuts off when it loads it (aof-load-truncated).
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator

SET = "redis"
FOLDER = "ringstand-backup"
_TRIES = 5
_NAMED = re.compile(r"^file (\S+) ", re.MULTILINE)


@contextlib.contextmanager
def snapshot(directory: str) -> Iterator[list[str]]:
    """The paths to back up: links to the files of all instances below ``directory``; they are removed at the end.

    None when the directory is not there, or nothing in it is kept over a restart.
    """
    if not directory or not os.path.isdir(directory):
        yield []
        return
    target = os.path.join(directory, FOLDER)
    shutil.rmtree(target, ignore_errors=True)
    os.mkdir(target, 0o700)
    try:
        found = [name for name in sorted(os.listdir(directory)) if name != FOLDER]
        instances = [("", directory)] + [(name, os.path.join(directory, name)) for name in found]
        kept = [_take(path, os.path.join(target, name)) for name, path in instances if os.path.isdir(path)]
        yield [target] if any(kept) else []
    finally:
        shutil.rmtree(target, ignore_errors=True)


def _take(instance: str, target: str) -> bool:
    """Link what an instance keeps; returns whether there is anything."""
    single = [name for name in ("appendonly.aof", "dump.rdb") if os.path.isfile(os.path.join(instance, name))]
    folder = os.path.join(instance, "appendonlydir")
    if not single and not os.path.isdir(folder):
        return False
    os.makedirs(target, mode=0o700, exist_ok=True)
    for name in single:
        _link(os.path.join(instance, name), os.path.join(target, name))
    if os.path.isdir(folder):
        _take_log(folder, os.path.join(target, "appendonlydir"))
    return True


def _take_log(folder: str, target: str) -> None:
    for attempt in range(_TRIES):
        shutil.rmtree(target, ignore_errors=True)
        os.mkdir(target, 0o700)
        try:
            for manifest in (name for name in os.listdir(folder) if name.endswith(".manifest")):
                _link(os.path.join(folder, manifest), os.path.join(target, manifest))
                with open(os.path.join(target, manifest), encoding="utf-8") as stream:
                    names = _NAMED.findall(stream.read())
                for name in names:
                    _link(os.path.join(folder, os.path.basename(name)), os.path.join(target, os.path.basename(name)))
            return
        except FileNotFoundError:  # it was written anew meanwhile, and a newer manifest names other files
            if attempt == _TRIES - 1:
                raise


def _link(source: str, target: str) -> None:
    os.link(source, target, follow_symlinks=False)

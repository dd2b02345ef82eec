# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Releases on disk: their names, manifests, freezing and pruning.

A release is a folder ``releases/<id>`` with ``src/``, ``venv`` (a link) and ``manifest.json``. The manifest is written
last and durably: a folder without one is the rest of a build that did not finish.
"""

from __future__ import annotations

import calendar
import contextlib
import grp
import json
import os
import re
import shutil
import stat
import time
from collections.abc import Iterable
from typing import Any

from .errors import RingstandError
from .layout import SLOTS, Layout
from .links import sync_dir
from .switch import live_release, release_of

# A virtual environment that has this file is complete.
VENV_MARKER = ".ringstand-complete"
_MANIFEST = "manifest.json"
_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{4,40}")


def release_ids(layout: Layout) -> list[str]:
    """The ids of all folders in ``releases``, oldest first (an id begins with its UTC time)."""
    try:
        return sorted(name for name in os.listdir(layout.releases_dir) if _ID.fullmatch(name))
    except FileNotFoundError:
        return []


def new_id(layout: Layout, sha: str, now: float) -> str:
    """A new id, ``<UTC time>-<sha>``: later than every one that is there, even when the clock went back."""
    existing = release_ids(layout)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    if existing and stamp <= existing[-1][:16]:
        newest = time.strptime(existing[-1][:16], "%Y%m%dT%H%M%SZ")
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(calendar.timegm(newest) + 1))
    return f"{stamp}-{sha[:7]}"


def read_manifest(layout: Layout, release: str) -> dict[str, Any] | None:
    """The manifest of a complete release, or None."""
    try:
        with open(os.path.join(layout.release_dir(release), _MANIFEST), encoding="utf-8") as stream:
            return json.load(stream)
    except (OSError, ValueError):
        return None


def write_manifest(layout: Layout, release: str, manifest: dict[str, Any]) -> None:
    """Declare a release complete."""
    directory = layout.release_dir(release)
    write_durably(os.path.join(directory, _MANIFEST), json.dumps({"schema": 1, **manifest}, indent=1))
    sync_dir(layout.releases_dir)


def write_durably(path: str, text: str, mode: int = 0o644) -> None:
    """Write a file so that after a power loss it is there whole, or not at all."""
    temporary = f"{path}.new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with open(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.rename(temporary, path)
    sync_dir(os.path.dirname(path))


def remove_tree(path: str, marker: str) -> None:
    """Remove a folder that ``marker`` in it declares complete: should this be killed, what is left is not complete."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(path, marker))
        sync_dir(path)
    shutil.rmtree(path)


def freeze(path: str, group: str) -> None:
    """Give a tree to root, readable by ``group`` and writable by nobody else, without following links."""
    gid = grp.getgrnam(group).gr_gid
    for directory, names, files in os.walk(path):
        for entry in [directory, *(os.path.join(directory, name) for name in files + names)]:
            mode = os.lstat(entry).st_mode
            os.lchown(entry, 0, gid)
            if not stat.S_ISLNK(mode):
                readable = 0o050 if stat.S_ISDIR(mode) or mode & 0o100 else 0o040
                os.chmod(entry, (stat.S_IMODE(mode) | readable | 0o400) & 0o755)


def remove_incomplete(layout: Layout) -> list[str]:
    """Remove what builds that were killed left behind; returns the ids."""
    in_use = {release_of(layout, slot) for slot in SLOTS}
    broken = [name for name in release_ids(layout) if name not in in_use and read_manifest(layout, name) is None]
    for name in broken:
        shutil.rmtree(layout.release_dir(name))
    return broken


def prune(
    layout: Layout, keep: int, good: list[str], in_use: Iterable[str] = (), spare_venvs: int = 0
) -> list[str]:
    """Remove all but the ``keep`` releases that last served well, and the virtual environments that none refers to.

    ``good`` are those that served well, in the order in which they last went live. Of the others only the newest is
    kept, to look at. Never removed: what a slot is linked to or a process runs (``in_use``), the two that last went
    live, and the ``spare_venvs`` newest environments that no release refers to.
    Returns the ids that were removed.
    """
    others = [name for name in release_ids(layout) if name not in good]
    kept = {release_of(layout, slot) for slot in SLOTS} | {*good[-max(keep, 2) :], *others[-1:], *in_use}
    removed = [name for name in release_ids(layout) if name not in kept]
    for name in removed:
        remove_tree(layout.release_dir(name), _MANIFEST)
    used = {os.path.basename(os.path.realpath(f"{layout.release_dir(name)}/venv")) for name in release_ids(layout)}
    unused = [os.path.join(layout.venvs_dir, name) for name in os.listdir(layout.venvs_dir) if name not in used]
    for path in sorted(unused, key=os.path.getmtime)[: len(unused) - spare_venvs]:
        remove_tree(path, VENV_MARKER)
    return removed


def discard(layout: Layout, release: str) -> None:
    """Remove a release that failed before it served, as far as that is possible."""
    with contextlib.suppress(OSError):
        remove_tree(layout.release_dir(release), _MANIFEST)


def find_release(layout: Layout, wanted: str, good: list[str]) -> str:
    """Return the id that an operator means by ``wanted``: an id, its beginning, a version, ``live`` or ``previous``."""
    live = live_release(layout)
    if not wanted:
        raise RingstandError(f"Failed to find a release of {layout.app}: its name is empty. Leave it out, or say it.")
    if wanted == "live":
        if live is None:
            raise RingstandError(f"Failed to find the live release of {layout.app}: nothing has been deployed yet")
        return live
    if wanted == "previous":
        earlier = [name for name in good if name != live]
        if not earlier:
            raise RingstandError(f"Failed to roll back {layout.app}: no earlier release that served is on this host")
        return earlier[-1]
    complete = {name: read_manifest(layout, name) for name in release_ids(layout)}
    found = [
        name
        for name, manifest in complete.items()
        if manifest and (name == wanted or name.startswith(wanted) or manifest.get("version") == wanted)
    ]
    if wanted in found:
        return wanted
    if len(found) != 1:
        reason = "several releases match" if found else "no complete release on this host has that id or version"
        names = ", ".join(found or [name for name, manifest in complete.items() if manifest]) or "none"
        raise RingstandError(f"Failed to find release {wanted!r} of {layout.app}: {reason}. Releases: {names}.")
    return found[0]

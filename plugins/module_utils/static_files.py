# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Static files where nginx serves them: added with each release, removed some days after no release has them."""

from __future__ import annotations

import os
import shutil

from .errors import RingstandError
from .layout import AppSettings
from .links import sync_dir, sync_file_system
from .releases import release_ids

# Pages of an old release may still be open in browsers.
GRACE_SECONDS = 7 * 24 * 3600
_STAGED = ".ringstand-new"


def publish(settings: AppSettings, source: str) -> int:
    """Copy the source's static files to where nginx serves them; returns how many changed.

    Additive, each file atomically and durably: pages of the old release keep finding theirs, and a power cut leaves
    no empty one in its place.
    """
    if not settings.static:
        return 0
    origin = os.path.join(source, settings.static["dir"])
    if not os.path.isdir(origin):
        raise RingstandError(
            f"Failed to publish static files: {settings.static['dir']!r} is not a folder of the source. "
            f"Set static.dir of {settings.name} to the folder that holds them, or remove static."
        )
    staged = []
    for directory, _names, files in os.walk(origin):
        relative = os.path.relpath(directory, origin)
        target = os.path.normpath(os.path.join(settings.layout.static_dir, relative))
        os.makedirs(target, mode=0o755, exist_ok=True)
        for name in files:
            path = os.path.join(target, name)
            if _stage(os.path.join(directory, name), path):
                staged.append(path)
    if staged:
        sync_file_system(settings.layout.static_dir)
    for path in staged:
        os.rename(f"{path}{_STAGED}", path)
    for folder in {os.path.dirname(path) for path in staged}:
        sync_dir(folder)
    return len(staged)


def _stage(origin: str, target: str) -> bool:
    """Copy a file to where it can be renamed to ``target``, unless it is there already."""
    if os.path.islink(origin):
        return False  # a link could lead nginx to any file of the host
    status = os.stat(origin)
    try:
        existing = os.stat(target)
        if (existing.st_size, int(existing.st_mtime)) == (status.st_size, int(status.st_mtime)):
            return False
    except FileNotFoundError:
        pass
    temporary = f"{target}{_STAGED}"
    shutil.copyfile(origin, temporary)
    os.chmod(temporary, 0o644)
    os.utime(temporary, (status.st_atime, status.st_mtime))
    return True


def prune(settings: AppSettings, now: float) -> int:
    """Remove published files that no release on disk has, some days after they were published; returns how many."""
    if not settings.static:
        return 0
    layout = settings.layout
    origins = [os.path.join(layout.release_dir(name), "src", settings.static["dir"]) for name in release_ids(layout)]
    removed = 0
    for directory, _names, files in os.walk(layout.static_dir, topdown=False):
        relative = os.path.relpath(directory, layout.static_dir)
        for name in files:
            path = os.path.join(directory, name)
            wanted = any(os.path.exists(os.path.join(origin, relative, name)) for origin in origins)
            if name.endswith(_STAGED):  # by a deploy that was killed
                os.unlink(path)
            elif not wanted and now - os.stat(path).st_ctime > GRACE_SECONDS:
                os.unlink(path)
                removed += 1
    return removed

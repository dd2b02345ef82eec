# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Static files where nginx serves them: those of the release that serves, and others for as long as pages need them.

Names that are new are there before the switch and stay for some days after no release has them: pages of both releases
find theirs. A name that both have with another content belongs to the release that serves, and changes with it.
"""

from __future__ import annotations

import contextlib
import filecmp
import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .build_settings import STATIC_DIR
from .errors import RingstandError, reason_of
from .layout import AppSettings
from .links import sync_dir, sync_file_system
from .releases import read_manifest, release_ids

# Pages of an old release may still be open in browsers.
GRACE_SECONDS = 7 * 24 * 3600
_STAGED = ".ringstand-new"
# What nginx sends in the place of the file before the suffix, to clients that take it.
_PRECOMPRESSED = (".gz", ".br")


@dataclass
class Prepared:
    """What is left to the switch: files that wait beside those they replace, and such that fit no file any more."""

    changed: list[str]
    obsolete: list[str]


def check(settings: AppSettings, source: str) -> None:
    """Raise :class:`RingstandError` when the source does not have the folder of static files."""
    if settings.static and not _is_folder(settings, os.path.join(source, settings.static["dir"])):
        raise RingstandError(
            f"Failed to publish static files: {settings.static['dir']!r} is not a folder of the source. "
            f"Set static.dir of {settings.name} to the folder that holds them, or remove static."
        )


def prepare(settings: AppSettings, release: str) -> Prepared:
    """Publish a release's files under names that are new, and copy those that have changed beside the published ones.

    All durably: a power cut leaves no empty file in the place of another one.
    """
    files = dict(_files(settings, release))
    differing = [target for target, origin in files.items() if not _have_same_content(target, origin)]
    for target in differing:
        _copy(files[target], target)
    # A compressed file stands for the one that it was made of, and must not be there before that one changes.
    changed = [target for target in differing if os.path.lexists(target) or os.path.lexists(_uncompressed(target))]
    new = sorted(set(differing) - set(changed))
    if differing:
        sync_file_system(settings.layout.static_dir)
    _rename(new)
    compressed = {target + suffix for target in files for suffix in _PRECOMPRESSED}
    return Prepared(changed, sorted(filter(os.path.isfile, compressed - set(files))))


def place(prepared: Prepared) -> None:
    """Let what was prepared take its place; takes milliseconds."""
    for path in prepared.obsolete:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    _rename(prepared.changed, {os.path.dirname(path) for path in prepared.obsolete})


def publish(settings: AppSettings, release: str | None) -> str:
    """Let the files be those of a release that has the traffic again; returns for people why they are not.

    Without a release, only what was prepared for another one goes.
    """
    try:
        if release:
            place(prepare(settings, release))
        remove_prepared(settings)
    except (OSError, subprocess.SubprocessError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else str(error)
        return f"The static files of {release} could not be published again: {reason}"
    return ""


def remove_prepared(settings: AppSettings) -> None:
    """Remove what was prepared for a switch that did not happen, as far as that is possible."""
    for directory, _names, files in os.walk(settings.layout.static_dir):
        for name in files:
            if name.endswith(_STAGED):
                with contextlib.suppress(OSError):
                    os.unlink(os.path.join(directory, name))


def prune(settings: AppSettings, now: float) -> int:
    """Remove published files that no release on disk has, some days after they were published; returns how many."""
    if not settings.static:
        return 0
    layout = settings.layout
    origins = [origin for name in release_ids(layout) if (origin := _origin(settings, name))]
    removed = 0
    for directory, _names, files in os.walk(layout.static_dir, topdown=False):
        relative = os.path.relpath(directory, layout.static_dir)
        for name in files:
            path = os.path.join(directory, name)
            wanted = any(os.path.exists(os.path.join(origin, relative, name)) for origin in origins)
            if not wanted and now - os.stat(path).st_ctime > GRACE_SECONDS:
                os.unlink(path)
                removed += 1
    return removed


def _origin(settings: AppSettings, release: str) -> str | None:
    """The folder of a release's static files, where it was built with one, or None."""
    if not settings.static:
        return None
    layout = settings.layout
    built = (read_manifest(layout, release) or {}).get("settings") or {}
    origin = os.path.join(layout.release_dir(release), "src", built.get(STATIC_DIR) or settings.static["dir"])
    return origin if _is_folder(settings, origin) else None


def _is_folder(settings: AppSettings, path: str) -> bool:
    """Whether it is a folder of the app: by a link, root would publish any file of the host."""
    real = os.path.realpath(path)
    return os.path.isdir(real) and real.startswith(f"{os.path.realpath(settings.layout.app_dir)}/")


def _files(settings: AppSettings, release: str) -> Iterator[tuple[str, str]]:
    """Where each file of a release is published, and the file; no link, which could lead to any file of the host."""
    origin = _origin(settings, release)
    for directory, _names, files in os.walk(origin) if origin else ():
        target = os.path.normpath(os.path.join(settings.layout.static_dir, os.path.relpath(directory, origin)))
        for name in files:
            path = os.path.join(directory, name)
            if not os.path.islink(path):
                yield os.path.join(target, name), path


def _have_same_content(one: str, other: str) -> bool:
    """Times say nothing: those of an archive may all be the same."""
    try:
        return filecmp.cmp(one, other, shallow=False)
    except FileNotFoundError:
        return False


def _copy(origin: str, target: str) -> None:
    """Copy a file to where it can be renamed to ``target``, later than what is there by a second at least.

    Of time and size nginx makes the ETag: with those of another content, browsers would go on with that one.
    """
    os.makedirs(os.path.dirname(target), mode=0o755, exist_ok=True)
    temporary = f"{target}{_STAGED}"
    shutil.copyfile(origin, temporary)
    os.chmod(temporary, 0o644)
    modified = int(time.time())
    with contextlib.suppress(FileNotFoundError):
        modified = max(modified, int(os.stat(target).st_mtime) + 1)
    os.utime(temporary, (modified, modified))


def _uncompressed(path: str) -> str:
    root, suffix = os.path.splitext(path)
    return root if suffix in _PRECOMPRESSED else path


def _rename(paths: Iterable[str], folders: Iterable[str] = ()) -> None:
    """Let files that are on disk take their places; all are moved before the first folder is written."""
    for path in paths:
        os.rename(f"{path}{_STAGED}", path)
    for folder in {*folders, *map(os.path.dirname, paths)}:
        sync_dir(folder)

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Folders of the source that the app writes to: links into ``shared``, where they outlive the release."""

from __future__ import annotations

import os

from . import builds
from .app_unit import run_in_unit
from .layout import AppSettings

_TIMEOUT_SECONDS = 300
# Run as the app's user, who may write to both places: root would follow whatever links are there. What the source has
# in such a folder is copied once and then left to the app.
_SCRIPT = """
target="$1" link="$2"
mkdir -p -- "$target" "$(dirname -- "$link")"
if [ -d "$link" ] && [ ! -L "$link" ]; then cp -RPn -- "$link/." "$target/"; rm -rf -- "$link"; fi
ln -sfnT -- "$target" "$link"
"""


def link_writable_dirs(settings: AppSettings, source: str) -> None:
    """Replace each folder of ``writable_dirs`` by a link to the one of the same name in ``shared``."""
    shared = settings.layout.shared_dir
    unit = builds.app_unit(settings, "writable-dirs", source, writable_paths=[source, shared], outbound_network=False)
    for directory in settings.writable_dirs:
        paths = [os.path.normpath(os.path.join(base, directory)) for base in (shared, source)]
        done = run_in_unit(["/bin/sh", "-euc", _SCRIPT, "sh", *paths], app=unit, timeout_seconds=_TIMEOUT_SECONDS)
        builds.must_succeed(done, f"link {directory!r} of writable_dirs into {shared}")

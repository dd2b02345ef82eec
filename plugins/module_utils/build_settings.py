# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The settings that a release is built with: when they change, the same source makes another release."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from .layout import AppSettings

STATIC_DIR, ROOT_DIRECTORY = "static.dir", "source.root_directory"
_KEYS = ("extra_packages", "python", "requirements_path", "release_command", "writable_dirs")


def build_settings(settings: AppSettings, root_directory: str | None) -> dict[str, Any]:
    """What a release's manifest says of them, by the names that people write.

    ``root_directory`` is None when nobody knows which folder of its repository the source was.
    """
    found = {key: getattr(settings, key) for key in _KEYS}
    found[STATIC_DIR] = settings.static["dir"] if settings.static else ""
    if root_directory is not None:
        found[ROOT_DIRECTORY] = os.path.normpath(root_directory) if root_directory else ""
    return found


def changed(built: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> list[str]:
    """The names of those that differ; what a manifest does not say, as an older one, is no difference."""
    return sorted(key for key, value in (built or {}).items() if key in wanted and wanted[key] != value)

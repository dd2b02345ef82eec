# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How commands of a release run: release commands, the import test, migrations."""

from __future__ import annotations

import os
from dataclasses import replace

from . import builds, release_values
from .app_unit import AppUnit
from .layout import AppSettings


def release_unit(settings: AppSettings, release: str, purpose: str, source_is_writable: bool = False) -> AppUnit:
    """A unit for a command of the release: in its source, with the app's environment and rights."""
    layout = settings.layout
    source = os.path.join(layout.release_dir(release), "src")
    return builds.app_unit(
        settings,
        purpose,
        source,
        environment_file=layout.environment_file,
        environment=release_values.environment(settings, release),
        writable_paths=[layout.shared_dir, *([source] if source_is_writable else [])],
    )


def one_off_unit(settings: AppSettings, release: str) -> AppUnit:
    """A unit for a command that an operator runs beside the app; no activation ends it."""
    return replace(release_unit(settings, release, "run"), purpose="run", binds_to=None)

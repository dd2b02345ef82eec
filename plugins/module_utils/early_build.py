# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Build the virtual environment of an app before its first deploy, beside the set-up of the rest of the host.

It runs as an activation of its own, so that nothing else of the app runs at that time and whatever ends it ends its
commands. Nothing comes of it but the environment, which the deploy finds. A build that fails says nothing: the deploy
tries it again and gives the reason.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time

from . import builds, disk_reserve, releases, uv
from .activation import recover
from .layout import AppSettings
from .ledger import Progress

KIND = "build"


def kept_archive(settings: AppSettings, sha: str) -> str:
    """Where the archive waits for the deploy."""
    return os.path.join(settings.layout.state_dir, f"source-{sha[:12]}.tar")


def keep_archive(settings: AppSettings, archive: str, sha: str) -> str:
    """Keep a copy of the archive for the deploy, and no other one; returns its path."""
    state_dir, kept = settings.layout.state_dir, kept_archive(settings, sha)
    for name in os.listdir(state_dir):
        if name.startswith("source-"):
            os.unlink(os.path.join(state_dir, name))
    shutil.copyfile(archive, kept)
    return kept


def forget_archive(settings: AppSettings, sha: str) -> None:
    """Remove the copy once a deploy has had it."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(kept_archive(settings, sha))


def build(settings: AppSettings, archive: str, sha: str, progress: Progress) -> None:
    """Make the virtual environment of the source in ``archive``."""
    recover(settings)
    with progress.phase("uv"):
        uv.ensure()
    release = releases.new_id(settings.layout, sha, time.time())
    try:
        with disk_reserve.kept(settings):
            with progress.phase("unpack"):
                tree = builds.unpack(settings, archive, release)
            with progress.phase("dependencies"):
                builds.ensure_venv(settings, tree)
    finally:
        shutil.rmtree(settings.layout.release_dir(release), ignore_errors=True)

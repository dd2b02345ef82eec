# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Rights of the files that hold an app's secrets, and of its live release."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from . import switch
from .doctor_findings import Finding
from .layout import SECRETS_DIR, AppSettings


def check(settings: AppSettings) -> Iterator[Finding]:
    """Secrets are root's alone; a release is nobody's to change."""
    layout, app = settings.layout, settings.name
    environment = layout.environment_file
    if not os.path.exists(environment):
        yield Finding(app, f"{environment} is missing: the app could not start again", "Run site.yml.")
    secrets = os.path.join(SECRETS_DIR, f"{app}.json")
    for path in (*layout.secret_files, secrets):
        if os.path.exists(path):
            yield from judge(app, path, os.stat(path))
    release = switch.live_release(layout)
    source = os.path.join(layout.release_dir(release), "src") if release else ""
    if source and os.path.isdir(source):
        info = os.stat(source)
        if info.st_uid != 0 or info.st_mode & 0o022:
            yield Finding(app, f"{source} can be changed by others than root", f"Deploy {app} again.")


def judge(app: str, path: str, info: os.stat_result) -> Iterator[Finding]:
    """A file with secrets is root's, and nobody else reads it."""
    mode = stat.S_IMODE(info.st_mode)
    if info.st_uid != 0 or mode & 0o077:
        what = f"{path} has owner {info.st_uid} and mode {mode:04o}: its secrets can be read by others"
        yield Finding(app, what, f"chown root: {path}; chmod 0600 {path}; then change what it held")

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The program ``ringstand`` itself."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator

from .doctor_findings import HOST, Finding
from .host_program import PROGRAM


def check() -> Iterator[Finding]:
    """Whether what cron, systemd and the playbooks call is there, and nobody but root can change it."""
    if not os.path.exists(PROGRAM):
        yield Finding(HOST, f"{PROGRAM} is missing", "Run site.yml, or the role ringstand.flask.cli.")
        return
    info = os.stat(PROGRAM)
    if info.st_uid != 0 or stat.S_IMODE(info.st_mode) & 0o022 or not info.st_mode & 0o100:
        what = f"{PROGRAM} has owner {info.st_uid} and mode {stat.S_IMODE(info.st_mode):04o}, but root runs it"
        yield Finding(HOST, what, "Run site.yml, or the role ringstand.flask.cli.")
    if os.path.realpath(sys.argv[0]) != os.path.realpath(PROGRAM):
        yield Finding(HOST, f"this is {sys.argv[0]}, but {PROGRAM} is what is called", "Use that one.", "notice")

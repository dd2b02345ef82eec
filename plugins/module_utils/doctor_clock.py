# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The clock, and a reboot that is due."""

from __future__ import annotations

import os
from collections.abc import Iterator

from . import commands
from .doctor_findings import HOST, NOTICE, Finding

_REBOOT = "/run/reboot-required"


def check() -> Iterator[Finding]:
    """Whether the clock is kept right. A container has that of its machine."""
    if os.path.exists("/run/systemd/container"):
        return
    shown = commands.run(["timedatectl", "show", "--property=NTPSynchronized", "--value"], timeout_seconds=5)
    if shown.rc == 0 and shown.stdout.strip() == "no":
        do = "timedatectl timesync-status, or chronyc tracking; is UDP port 123 open to the outside?"
        yield Finding(HOST, "the clock is not synchronised: certificates, backups and logins depend on it", do)


def check_reboot() -> Iterator[Finding]:
    """Whether packages wait for a reboot."""
    if os.path.exists(_REBOOT):
        packages = ""
        if os.path.exists(f"{_REBOOT}.pkgs"):
            with open(f"{_REBOOT}.pkgs", encoding="utf-8") as stream:
                packages = f" for {', '.join(sorted(set(stream.read().split())))}"
        do = "Reboot when it suits; the apps come back by themselves."
        yield Finding(HOST, f"a reboot is due{packages}", do, NOTICE)

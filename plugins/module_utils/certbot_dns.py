# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What certbot's plugins for DNS are told, each in its own way."""

from __future__ import annotations

import os

# One file per plugin, with what it needs to change records.
DIRECTORY = "/etc/ringstand/certbot-dns"
# It has no options: it reads its file as Amazon's tools do, and waits for its records by itself.
_ROUTE53 = "route53"
# The longest that a plugin of certbot's waits unless it is told otherwise (linode).
_LONGEST_WAIT_SECONDS = 120


def credentials_path(plugin: str) -> str:
    """The file that the plugin reads."""
    return os.path.join(DIRECTORY, f"{plugin}.ini")


def arguments(plugin: str, propagation_seconds: int | None) -> list[str]:
    """The command line of a proof by this plugin, which waits so long for its records, or as long as it likes."""
    argv = ["--authenticator", f"dns-{plugin}"]
    if plugin == _ROUTE53:
        return argv
    if os.path.exists(credentials_path(plugin)):
        argv += [f"--dns-{plugin}-credentials", credentials_path(plugin)]
    if propagation_seconds is not None:
        argv += [f"--dns-{plugin}-propagation-seconds", str(propagation_seconds)]
    return argv


def environment(plugin: str) -> dict[str, str]:
    """What the plugin has to find in its environment: the path of its file, where that is no option."""
    path = credentials_path(plugin)
    return {"AWS_CONFIG_FILE": path} if plugin == _ROUTE53 and os.path.exists(path) else {}


def wait_seconds(plugin: str, propagation_seconds: int | None) -> int:
    """How long an order takes longer by this plugin, at most; none for a proof over HTTP."""
    if not plugin:
        return 0
    return _LONGEST_WAIT_SECONDS if propagation_seconds is None else propagation_seconds

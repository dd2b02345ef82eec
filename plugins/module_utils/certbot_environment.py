# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""certbot in a virtual environment of its own, where the distribution's is too old."""

from __future__ import annotations

from . import uv

DIRECTORY = "/opt/ringstand/certbot"
PROGRAM = f"{DIRECTORY}/bin/certbot"


def is_missing(requirements: str) -> bool:
    """Whether the version that the requirements file on the host pins is not installed."""
    return uv.installed_version(DIRECTORY, "certbot") != uv.pinned_version(requirements, "certbot")


def ensure(requirements: str, pip_config: str, check: bool) -> bool:
    """Install what the file names, each with its hash, unless it is there; returns whether that had to be done.

    Raises RingstandError with what pip said.
    """
    if check:  # then the file may not be there either
        return uv.installed_version(DIRECTORY, "certbot") == ""
    if not is_missing(requirements):
        return False
    uv.install(DIRECTORY, requirements, pip_config, "certbot")
    return True

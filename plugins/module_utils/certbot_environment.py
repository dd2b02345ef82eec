# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""certbot in a virtual environment of its own, where the distribution's is too old."""

from __future__ import annotations

import hashlib
import os

from . import uv
from .releases import write_durably

DIRECTORY = "/opt/ringstand/certbot"
# The sum of the requirements file that it was made from: a plugin may be new although certbot's version is not.
MARK = "ringstand-requirements.sha256"


def is_missing(requirements: str) -> bool:
    """Whether what the requirements file on the host pins is not installed."""
    if uv.installed_version(DIRECTORY, "certbot") != uv.pinned_version(requirements, "certbot"):
        return True
    try:
        with open(os.path.join(DIRECTORY, MARK), encoding="ascii") as stream:
            return stream.read().strip() != _sum(requirements)
    except OSError:
        return True


def ensure(requirements: str, pip_config: str, check: bool) -> bool:
    """Install what the file names, each with its hash, unless it is there; returns whether that had to be done.

    Raises RingstandError with what pip said.
    """
    if check:  # then the file may not be there either
        return uv.installed_version(DIRECTORY, "certbot") == ""
    if not is_missing(requirements):
        return False
    uv.install(DIRECTORY, requirements, pip_config, "certbot")
    write_durably(os.path.join(DIRECTORY, MARK), f"{_sum(requirements)}\n")
    return True


def _sum(requirements: str) -> str:
    with open(requirements, "rb") as stream:
        return hashlib.sha256(stream.read()).hexdigest()

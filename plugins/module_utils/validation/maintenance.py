# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is set of an app's maintenance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .networks import check_networks
from .problems import Problems, join

EVERYBODY = ("nobody would see the maintenance page", "Name the networks that are let through")


def check_maintenance(maintenance: Mapping[str, Any], path: str, problems: Problems) -> None:
    """Each item of ``allow`` is an address or a network that does not hold everybody."""
    check_networks(maintenance.get("allow"), join(path, "allow"), problems, EVERYBODY)

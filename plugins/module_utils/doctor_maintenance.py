# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Maintenance that is on, which somebody may have forgotten."""

from __future__ import annotations

from collections.abc import Iterator

from . import maintenance
from .doctor_findings import Finding
from .layout import AppSettings


def check(settings: AppSettings) -> Iterator[Finding]:
    """Whether visitors get the maintenance page."""
    found = maintenance.read(settings.name)
    if found:
        what = maintenance.describe(settings.name, found, maintenance.answer(settings)).partition(": ")[2]
        yield Finding(settings.name, what, f"ringstand maintenance {settings.name} off")

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which boot of the machine this is: what was not flushed in an earlier one may never have reached the disk."""

from __future__ import annotations

_PATH = "/proc/sys/kernel/random/boot_id"


def boot_id() -> str:
    """32 hexadecimal digits, others after each boot. Unlike times, no clock that is set changes them."""
    with open(_PATH, encoding="ascii") as stream:
        return stream.read().strip().replace("-", "")

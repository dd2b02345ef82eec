# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a check of ``ringstand doctor`` finds, as data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

# A problem makes the program end with 3; a notice is only told.
PROBLEM, NOTICE = "problem", "notice"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: ``what`` it is and what to ``do``. ``where`` is an app's name, or "host"."""

    where: str
    what: str
    do: str
    severity: str = PROBLEM
    check: str = ""

    def as_dict(self) -> dict[str, Any]:
        """As it is printed with --json."""
        return asdict(self)


HOST = "host"

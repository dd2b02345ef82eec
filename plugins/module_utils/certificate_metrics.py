# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The states of the sites' certificates as metrics."""

from __future__ import annotations

import calendar
import time
from collections.abc import Mapping, Sequence
from typing import Any

from .certificate_state import SERVED
from .prometheus import Exposition, Sample


def metrics(rows: Sequence[Mapping[str, Any]], now: float) -> Exposition:
    """What the rows of :func:`.certificate_state.all_states` say, as numbers."""
    exposition = Exposition("ringstand_certificate")

    def of_sites(values: Sequence[Any]) -> list[Sample]:
        return [({"site": row["site"]}, value) for row, value in zip(rows, values)]

    exposition.add("checked_timestamp_seconds", "When the certificates were last looked at.", [({}, now)])
    exposition.add("not_after_timestamp_seconds", "When a certificate ends.",
                   of_sites([_seconds(row["expires"]) for row in rows]))  # fmt: skip
    exposition.add("served", "Whether nginx serves a certificate that is no placeholder.",
                   of_sites([int(row["state"] == SERVED) for row in rows]))  # fmt: skip
    exposition.add("alarm", "Whether somebody has to see to a certificate.",
                   of_sites([int(row["alarm"]) for row in rows]))  # fmt: skip
    exposition.add("failed_attempts", "Attempts in a row that got no certificate.",
                   of_sites([row["attempt"].get("failures", 0) for row in rows]))  # fmt: skip
    return exposition


def _seconds(text: str | None) -> float | None:
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ")) if text else None

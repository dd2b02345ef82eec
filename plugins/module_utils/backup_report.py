# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Pass the status of backups on, after each run: to Prometheus, and to people when something has changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import backup_metrics, backup_notice, backup_status
from .backup_settings import BackupSettings


def report(settings: BackupSettings, status: Mapping[str, Any], now: float) -> tuple[int, list[str]]:
    """Write the metrics and tell what has changed.

    Returns the exit status that the faults of all parts come to, and what could not be passed on.
    """
    problems = []
    try:
        backup_metrics.metrics(status).write(settings.metrics_dir)
    except OSError as error:
        problems.append(f"The metrics were not written to {settings.metrics_dir}: {error.strerror or error}")
    faults = backup_status.faults(status, now, settings.drill_days)
    problems += backup_notice.tell(faults, now)
    return backup_status.exit_code(status["problems"]) or (1 if faults else 0), problems

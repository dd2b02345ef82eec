# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Everything that ``ringstand doctor`` looks at. It changes nothing.

A check is a function that yields findings: one of :data:`HOST_CHECKS` is called once, one of :data:`APP_CHECKS` once
per app. Each has a thread of its own, so that one that hangs or breaks keeps none of the others from being told.
A new topic is a module ``doctor_<topic>`` and a line here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from . import (
    doctor_activation,
    doctor_backups,
    doctor_certificates,
    doctor_clock,
    doctor_disk,
    doctor_files,
    doctor_health,
    doctor_journal,
    doctor_maintenance,
    doctor_memory,
    doctor_migrations,
    doctor_nginx,
    doctor_postgresql,
    doctor_processes,
    doctor_program,
    doctor_redis,
    doctor_services,
)
from .doctor_findings import HOST, Finding
from .errors import RingstandError
from .layout import AppSettings, load_settings

Findings = Iterable[Finding]
HOST_CHECKS: dict[str, Callable[[], Findings]] = {
    "program": doctor_program.check,
    "units": doctor_services.check_host,
    "nginx": doctor_nginx.check,
    "certificates": doctor_certificates.check,
    "disk": doctor_disk.check,
    "memory": doctor_memory.check,
    "postgresql": doctor_postgresql.check_host,
    "backups": doctor_backups.check,
    "clock": doctor_clock.check,
    "reboot": doctor_clock.check_reboot,
}
APP_CHECKS: dict[str, Callable[[AppSettings], Findings]] = {
    "units": doctor_services.check,
    "processes": doctor_processes.check,
    "activation": doctor_activation.check,
    "maintenance": doctor_maintenance.check,
    "health": doctor_health.check,
    "nginx": doctor_health.check_through_nginx,
    "database": doctor_postgresql.check,
    "migrations": doctor_migrations.check,
    "redis": doctor_redis.check,
    "files": doctor_files.check,
    "journal": doctor_journal.check,
}
LIMIT_SECONDS = 10.0


def examine(apps: Sequence[str], limit_seconds: float = LIMIT_SECONDS) -> list[Finding]:
    """Run every check of this host and of ``apps``; the host's findings come first, then each app's."""
    planned: list[tuple[str, str, Callable[[], Findings]]] = [(HOST, name, run) for name, run in HOST_CHECKS.items()]
    findings: list[Finding] = []
    for app in apps:
        try:
            settings = load_settings(app)
        except RingstandError as error:
            findings.append(Finding(app, error.message, "Run site.yml.", check="settings"))
            continue
        planned += [(app, name, partial(run, settings)) for name, run in APP_CHECKS.items()]
    return findings + run_all(planned, limit_seconds)


def run_all(planned: Sequence[tuple[str, str, Callable[[], Findings]]], limit_seconds: float) -> list[Finding]:
    """The findings of all checks in their order; one that breaks or takes too long is a finding itself."""
    found: list[list[Finding] | None] = [None] * len(planned)

    def run(position: int) -> None:
        where, name, check = planned[position]
        try:
            found[position] = [replace(finding, check=name) for finding in check()]
        except Exception as error:  # noqa: BLE001 - whatever it is, the others have to be told
            reason = error.message if isinstance(error, RingstandError) else f"{type(error).__name__}: {error}"
            found[position] = [Finding(where, f"this could not be checked: {reason}", "See the reason.", check=name)]

    threads = [threading.Thread(target=run, args=(position,), daemon=True) for position in range(len(planned))]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + limit_seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    findings = []
    for (where, name, _check), result in zip(planned, found):
        late = Finding(where, f"no answer within {limit_seconds:g} s", "The host is slow or this hangs.", check=name)
        findings += [late] if result is None else result
    return findings

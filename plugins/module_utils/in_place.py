# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Replace the live release inside its own slot, on a machine without memory for two.

Its socket stays open while the service restarts: no connection is refused, those that come meanwhile wait. What a
second slot gives is missing: visitors wait for the start of the app, and a release that then turns out to be unhealthy
may have answered some of them before the old one is back.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from . import gates, process_moves, static_files, switch, unproven
from .errors import RingstandError
from .layout import IN_PLACE, TWO_SLOTS, AppSettings
from .ledger import Progress
from .links import point
from .slot_memory import lack_of_memory
from .systemd import journal_tail, systemctl


def reason_for(settings: AppSettings, slot: str | None) -> str:
    """Why a release has to replace the live one inside its slot, for people; empty when there is room for two."""
    if slot is None or settings.switch == TWO_SLOTS:
        return ""
    if settings.switch == IN_PLACE:
        return f"switch is {IN_PLACE}"
    return lack_of_memory(settings.layout.service_unit(slot), settings.memory_mb)


def activate(
    settings: AppSettings,
    release: str,
    progress: Progress,
    last_check: Callable[[], None],
    static: static_files.Prepared,
    processes: process_moves.Move,
) -> None:
    """Restart the live slot with ``release``; with the old one again when it is not healthy."""
    layout = settings.layout
    slot = switch.live_slot(layout)
    old = switch.release_of(layout, slot)
    if slot is None or old is None:
        raise RingstandError(f"Failed to replace the release of {settings.name} in place: nothing is live")
    last_check()
    unproven.begin(layout, unproven.Note(slot, release, slot, old))
    with _returned_on_error(settings, progress, slot, old, processes):
        with progress.phase("switch"):
            _restart(settings, slot, release)
            static_files.place(static)
        with progress.phase("gate"):
            gates.gate(settings, release, slot)
        gates.prove(settings, release, slot, progress, processes)


def _restart(settings: AppSettings, slot: str, release: str) -> None:
    layout = settings.layout
    service = layout.service_unit(slot)
    point(layout.slot_link(slot), f"../releases/{release}")
    systemctl("reset-failed", service, check=False)
    limit = settings.graceful_timeout_seconds + settings.start_timeout_seconds + 10
    systemctl("restart", service, timeout_seconds=limit)


@contextlib.contextmanager
def _returned_on_error(
    settings: AppSettings, progress: Progress, slot: str, old: str, processes: process_moves.Move
) -> Iterator[None]:
    layout, began = settings.layout, time.time()
    try:
        yield
    except BaseException as error:
        if isinstance(error, RingstandError):
            error.details.setdefault("journal", journal_tail(layout.service_unit(slot), began))
        _restart(settings, slot, old)
        if problem := static_files.publish(settings, old):
            progress.notice(problem)
        processes.back()
        unproven.end(layout)
        raise

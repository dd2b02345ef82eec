# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Watch a release that has just been given all traffic, while the one before it still runs and can take it back."""

from __future__ import annotations

import os
import select
import threading
import time

from .health import HealthCheck, observe

_WAKE_SECONDS = 0.1
_PAUSE_SECONDS = 0.5
# One bad answer under load is bad luck; two in a row are a release that does not work.
_BAD_ANSWERS = 2
_DIED = "its main process died"


def failure_within(check: HealthCheck, seconds: float, main_pid: int) -> str | None:
    """Why a release failed within ``seconds``, at once when its main process dies, or None when it did well.

    ``main_pid`` is 0 when systemd knows of no main process any more.

    The death is seen by a pidfd and not by the health check: while systemd starts a dead service anew its socket
    stays open, so a question would wait in the queue instead of failing.
    """
    if not main_pid:
        return _DIED
    try:
        process = os.pidfd_open(main_pid)
    except ProcessLookupError:
        return _DIED
    try:
        return _watch(check, seconds, process)
    finally:
        os.close(process)


def _watch(check: HealthCheck, seconds: float, process: int) -> str | None:
    problems: list[str] = []
    over = threading.Event()
    # A daemon, because a question that hangs must not keep a verdict waiting.
    threading.Thread(target=_ask, args=(check, problems, over), daemon=True).start()
    poller = select.poll()
    poller.register(process, select.POLLIN)
    deadline = time.monotonic() + seconds
    try:
        while True:
            if poller.poll(_WAKE_SECONDS * 1000):
                return _DIED
            if problems:
                return problems[0]
            if time.monotonic() >= deadline:
                return None
    finally:
        over.set()


def _ask(check: HealthCheck, problems: list[str], over: threading.Event) -> None:
    bad = 0
    while not over.is_set():
        result = observe(check, 0)
        bad = 0 if result.healthy else bad + 1
        if bad == _BAD_ANSWERS:
            problems.append(result.seen)
            return
        over.wait(_PAUSE_SECONDS)

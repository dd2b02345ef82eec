# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a release has to show before and after it gets the traffic; each check raises RingstandError with the cause."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from . import process_moves, switch, unproven
from .errors import RingstandError
from .health import HealthCheck, observe, wait_healthy
from .layout import AppSettings
from .ledger import Progress
from .probation import failure_within
from .systemd import unit_properties

_PROBE_SECONDS, _FIRST_PROBE_SECONDS = 10, 60


def _health_check(settings: AppSettings, **where: Any) -> HealthCheck:
    health = settings.health
    return HealthCheck(
        status=health["status"],
        host=health.get("host") or "",
        json=health.get("json") or {},
        text=health.get("text") or "",
        **where,
    )


def slot_check(settings: AppSettings, release: str, slot: str, **limits: Any) -> HealthCheck:
    """How the slot's own socket is asked; ``limits`` are further arguments of a HealthCheck."""
    return _health_check(
        settings,
        path=settings.health["path"],
        socket_path=settings.layout.socket(slot),
        headers={"X-Forwarded-Proto": "https", "X-Forwarded-For": "127.0.0.1"},
        release=f"{settings.name}/{release}",
        **limits,
    )


def gate(settings: AppSettings, release: str, slot: str, refusal: Callable[[], str] = lambda: "") -> None:
    """Wait for consecutive healthy answers on the slot's own socket, from the new release.

    ``refusal`` is asked again and again, and returns why there is no use in waiting.
    """
    check = slot_check(
        settings,
        release,
        slot,
        consecutive=settings.health["consecutive"],
        timeout_seconds=settings.health["timeout_seconds"],
        interval_seconds=0.1,
    )
    result = wait_healthy(check, alive=lambda: refusal() or switch.reason_not_alive(settings.layout, slot))
    if not result.healthy:
        raise RingstandError(f"Failed to pass the health gate of {release} ({check.target}): {result.seen}")


def observe_slot(settings: AppSettings, release: str, slot: str) -> None:
    """It has to stay healthy for some seconds before it gets any traffic."""
    seconds = float(settings.health["observe_seconds"])
    if seconds <= 0:
        return
    check = slot_check(settings, release, slot, interval_seconds=0.25)
    result = observe(check, seconds, alive=lambda: switch.reason_not_alive(settings.layout, slot))
    died = switch.reason_not_alive(settings.layout, slot)  # it may have died after its last answer
    if not result.healthy or died:
        raise RingstandError(
            f"Failed to observe {release}: it was healthy, then not within {seconds:g} s: {died or result.seen}"
        )


def probation(settings: AppSettings, release: str, slot: str, is_first: bool = False) -> None:
    """All traffic is on the new release, and the old one still runs: it takes over again when the new one fails.

    The first release has no traffic of another one to lose, so it was not observed before; it is now, for as long.
    """
    seconds = float(settings.health.get("observe_seconds" if is_first else "probation_seconds", 0))
    if seconds <= 0:
        return
    main_pid = int(unit_properties(settings.layout.service_unit(slot), "MainPID").get("MainPID") or 0)
    check = slot_check(settings, release, slot)
    # Read after the id: a process that had already been replaced by then would pass for the one that was gated.
    failure = switch.reason_not_alive(settings.layout, slot) or failure_within(check, seconds, main_pid)
    if failure:
        what = "The app was taken out of service again." if is_first else "Traffic was moved back."
        raise RingstandError(
            f"Failed the probation of {release}: {failure}, within {seconds:g} s of the switch. {what}"
        )


def prove(
    settings: AppSettings,
    release: str,
    slot: str,
    progress: Progress,
    processes: process_moves.Move,
    is_first: bool = False,
) -> None:
    """What a release still has to show once it has the traffic, until it is proven as a whole."""
    with progress.phase("probe"):
        probe(settings, is_first=is_first)
    if is_first:
        with ThreadPoolExecutor(1) as beside, progress.phase("observe"):
            watched = beside.submit(probation, settings, release, slot, is_first=True)
            processes.to(release)
            watched.result()
    else:
        with progress.phase("probation"):
            probation(settings, release, slot)
        # What served before can still take over: a release whose workers do not run has failed as a whole.
        processes.to(release, restart_all=progress.kind == "restart")
    unproven.end(settings.layout)
    progress.proven()


def nginx_check(settings: AppSettings, **limits: Any) -> HealthCheck:
    """How nginx is asked, as by a visitor; ``limits`` are further arguments of a HealthCheck.

    Without a header that names a client: by one, whoever comes through a trusted proxy is told from this machine.
    """
    domain = settings.health.get("host") or settings.domains[0]
    return _health_check(
        settings,
        url=f"https://{domain}{settings.health['path']}",
        connect_address=f"127.0.0.1:{settings.probe_port}",
        verify=False,  # the connection never leaves the host, and the certificate may still be the placeholder
        consecutive=1,
        **limits,
    )


def probe(settings: AppSettings, is_first: bool = False) -> None:
    """Ask through nginx, as a visitor would: the right name, TLS, the switched socket.

    A first release may be started while nginx is still being set up, and keeps no other one from serving.
    """
    if settings.probe_port is None:
        return
    check = nginx_check(settings, timeout_seconds=_FIRST_PROBE_SECONDS if is_first else _PROBE_SECONDS)
    result = wait_healthy(check)
    if not result.healthy:
        raise RingstandError(
            f"Failed to reach {settings.name} through nginx after the switch ({check.target}): {result.seen}. "
            "Traffic was moved back."
        )

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether an app answers as a healthy one does: on its own socket, and through nginx."""

from __future__ import annotations

from collections.abc import Iterator

from . import gates, switch
from .doctor_findings import Finding
from .health import observe
from .layout import AppSettings

_SECONDS = 2.0


def check(settings: AppSettings) -> Iterator[Finding]:
    """Ask the live release on the socket of its slot."""
    slot, release = switch.should_serve(settings.layout)
    if not slot or not release:
        return
    result = observe(gates.slot_check(settings, release, slot, request_timeout_seconds=_SECONDS), 0)
    if not result.healthy:
        do = f"ringstand logs {settings.name}; if it came with the last release: ringstand rollback {settings.name}"
        yield Finding(settings.name, f"{release} does not answer as it has to: {result.seen}", do)


def check_through_nginx(settings: AppSettings) -> Iterator[Finding]:
    """Ask as a visitor would."""
    if settings.probe_port is None or not switch.live_release(settings.layout):
        return
    result = observe(gates.nginx_check(settings, request_timeout_seconds=_SECONDS), 0)
    if not result.healthy:
        do = f"tail /var/log/nginx/ringstand-{settings.name}.error.log; nginx -t"
        yield Finding(settings.name, f"it does not answer through nginx: {result.seen}", do)

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The environment that an app's main process really has. It is secret."""

from __future__ import annotations

from . import switch
from .errors import RingstandError
from .layout import AppSettings
from .systemd import unit_properties


def read(settings: AppSettings) -> dict[str, str]:
    """Names and values; no parser of ours can disagree with systemd about the file.

    Raises :class:`RingstandError` when the app does not run.
    """
    service = settings.layout.service_unit(switch.live_slot(settings.layout) or "blue")
    main_pid = int(unit_properties(service, "MainPID").get("MainPID") or 0)
    try:
        with open(f"/proc/{main_pid}/environ", "rb") as stream:
            entries = [item.partition(b"=") for item in stream.read().split(b"\0") if item]
    except (FileNotFoundError, ProcessLookupError) as error:
        raise RingstandError(
            f"Failed to read the environment of {settings.name}: {service} is not running. See `ringstand status`."
        ) from error
    return {
        name.decode("utf-8", "surrogateescape"): value.decode("utf-8", "surrogateescape")
        for name, _equals, value in entries
    }

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""nginx, as a whole."""

from __future__ import annotations

import os
from collections.abc import Iterator

from . import commands, units
from .doctor_findings import HOST, Finding

_OWN = "/etc/nginx/ringstand"


def check() -> Iterator[Finding]:
    """Whether nginx runs, starts at boot and would load what is on disk."""
    if not os.path.isdir(_OWN):
        return
    unit = units.show(["nginx.service"])[0]
    if unit.masked or not unit.started:
        state = "masked" if unit.masked else unit.active_state
        yield Finding(HOST, f"nginx.service is {state}: no app can be reached", "nginx -t, then run site.yml")
    elif not unit.enabled:
        yield Finding(HOST, "nginx.service is not enabled: it stays down after a boot", "systemctl enable nginx")
    tested = commands.run(["nginx", "-t", "-q"], timeout_seconds=5)
    if tested.rc != 0:
        said = next((line for line in tested.stderr.splitlines() if "emerg" in line), tested.stderr.strip())
        what = f"nginx refuses its configuration, and would not start with it: {said}"
        yield Finding(HOST, what, "Mend that file; if it is one of /etc/nginx/ringstand, run site.yml.")

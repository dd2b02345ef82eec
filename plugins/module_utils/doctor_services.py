# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The units that serve an app, its links, and what has failed on the host."""

from __future__ import annotations

import os
from collections.abc import Iterator

from . import commands, switch, units
from .app_state import app_state
from .doctor_findings import HOST, Finding
from .layout import AppSettings
from .systemd import redact

_OURS = ("ringstand-", "nginx", "postgresql", "redis-server@", "certbot", "cron", "chrony", "systemd-timesyncd")
_BOOT = "ringstand-boot.service"


def check_host() -> Iterator[Finding]:
    """What has failed, and the unit that brings the apps back after a boot."""
    listed = commands.run(["systemctl", "list-units", "--state=failed", "--plain", "--no-legend", "--no-pager"])
    for line in listed.stdout.splitlines():
        name = line.split()[0]
        if name.startswith(_OURS):
            do = f"systemctl status {name}, then journalctl -u {name}; once mended: systemctl reset-failed {name}"
            yield Finding(HOST, f"{name} has failed", do)
    boot = units.show([_BOOT])[0]
    if boot.found and (boot.masked or not boot.enabled):
        yield Finding(HOST, f"{_BOOT} does not run at boot: the apps would stay down", "Run site.yml.")


def check(settings: AppSettings) -> Iterator[Finding]:
    """What serves, as systemd and the links have it."""
    layout, app = settings.layout, settings.name
    state = app_state(layout)
    slot = state["slot"]
    if not slot or not state["release"]:
        yield Finding(app, "nothing is deployed", f"ansible-playbook ringstand.flask.deploy -e app={app}")
        return
    for unit in units.show([layout.service_unit(slot), layout.socket_unit(slot)]):
        name = unit["Id"]
        if unit.masked:
            yield Finding(app, f"{name} is masked", f"systemctl unmask {name}; ringstand restart {app}")
        elif unit.crashing:
            yield Finding(app, f"{name} ends again and again ({unit.restarts} restarts)", f"ringstand logs {app}")
        elif unit.active_state not in ("active", "reloading") and not state["activation"]:
            result = redact(unit["Result"])
            yield Finding(app, f"{name} is {unit.active_state} ({result})", f"ringstand logs {app}; ringstand boot")
        elif unit.restarts:
            yield Finding(app, f"{name} died and was started again {unit.restarts} times", f"ringstand logs {app}")
    if not state["linked"]:
        yield Finding(app, "its links do not lead to the release that has to serve", "ringstand boot, or site.yml")
    if not state["socket"]:
        yield Finding(app, f"{layout.live_socket} leads nowhere: visitors get 503", "ringstand boot, or site.yml")
    if not os.path.isdir(layout.release_dir(state["release"])):
        yield Finding(app, f"its release {state['release']} is gone from the disk", f"Deploy {app} again.")
    if state["stale"] and not state["activation"]:
        what = "its processes are older than its settings, or systemd does not listen for them"
        yield Finding(app, what, f"ringstand restart {app}")
    idle = "green" if slot == "blue" else "blue"
    if switch.accept_queue(layout.socket(slot)) > 100:
        yield Finding(app, "more than 100 connections wait for the app", "More workers, or find what is slow.")
    if not state["activation"] and units.show([layout.service_unit(idle)])[0].active_state == "failed":
        do = f"journalctl -u {layout.service_unit(idle)}; the next deploy resets it"
        yield Finding(app, f"the idle slot {idle} has failed", do, severity="notice")

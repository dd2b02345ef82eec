# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The app's own commands at fixed points of an activation, and the one that runs once in the app's life."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace

from . import builds, switch
from .app_unit import AppUnit, run_in_unit
from .errors import RingstandError
from .layout import AppSettings
from .ledger import Progress, read_lines, utc
from .release_unit import release_unit
from .releases import write_durably

BEFORE_BUILD, AFTER_BUILD, BEFORE_SWITCH = "before_build", "after_build", "before_switch"
AFTER_SWITCH, ON_FAILURE = "after_switch", "on_failure"
# What comes before the switch can still stop it; of what comes after it only a notice is left.
_STOPPING = (BEFORE_BUILD, AFTER_BUILD, BEFORE_SWITCH)
_BUILDING = (BEFORE_BUILD, AFTER_BUILD)
_REASON_CHARACTERS = 500


def run(settings: AppSettings, hook: str, release: str | None, progress: Progress, reason: str = "") -> None:
    """Run the commands of a hook in the source of ``release``, or without one where the app keeps its files.

    Raises :class:`RingstandError` when a command fails that comes before the switch; otherwise it is a notice.
    """
    commands = settings.hooks.get(hook) or []
    if not commands:
        return
    with progress.phase(f"hook {hook}"):
        unit = _unit(settings, hook, release, progress, reason)
        for command in commands:
            try:
                done = run_in_unit(["/bin/sh", "-ec", command], app=unit, timeout_seconds=settings.hook_timeout_seconds)
                limit = f"hook_timeout_seconds is {settings.hook_timeout_seconds:g}." if done.timed_out else ""
                builds.must_succeed(done, f"run the hook {hook} of {settings.name}, {command!r}", limit)
            except RingstandError as error:
                if hook in _STOPPING:
                    raise
                progress.notice(error.message)
                return


def _unit(settings: AppSettings, hook: str, release: str | None, progress: Progress, reason: str) -> AppUnit:
    layout = settings.layout
    if release and os.path.isdir(f"{layout.release_dir(release)}/src"):
        unit = release_unit(settings, release, "hook", source_is_writable=hook in _BUILDING)
    else:
        where, file = layout.shared_dir, layout.environment_file
        unit = builds.app_unit(settings, "hook", where, environment_file=file, writable_paths=[where])
    if hook == ON_FAILURE:  # an activation that was killed is just ending, and what is bound to it waits for its start
        unit = replace(unit, binds_to=None)
    about = progress.about
    facts = {
        "RINGSTAND_HOOK": hook,
        "RINGSTAND_APP": settings.name,
        "RINGSTAND_EVENT": progress.kind,
        "RINGSTAND_BY": progress.by,
        "RINGSTAND_RELEASE": about.get("release"),
        "RINGSTAND_VERSION": about.get("version"),
        "RINGSTAND_SHA": about.get("sha"),
        "RINGSTAND_LIVE_RELEASE": switch.live_release(layout),
        "RINGSTAND_REASON": reason[:_REASON_CHARACTERS],
    }
    return replace(unit, environment={**unit.environment, **{key: str(value or "") for key, value in facts.items()}})


def run_first_deploy_command(settings: AppSettings, release: str, progress: Progress) -> None:
    """Run ``first_deploy_command`` unless the app was ever deployed, or these commands have ever succeeded."""
    layout = settings.layout
    if not settings.first_deploy_command or os.path.exists(layout.first_deploy_record):
        return
    if any(entry.get("result") == "ok" for entry in read_lines(layout.ledger)):
        return
    with progress.phase("first_deploy_command"):
        unit = release_unit(settings, release, "first")
        for command in settings.first_deploy_command:
            seconds = settings.migration_timeout_seconds
            done = run_in_unit(["/bin/sh", "-ec", command], app=unit, timeout_seconds=seconds)
            builds.must_succeed(
                done,
                f"run first_deploy_command {command!r} of {settings.name}",
                "Nothing was switched; the next deploy runs all of it again.",
            )
        record = {"at": utc(time.time()), "release": release, "commands": settings.first_deploy_command}
        write_durably(layout.first_deploy_record, json.dumps(record), mode=0o600)

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The verb of ``ringstand`` that upgrades PostgreSQL to another major version."""

from __future__ import annotations

import argparse
import json
import os
import signal
from collections.abc import Callable
from typing import Any

from . import transient_unit, upgrade_plan, upgrade_run, upgrade_state
from .backup_settings import STATE_DIR
from .console import complain, say
from .errors import RingstandError
from .releases import write_durably
from .restore_plan import host_name
from .upgrade_state import BACK, COPYING, SERVING, UNIT

CLUSTER = "main"
RESULT_PATH = f"{STATE_DIR}/upgrade.json"
# When it is told to stop it puts things back, for which it has all the time that it takes.
_PROPERTIES = ("KillMode=mixed", "OOMScoreAdjust=-500", "TimeoutStopSec=infinity")
ROLLED_BACK = "start the cluster from before the last upgrade again; what was written since is in the upgraded one only"


def add_commands(command: Callable[..., None]) -> None:
    """Register the verbs with ``command(name, run, help, *options)``; without a help text a verb is not shown."""
    options: list[tuple[str, dict[str, Any]]] = [
        ("--to", {"default": "", "metavar": "VERSION", "help": "the major version, such as 17, which is installed"}),
        ("--confirm", {"default": "", "metavar": "HOSTNAME", "help": "the name of this host"}),
        ("--cluster", {"default": CLUSTER, "metavar": "NAME", "help": "the cluster's name"}),
        ("--no-backup", {"action": "store_true", "help": "take none, on a host without backups of this collection"}),
        ("--rollback", {"action": "store_true", "help": ROLLED_BACK}),
    ]
    check = ("--check", {"action": "store_true", "help": "check everything, say what would be done, change nothing"})
    command("upgrade", _upgrade, "upgrade PostgreSQL to another major version, or go back", *options, check)
    command("upgrading", _upgrading, None, *options)


def _upgrade(options: argparse.Namespace) -> int:
    if options.check and not options.rollback:
        told = _foresee(options)
        say(json.dumps({"changed": True, **told}) if options.json else f"would {told['would']}")
        return 0
    what = "roll back" if options.rollback else "upgrade"
    upgrade_plan.require_confirmation(options.confirm, what)
    arguments = [f"--to={options.to}", f"--confirm={options.confirm}", f"--cluster={options.cluster}"]
    arguments += [flag for flag, on in (("--no-backup", options.no_backup), ("--rollback", options.rollback)) if on]
    result = _in_unit(arguments, what)
    if result["result"] != "ok":
        raise RingstandError(result["reason"], **result.get("details", {}))
    say(json.dumps({**result, "changed": True}) if options.json else _words(result))
    return 3 if result["problems"] else 0


def _foresee(options: argparse.Namespace) -> dict[str, str]:
    state = upgrade_run.interrupted()
    if state is None:
        plan = upgrade_plan.make(options.to, options.cluster, check=True)
        return {"would": plan.describe(), "from": str(plan.cluster), "upgraded": plan.upgraded}
    _check_way(state, options.to)
    first = "finish" if state.phase == SERVING else "take back"
    done = f"{options.to}/{state.name}"
    then = "" if first == "finish" and state.new == options.to else f", then upgrade to {options.to}"
    return {"would": f"{first} {state}, which was interrupted{then}", "from": f"{state.old}/{state.name}",
            "upgraded": done}


def _check_way(state: upgrade_state.State, version: str) -> None:
    """Raise :class:`RingstandError` for an upgrade in the middle of a way back."""
    if state.phase == BACK:
        raise RingstandError(
            f"Failed to upgrade to {version!r}: {state} was interrupted. Finish it first: ringstand upgrade --rollback "
            f"--confirm {host_name()}"
        )


def _in_unit(arguments: list[str], what: str) -> dict[str, Any]:
    """Run it as a unit, which outlives the session that asked for it, and return its result."""
    os.makedirs(STATE_DIR, mode=0o750, exist_ok=True)
    if transient_unit.is_active(UNIT):
        raise RingstandError(f"Failed to {what}: one is under way. Follow it with `journalctl -fu {UNIT}`")
    if os.path.exists(RESULT_PATH):
        os.unlink(RESULT_PATH)
    complain(f"{what}: follow it with `journalctl -fu {UNIT}`; it goes on when this session ends")
    waiter = transient_unit.start(UNIT, "upgrade of PostgreSQL", ["upgrading", *arguments], _PROPERTIES)
    _out, stderr = waiter.communicate()
    try:
        with open(RESULT_PATH, encoding="utf-8") as stream:
            found: dict[str, Any] = json.load(stream)
            return found
    except (FileNotFoundError, ValueError) as error:
        raise RingstandError(
            f"Failed to {what}: {stderr.strip() or 'it was killed'}. See journalctl -u {UNIT}. Run it again: what was "
            f"begun is then taken back or finished; ringstand upgrade --rollback --confirm {host_name()} only goes back"
        ) from error


def _upgrading(options: argparse.Namespace) -> int:
    """The process inside the unit: it prints to the journal, and leaves its result in a file."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        result = _back(options) if options.rollback else _forth(options)
    except (RingstandError, OSError, KeyboardInterrupt) as error:
        details = error.details if isinstance(error, RingstandError) else {}
        reason = "it was stopped from outside" if isinstance(error, KeyboardInterrupt) else str(error)
        write_durably(RESULT_PATH, json.dumps({"result": "failed", "reason": reason, "details": details}), 0o600)
        say(reason)
        return 1
    write_durably(RESULT_PATH, json.dumps({"result": "ok", **result}), 0o600)
    say(_words(result))
    return 0


def _forth(options: argparse.Namespace) -> dict[str, Any]:
    state = upgrade_run.interrupted(say)
    if state is not None:
        _check_way(state, options.to)
        if state.phase == SERVING:
            result = upgrade_run.finish(state, say)
            if state.new == options.to:
                return result
        else:
            upgrade_run.undo(state, say)
    plan = upgrade_plan.make(options.to, options.cluster, check=False)
    return upgrade_run.perform(plan, not options.no_backup, say)


def _back(options: argparse.Namespace) -> dict[str, Any]:
    state = upgrade_run.interrupted(say)
    if state is not None and state.phase == COPYING:
        return upgrade_run.undo(state, say)
    return upgrade_run.roll_back(options.cluster, not options.no_backup, say)


def _words(result: dict[str, Any]) -> str:
    major = result["upgraded"].partition("/")[0]
    lines = [f"{result['upgraded']} runs as before the upgrade that was interrupted"]
    if result["kept"]:
        version, _slash, name = result["kept"].partition("/")
        lines = [
            f"{result['upgraded']} runs after {result['downtime_seconds']:.0f} s without a database; {result['kept']} "
            "is kept stopped, with its packages",
            f'set postgresql_version to "{major}" in the inventory, then run site.yml',
            f"when nobody needs the other one: pg_dropcluster {version} {name}; apt purge postgresql-{version}",
        ]
    return "\n".join([*lines, *result["problems"]])

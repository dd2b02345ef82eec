# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The verb of ``ringstand`` that upgrades PostgreSQL to another major version."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from collections.abc import Callable
from typing import Any

from . import upgrade_plan, upgrade_run
from .backup_settings import STATE_DIR
from .console import complain, say
from .errors import RingstandError
from .host_program import PROGRAM
from .releases import write_durably

CLUSTER = "main"
UNIT = "ringstand-upgrade.service"
RESULT_PATH = f"{STATE_DIR}/upgrade.json"
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
        plan = upgrade_plan.make(options.to, options.cluster, check=True)
        told = {"changed": True, "would": plan.describe(), "from": str(plan.cluster), "upgraded": plan.upgraded}
        say(json.dumps(told) if options.json else f"would {plan.describe()}")
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


def _in_unit(arguments: list[str], what: str) -> dict[str, Any]:
    """Run it as a unit, which outlives the session that asked for it, and return its result."""
    os.makedirs(STATE_DIR, mode=0o750, exist_ok=True)
    if os.path.exists(RESULT_PATH):
        os.unlink(RESULT_PATH)
    complain(f"{what}: follow it with `journalctl -fu {UNIT}`; it goes on when this session ends")
    command = ["systemd-run", "--quiet", "--collect", "--wait", "--service-type=exec", f"--unit={UNIT}",
               "--description=upgrade of PostgreSQL", "--property=TimeoutStopSec=infinity", PROGRAM, "upgrading"]
    done = subprocess.run([*command, *arguments], capture_output=True, encoding="utf-8", check=False)
    try:
        with open(RESULT_PATH, encoding="utf-8") as stream:
            found: dict[str, Any] = json.load(stream)
            return found
    except (FileNotFoundError, ValueError) as error:
        raise RingstandError(
            f"Failed to {what}: {done.stderr.strip() or 'it was ended from outside'}. See journalctl -u {UNIT}, "
            "pg_lsclusters and `ringstand status`; only one can run at a time"
        ) from error


def _upgrading(options: argparse.Namespace) -> int:
    """The process inside the unit: it prints to the journal, and leaves its result in a file."""
    try:
        if options.rollback:
            result = upgrade_run.roll_back(options.cluster, say)
        else:
            plan = upgrade_plan.make(options.to, options.cluster, check=False)
            result = upgrade_run.perform(plan, not options.no_backup, say)
    except (RingstandError, OSError) as error:
        details = error.details if isinstance(error, RingstandError) else {}
        write_durably(RESULT_PATH, json.dumps({"result": "failed", "reason": str(error), "details": details}), 0o600)
        say(str(error))
        return 1
    write_durably(RESULT_PATH, json.dumps({"result": "ok", **result}), 0o600)
    say(_words(result))
    return 0


def _words(result: dict[str, Any]) -> str:
    version, _slash, name = result["kept"].partition("/")
    lines = [
        f"{result['upgraded']} runs after {result['downtime_seconds']:.0f} s without a database; {result['kept']} is "
        "kept stopped, with its packages",
        f"set postgresql_version to \"{result['upgraded'].partition('/')[0]}\" in the inventory, then run site.yml",
        f"when nobody needs the other one: pg_dropcluster {version} {name}; apt purge postgresql-{version}",
    ]
    return "\n".join([*lines, *result["problems"]])

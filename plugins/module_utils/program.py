# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``ringstand``, the program on a host: what an operator, systemd, cron and the modules call."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from . import (
    program_backup,
    program_certificates,
    program_database,
    program_doctor,
    program_drill,
    program_elsewhere,
    program_import,
    program_maintenance,
    program_operations,
    program_processes,
    program_purge,
    program_recover,
    program_releases,
    program_restore,
    program_units,
    program_upgrade,
)
from .console import complain, say
from .errors import RingstandError, reason_of
from .host_program import PROTOCOL, check_protocol

_VERBS = (
    *(program_releases, program_processes, program_operations, program_database, program_maintenance, program_doctor),
    *(program_certificates, program_backup, program_drill, program_restore, program_recover, program_elsewhere),
    *(program_import, program_upgrade, program_purge, program_units),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status: 0 done, 1 failed, 2 wrong usage, 3 something is not as it should be."""
    options = _parser().parse_args(arguments)
    if os.geteuid() != 0:
        complain("ringstand: run it as root, for example with sudo")
        return 1
    try:
        check_protocol(options.protocol)
        return int(options.run(options))
    except RingstandError as error:
        _print_failure(options, error.message, error.details)
        return 1
    except BrokenPipeError:  # who reads has seen enough, as head has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        _print_failure(options, f"Failed to run `ringstand {options.verb}`: {reason_of(error)}", {})
        return 1
    except KeyboardInterrupt:
        complain("ringstand: interrupted; what was started as a unit goes on, see `systemctl list-units 'ringstand-*'`")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ringstand", description="The Flask apps on this host, and their data.")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    parser.add_argument("--protocol", type=int, help=argparse.SUPPRESS)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Any, help_text: str | None, *options: tuple[str, dict[str, Any]]) -> None:
        sub = commands.add_parser(name, help=help_text) if help_text else commands.add_parser(name)
        # People write it there as well.
        sub.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        for flag, settings in options:
            sub.add_argument(flag, **settings)
        sub.set_defaults(run=run, verb=name)

    for verbs in _VERBS:
        verbs.add_commands(command)
    command("version", _version, "the version of the protocol that modules speak with this program")
    return parser


def _print_failure(options: argparse.Namespace, message: str, details: dict[str, Any]) -> None:
    if options.json:
        say(json.dumps({"result": "failed", "reason": message, "details": details}))
        return
    complain(f"ringstand: {message}")
    for key in ("output", "journal"):
        if details.get(key):
            complain(f"--- {key}, last lines\n{details[key]}")


def _version(options: argparse.Namespace) -> int:
    say(json.dumps({"protocol": PROTOCOL}) if options.json else f"ringstand protocol {PROTOCOL}")
    return 0

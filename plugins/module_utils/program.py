# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``ringstand``, the program on a host: what an operator, systemd, cron and the modules call."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pwd
import sys
from collections.abc import Sequence
from typing import Any

from . import activation, switch
from .activation_unit import run_activation
from .app_state import app_state
from .errors import RingstandError
from .host_program import PROTOCOL
from .layout import SLOTS, app_names, load_settings
from .ledger import Progress, good_releases, read_lines
from .releases import read_manifest, release_ids
from .systemd import systemctl


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _complain(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status: 0 done, 1 failed, 2 wrong usage, 3 something is not as it should be."""
    options = _parser().parse_args(arguments)
    if os.geteuid() != 0:
        _complain("ringstand: run it as root, for example with sudo")
        return 1
    try:
        return int(options.run(options))
    except RingstandError as error:
        _print_failure(options, error.message, error.details)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ringstand", description="Releases of the Flask apps on this host.")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Any, help_text: str | None, *options: tuple[str, dict[str, Any]]) -> None:
        sub = commands.add_parser(name, help=help_text) if help_text else commands.add_parser(name)
        for flag, settings in options:
            sub.add_argument(flag, **settings)
        sub.set_defaults(run=run)

    app = ("app", {"metavar": "APP"})
    by = ("--by", {"default": _caller(), "help": "who asks, for the ledger"})
    force = ("--force", {"action": "store_true", "help": "deploy even what is live already"})
    command("status", _status, "what serves, and how it is", ("app", {"metavar": "APP", "nargs": "?"}))
    command("releases", _releases, "the releases on this host", app)
    command(
        "deploy",
        _deploy,
        "build a release from an archive and make it live",
        app,
        ("--archive", {"required": True, "metavar": "FILE", "help": "tar archive of the source"}),
        ("--sha", {"required": True, "help": "the commit, or a hash of the content"}),
        ("--version", {"required": True, "help": "what people call it"}),
        by,
        force,
    )
    rollback_to = ("release", {"metavar": "RELEASE", "nargs": "?", "default": "previous"})
    command("rollback", _rollback, "make the last good release live again, or a named one", app, rollback_to, by)
    command("restart", _restart, "start the live release anew without losing a request", app, by)
    command("boot", _boot, "restore the live sockets and start the live slots (systemd calls this)")
    command("version", _version, "the version of the protocol that modules speak with this program")
    command("activation", _activation, None, app, ("request", {"metavar": "FILE"}))
    return parser


def _caller() -> str:
    with contextlib.suppress(KeyError):
        return os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
    return str(os.getuid())


def _print_failure(options: argparse.Namespace, message: str, details: dict[str, Any]) -> None:
    if options.json:
        _say(json.dumps({"result": "failed", "reason": message, "details": details}))
        return
    _complain(f"ringstand: {message}")
    for key in ("output", "journal"):
        if details.get(key):
            _complain(f"--- {key}, last lines\n{details[key]}")


def _version(options: argparse.Namespace) -> int:
    _say(json.dumps({"protocol": PROTOCOL}) if options.json else f"ringstand protocol {PROTOCOL}")
    return 0


def _status(options: argparse.Namespace) -> int:
    names = [options.app] if options.app else app_names()
    states = [app_state(load_settings(name).layout) for name in names]
    if options.json:
        _say(json.dumps({"apps": states}))
    for state in [] if options.json else states:
        if state["release"]:
            _say(f"{state['app']}: {state['version']} ({state['release']}) in {state['slot']}, {state['service']}")
        else:
            _say(f"{state['app']}: nothing deployed yet")
        if state["activation"]:
            _say(f"  activation: {state['activation']}")
    good = all(state["service"] == "active" and state["socket"] for state in states)
    return 0 if good else 3


def _releases(options: argparse.Namespace) -> int:
    settings = load_settings(options.app)
    layout = settings.layout
    live, good = switch.live_release(layout), good_releases(layout)
    rows = []
    for name in release_ids(layout):
        manifest = read_manifest(layout, name) or {}
        state = "live" if name == live else "good" if name in good else "never served" if manifest else "incomplete"
        rows.append({"release": name, "version": manifest.get("version"), "sha": manifest.get("sha"), "state": state})
    if options.json:
        _say(json.dumps({"releases": rows, "ledger": read_lines(layout.ledger)}))
        return 0
    for row in rows:
        _say(f"{row['release']}  {row['state']:<12}  {row['version']}")
    return 0


def _run(options: argparse.Namespace, kind: str, request: dict[str, Any]) -> int:
    settings = load_settings(options.app)

    def say(text: str) -> None:
        if not options.json:
            _complain(f"{settings.name}: {text}")

    entry = run_activation(settings, {"kind": kind, "by": options.by, **request}, say)
    if entry["result"] != "ok":
        raise RingstandError(entry["reason"], **{**entry["details"], "phases": entry["phases"]})
    if options.json:
        _say(json.dumps({**entry, "changed": True}))
    else:
        _say(f"{settings.name}: {entry['version']} ({entry['release']}) is live after {entry['seconds']:.1f} s")
    return 0


def _deploy(options: argparse.Namespace) -> int:
    settings = load_settings(options.app)
    state = app_state(settings.layout)
    if state["sha"] == options.sha and not options.force:
        unchanged = {"result": "ok", "changed": False, **{key: state[key] for key in ("release", "version", "sha")}}
        text = f"{settings.name}: {options.version} is live already as {state['release']}"
        _say(json.dumps(unchanged) if options.json else text)
        return 0
    if not os.path.isfile(options.archive):
        raise RingstandError(f"Failed to deploy {settings.name}: --archive {options.archive!r} is not a file")
    archive = {"archive": options.archive, "sha": options.sha, "version": options.version}
    return _run(options, "deploy", archive)


def _rollback(options: argparse.Namespace) -> int:
    return _run(options, "rollback", {"release": options.release})


def _restart(options: argparse.Namespace) -> int:
    return _run(options, "restart", {"release": "live"})


def _activation(options: argparse.Namespace) -> int:
    """The process inside the unit: it prints to the journal, and its result is in the ledger."""
    settings = load_settings(options.app)
    with open(options.request, encoding="utf-8") as stream:
        request = json.load(stream)
    layout = settings.layout
    progress = Progress(layout, request["kind"], request["by"], _say, request["token"])
    try:
        if request["kind"] == "deploy":
            source = activation.Source(request["archive"], request["sha"], request["version"])
            entry = activation.run_recorded(settings, progress, lambda: activation.deploy(settings, source, progress))
        else:
            entry = activation.run_recorded(
                settings, progress, lambda: activation.switch_to(settings, request["release"], progress)
            )
    finally:
        for path in (options.request, request.get("archive")):
            if path and os.path.exists(path):
                os.unlink(path)
    _say(entry.get("reason") or "done")
    return 0 if entry["result"] == "ok" else 1


def _boot(options: argparse.Namespace) -> int:
    failed = 0
    for name in app_names():
        try:
            layout = load_settings(name).layout
            switch.repair(layout)
            slot = switch.live_slot(layout)
            if slot is None:
                continue
            for other in SLOTS:
                if other != slot:
                    systemctl("stop", layout.socket_unit(other), check=False)
            systemctl("reset-failed", layout.socket_unit(slot), layout.service_unit(slot), check=False)
            systemctl("start", layout.socket_unit(slot))
            systemctl("start", "--no-block", layout.service_unit(slot))
        except RingstandError as error:  # one broken app never keeps another from starting
            _complain(f"ringstand: {error.message}")
            failed += 1
    return 1 if failed else 0

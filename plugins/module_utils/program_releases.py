# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The verbs of ``ringstand`` for releases: what serves, and what shall serve."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from . import (
    activation,
    backup_settings,
    backup_status,
    certificate_state,
    drill_record,
    early_build,
    in_place,
    process_moves,
    switch,
)
from .activation_record import record_ended, run_recorded
from .activation_unit import follow_activation, holder, run_activation, start_activation, start_build
from .app_state import app_state
from .backup_offsite import ONLY_HERE
from .caller import caller
from .console import complain, say
from .errors import RingstandError
from .layout import MIGRATION_LIMITS, SLOTS, AppSettings, Layout, app_names, load_settings
from .ledger import Progress, good_releases, read_lines
from .process_state import describe, is_well
from .program_processes import KINDS as PROCESS_KINDS
from .release_build import Source
from .releases import read_manifest, release_ids
from .systemd import systemctl, unit_properties


def add_commands(command: Callable[..., None]) -> None:
    """Register the verbs with ``command(name, run, help, *options)``; without a help text a verb is not shown."""
    app = ("app", {"metavar": "APP"})
    by = ("--by", {"default": caller(), "help": "who asks, for the ledger"})
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
        *((f"--{name.replace('_', '-')}", {"type": float, "metavar": "S", "help": f"for this deploy instead of {name}"})
          for name in MIGRATION_LIMITS),
        ("--no-wait", {"dest": "wait", "action": "store_false", "help": "only start it"}),
    )
    token = ("--token", {"help": argparse.SUPPRESS})
    command("follow", _follow, "watch what is under way to its end, or say how the last one ended", app, token)
    command(
        "build",
        _build,
        None,
        app,
        ("--archive", {"required": True, "metavar": "FILE"}),
        ("--sha", {"required": True}),
        ("--package", {"action": "append", "default": [], "dest": "packages"}),
        by,
    )
    rollback_to = ("release", {"metavar": "RELEASE", "nargs": "?", "default": "previous"})
    anyway = ("--force", {"action": "store_true", "help": "even to a release that does not fit the database's schema"})
    command("rollback", _rollback, "make the last good or a named release live again", app, rollback_to, by, anyway)
    command("restart", _restart, "start the live release anew without losing a request", app, by)
    command("boot", _boot, "restore the live sockets and start the live slots (systemd calls this)")
    command("activation", _activation, None, app, ("request", {"metavar": "FILE"}))


def _status(options: argparse.Namespace) -> int:
    names = [options.app] if options.app else app_names()
    certificates = {row["site"]: row for row in certificate_state.all_states()}
    states = [{**app_state(load_settings(name).layout), "certificate": certificates.get(name)} for name in names]
    backups = backup_status.load().get("parts") or {}
    verified, drill = (backups.get("verify") or {}).get("good"), backups.get("drill")
    if options.json:
        told = {"backups": {"verified": verified, "drill": drill}} if backups else {}
        say(json.dumps({"apps": states, **told}))
    for state in [] if options.json else states:
        if state["release"]:
            say(f"{state['app']}: {state['version']} ({state['release']}) in {state['slot']}, {state['service']}")
            for process in state["processes"]:
                say(f"  {describe(process, state['release'])}")
        else:
            say(f"{state['app']}: nothing deployed yet")
        if state["maintenance"]:
            say(f"  maintenance: since {state['maintenance']['since']}, visitors get 503")
        certificate = state["certificate"]
        if certificate and certificate["expires"]:
            problem = f": {certificate['problem']}" if certificate["problem"] else ""
            say(f"  certificate: {certificate['state']} until {certificate['expires']}{problem}")
        if state["activation"]:
            say(f"  activation: {state['activation']}")
    if backups and not (options.json or options.app):
        say(f"backups: verified {verified or 'never'}. {drill_record.describe(drill) if drill else 'Never drilled'}")
    if not options.json and not options.app and backup_settings.here_only():
        say(ONLY_HERE)
    good = all(
        state["service"] == "active" and state["socket"] and all(map(is_well, state["processes"])) for state in states
    )
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
        say(json.dumps({"releases": rows, "ledger": read_lines(layout.ledger)}))
        return 0
    for row in rows:
        say(f"{row['release']}  {row['state']:<12}  {row['version']}")
    return 0


def _run(options: argparse.Namespace, kind: str, request: dict[str, Any]) -> int:
    settings = load_settings(options.app)
    entry = run_activation(settings, {"kind": kind, "by": options.by, **request}, _teller(options))
    return _say_outcome(options, entry)


def _teller(options: argparse.Namespace) -> Callable[[str], None]:
    def tell(text: str) -> None:
        if not options.json:
            complain(f"{options.app}: {text}")

    return tell


def _say_outcome(options: argparse.Namespace, entry: dict[str, Any]) -> int:
    if entry["result"] != "ok":
        about = {"release": entry.get("release"), "phases": entry["phases"]}
        raise RingstandError(entry["reason"], **{**entry["details"], **about})
    if options.json:
        say(json.dumps({**entry, "changed": True}))
    else:
        say(f"{options.app}: {entry['version']} ({entry['release']}) is live after {entry['seconds']:.1f} s")
    return 0


def _follow(options: argparse.Namespace) -> int:
    """Go on watching an activation, for whoever was cut off from it or did not wait for it."""
    settings = load_settings(options.app)
    lines = read_lines(settings.layout.progress)
    token = options.token or (lines[0].get("token") if lines else None)
    if not token:
        raise RingstandError(f"Failed to follow an activation of {settings.name}: there has been none")
    return _say_outcome(options, follow_activation(settings, token, _teller(options)))


def _deploy(options: argparse.Namespace) -> int:
    settings = load_settings(options.app)
    state = app_state(settings.layout)
    if state["sha"] == options.sha and not options.force:
        unchanged = {"result": "ok", "changed": False, **{key: state[key] for key in ("release", "version", "sha")}}
        text = f"{settings.name}: {options.version} is live already as {state['release']}"
        say(json.dumps(unchanged) if options.json else text)
        return 0
    if not os.path.isfile(options.archive):
        raise RingstandError(f"Failed to deploy {settings.name}: --archive {options.archive!r} is not a file")
    for name in MIGRATION_LIMITS:
        if (getattr(options, name) or 0) < 0:
            raise RingstandError(f"Failed to deploy {settings.name}: --{name.replace('_', '-')} is less than 0")
    limits = {name: getattr(options, name) for name in MIGRATION_LIMITS if getattr(options, name) is not None}
    archive = {"archive": options.archive, "sha": options.sha, "version": options.version, "limits": limits}
    try:
        if options.wait:
            return _run(options, "deploy", archive)
        request = {"kind": "deploy", "by": options.by, **archive}
        token = start_activation(settings, request, _teller(options))
    finally:
        early_build.forget_archive(settings, options.sha)
    started = {"result": "ok", "changed": True, "token": token, "version": options.version, "sha": options.sha}
    say(json.dumps(started) if options.json else f"{settings.name}: started; ringstand follow {settings.name}")
    return 0


def _build(options: argparse.Namespace) -> int:
    """Start to build what the first deploy needs; that deploy waits for it."""
    settings = load_settings(options.app)
    kept = early_build.keep_archive(settings, options.archive, options.sha)
    start_build(settings, kept, options.sha, options.packages, options.by)
    say(json.dumps({"result": "ok", "archive": kept}))
    return 0


def _rollback(options: argparse.Namespace) -> int:
    return _run(options, "rollback", {"release": options.release, "force": options.force})


def _restart(options: argparse.Namespace) -> int:
    return _run(options, "restart", {"release": "live"})


def _activation(options: argparse.Namespace) -> int:
    """The process inside the unit: it prints to the journal, and its result is in the ledger."""
    settings = load_settings(options.app)
    with open(options.request, encoding="utf-8") as stream:
        request = json.load(stream)
    layout = settings.layout
    in_place.recover(layout)  # before anybody asks what is live
    record_ended(layout)
    progress = Progress(layout, request["kind"], request["by"], say, request["token"])
    if request["kind"] == early_build.KIND:
        os.unlink(options.request)
        early_build.build(settings, request["archive"], request["sha"], request["packages"], progress)
        return 0
    # The webhook tells of it before anything is done.
    progress.about.update({key: request[key] for key in ("version", "sha") if key in request})
    try:
        entry = run_recorded(settings, progress, lambda: _carry_out(settings, request, progress))
    finally:
        for path in (options.request, request.get("archive")):
            if path and os.path.exists(path):
                os.unlink(path)
    say(entry.get("reason") or "done")
    return 0 if entry["result"] == "ok" else 1


def _carry_out(settings: AppSettings, request: dict[str, Any], progress: Progress) -> None:
    kind = request["kind"]
    if kind == "deploy":
        source = Source(request["archive"], request["sha"], request["version"])
        activation.deploy(replace(settings, **request.get("limits", {})), source, progress)
    elif kind in PROCESS_KINDS:
        activation.settle_processes(settings, progress, request.get("scale"))
    else:
        activation.switch_to(settings, request["release"], progress, request.get("force", False))


def _boot(options: argparse.Namespace) -> int:
    failed = 0
    for name in app_names():
        try:
            settings = load_settings(name)
            if holder(settings.layout):
                continue  # not a boot: units and links are the activation's to change, and it waits for what is a boot
            in_place.recover(settings.layout, restart=False)
            switch.repair(settings.layout)
            slot, release = switch.live_slot(settings.layout), switch.live_release(settings.layout)
            if slot and release:
                _start_web(settings.layout, slot)
                trouble = process_moves.start_at_boot(settings, release)
                if trouble:
                    complain(f"ringstand: a process of {name} was not started: {trouble}")
            with contextlib.suppress(OSError):  # on a full disk the apps have to start all the same
                record_ended(settings.layout)
        except RingstandError as error:  # one broken app never keeps another from starting
            complain(f"ringstand: {error.message}")
            failed += 1
    return 1 if failed else 0


def _start_web(layout: Layout, slot: str) -> None:
    for other in SLOTS:
        if other != slot:
            systemctl("stop", layout.socket_unit(other), check=False)
    if unit_properties(layout.service_unit(slot), "ActiveState").get("ActiveState") == "active":
        return  # not a boot: only links were missing, and systemd refuses to listen for what runs
    systemctl("reset-failed", layout.socket_unit(slot), layout.service_unit(slot), check=False)
    systemctl("start", layout.socket_unit(slot))
    systemctl("start", "--no-block", layout.service_unit(slot))

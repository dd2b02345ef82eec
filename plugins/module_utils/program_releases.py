# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The verbs of ``ringstand`` for releases: what serves, and what shall serve."""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Callable
from typing import Any

from . import (
    backup_settings,
    backup_status,
    build_settings,
    certificate_state,
    drill_record,
    early_build,
    release_history,
    switch,
)
from .activation_unit import follow_activation, run_activation, start_activation, start_build
from .app_state import app_state
from .backup_offsite import ONLY_HERE
from .caller import caller
from .console import Teller, complain, say
from .errors import RingstandError
from .layout import MIGRATION_LIMITS, app_names, load_settings
from .ledger import good_releases, read_lines
from .process_state import describe, is_well
from .releases import read_manifest, release_ids

# It becomes part of the names of folders.
_SHA = re.compile(r"[0-9a-f]{7,64}")


def add_commands(command: Callable[..., None]) -> None:
    """Register the verbs with ``command(name, run, help, *options)``; without a help text a verb is not shown."""
    app = ("app", {"metavar": "APP"})
    by = ("--by", {"default": caller(), "help": "who asks, for the ledger"})
    force = ("--force", {"action": "store_true", "help": "deploy even what is live already"})
    command("status", _status, "what serves, and how it is", ("app", {"metavar": "APP", "nargs": "?"}))
    command("releases", _releases, "the releases on this host, and what was done last", app)
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
        ("--root-directory", {"metavar": "DIR", "help": "the folder of its source that the archive has"}),
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


def _status(options: argparse.Namespace) -> int:
    names = app_names() if options.app is None else [options.app]
    certificates = {row["site"]: row for row in certificate_state.all_states()}
    states, is_broken = [], False
    for name in names:
        try:
            states.append({**app_state(load_settings(name).layout), "certificate": certificates.get(name)})
        except RingstandError as error:  # one broken app never keeps another from being seen
            if options.app:
                raise
            complain(f"ringstand: {error.message}")
            is_broken = True
    backups = backup_status.load().get("parts") or {}
    verified, drill = (backups.get("verify") or {}).get("good"), backups.get("drill")
    if options.json:
        told = {"backups": {"verified": verified, "drill": drill}} if backups else {}
        say(json.dumps({"apps": states, **told}))
    for state in [] if options.json else states:
        if state["release"]:
            say(f"{state['app']}: {state['version']} ({state['release']}) in {state['slot']}, {state['service']}")
            if state["schema_revision"]:
                say(f"  schema: {state['schema_revision']} when it was deployed")
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
    return 0 if good and not is_broken else 3


def _releases(options: argparse.Namespace) -> int:
    settings = load_settings(options.app)
    layout = settings.layout
    live, good, entries = switch.live_release(layout), good_releases(layout), read_lines(layout.ledger)
    rows = []
    for name in release_ids(layout):
        manifest = read_manifest(layout, name) or {}
        went_live = release_history.went_live(entries, name)
        served = "rolled back" if went_live else "never served"
        state = "live" if name == live else "good" if name in good else served if manifest else "incomplete"
        about = {"release": name, "version": manifest.get("version"), "sha": manifest.get("sha"), "state": state}
        revision = release_history.schema_revision(entries, name)
        rows.append({**about, "schema_revision": revision, "went_live": went_live})
    if options.json:
        say(json.dumps({"releases": rows, "ledger": entries}))
        return 0
    for line in release_history.release_lines(rows) or [f"{settings.name}: nothing deployed yet"]:
        say(line)
    if entries:
        say("\nWhat was done last, and how it ended:")
    for line in release_history.attempt_lines(entries):
        say(line)
    return 0


def _run(options: argparse.Namespace, kind: str, request: dict[str, Any]) -> int:
    settings, tell = load_settings(options.app), Teller(options.app, options.json)
    return _say_outcome(options, run_activation(settings, {"kind": kind, "by": options.by, **request}, tell), tell)


def _say_outcome(options: argparse.Namespace, entry: dict[str, Any], tell: Teller) -> int:
    tell.rest(entry["notices"])
    if entry["result"] != "ok":
        about = {"release": entry.get("release"), "phases": entry["phases"], "notices": entry["notices"]}
        raise RingstandError(entry["reason"], **{**entry["details"], **about})
    if options.json:
        say(json.dumps({**entry, "changed": True}))
    else:
        say(f"{options.app}: {entry['version']} ({entry['release']}) is live after {entry['seconds']:.1f} s")
    return 0


def _follow(options: argparse.Namespace) -> int:
    """Go on watching an activation, for whoever was cut off from it or did not wait for it."""
    settings, tell = load_settings(options.app), Teller(options.app, options.json)
    lines = read_lines(settings.layout.progress)
    token = options.token or (lines[0].get("token") if lines else None)
    if not token:
        raise RingstandError(f"Failed to follow an activation of {settings.name}: there has been none")
    return _say_outcome(options, follow_activation(settings, token, tell), tell)


def _deploy(options: argparse.Namespace) -> int:
    settings = load_settings(options.app)
    state = app_state(settings.layout)
    wanted = build_settings.build_settings(settings, options.root_directory)
    is_live = state["sha"] == options.sha and not build_settings.changed(state["built"], wanted)
    if is_live and not options.force:
        unchanged = {"result": "ok", "changed": False, **{key: state[key] for key in ("release", "version", "sha")}}
        text = f"{settings.name}: {options.version} is live already as {state['release']}"
        say(json.dumps(unchanged) if options.json else text)
        return 0
    if not os.path.isfile(options.archive):
        raise RingstandError(f"Failed to deploy {settings.name}: --archive {options.archive!r} is not a file")
    if not _SHA.fullmatch(options.sha):
        raise RingstandError(
            f"Failed to deploy {settings.name}: --sha {options.sha!r} is not a hash: 7 to 64 hexadecimal digits"
        )
    for name in MIGRATION_LIMITS:
        if (getattr(options, name) or 0) < 0:
            raise RingstandError(f"Failed to deploy {settings.name}: --{name.replace('_', '-')} is less than 0")
    limits = {name: getattr(options, name) for name in MIGRATION_LIMITS if getattr(options, name) is not None}
    archive = {"archive": options.archive, "sha": options.sha, "version": options.version, "limits": limits}
    archive["root_directory"] = options.root_directory
    try:
        if options.wait:
            return _run(options, "deploy", archive)
        request = {"kind": "deploy", "by": options.by, **archive}
        token = start_activation(settings, request, Teller(options.app, options.json))
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

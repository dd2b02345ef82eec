# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The verbs of ``ringstand`` for backups: make one, and tell what there is."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

from . import (
    backup_dumps,
    backup_elsewhere,
    backup_notice,
    backup_report,
    backup_run,
    backup_shipping,
    backup_status,
    drill_record,
    drill_unit,
    pgbackrest,
    restic,
)
from .backup_due import drill_due
from .backup_offsite import ONLY_HERE
from .backup_settings import BackupSettings, holder, load, only_one
from .console import complain, say
from .errors import RingstandError
from .ledger import utc


def add_commands(command: Callable[..., None]) -> None:
    """Register the verbs with ``command(name, run, help, *options)``."""
    command(
        "backup",
        _backup,
        "back up this host now; ends with 1 when a part failed, with 3 when something is damaged",
        ("--if-due", {"action": "store_true", "help": "only what has not been done since the nightly hour"}),
        ("--verify-only", {"action": "store_true", "help": "only read everything back"}),
        ("--full", {"action": "store_true", "help": "a full backup of the cluster, whatever is due"}),
        ("--test-notification", {"action": "store_true", "help": "only a message to the webhook and by mail"}),
    )
    command("ship", _ship, None)
    command(
        "backups",
        _backups,
        "the backups of this host; ends with 3 when they are not as they should be",
        ("--offsite", {"action": "store_true", "help": "list those in the second place, by asking it"}),
    )


def _backup(options: argparse.Namespace) -> int:
    settings, now = load(), time.time()
    if options.test_notification:
        return _test_notification(options, now)
    tell = (lambda _text: None) if options.json else complain
    with only_one("backup", now):
        status = backup_run.run(settings, now, tell, options.if_due, options.verify_only, options.full)
    if options.if_due and _drill_due(settings, status):
        tell("drill …")
        try:
            status = drill_unit.run_drill()
        except RingstandError as error:  # such as one that a restore has stopped; the next night has another one
            tell(error.message)
    code, untold = backup_report.report(settings, status, time.time())
    for reason in untold:
        complain(reason)
    if options.json:
        say(json.dumps({**status, "backup": status["result"], "result": "done"}))
    elif status["problems"]:
        say(f"The backup has {len(status['problems'])} problems:")
        for problem in status["problems"]:
            say(f"  {_text(problem)}")
    elif not options.if_due:
        say("The backup is complete and verified." if not options.verify_only else "Everything could be read back.")
    return code


def _drill_due(settings: BackupSettings, status: dict[str, Any]) -> bool:
    """Whether a restore has to be drilled now: only of what has just been read back without a fault."""
    last, good = backup_status.finished_at(status, "drill"), status["parts"].get("verify", {}).get("sound")
    since, failed = backup_status.seconds(status.get("since")), backup_status.failed(status, "drill")
    due = drill_due(time.time(), settings.hour, settings.drill_days, since, last, failed)
    return due and bool(good) and not drill_unit.holder()


def _test_notification(options: argparse.Namespace, now: float) -> int:
    taken, problems = backup_notice.test(now)
    if not taken and not problems:
        problems = ["There is nobody to tell: set backup_webhook_url or backup_smtp"]
    if options.json:
        say(json.dumps({"result": "done", "taken": taken, "problems": problems}))
    else:
        say("\n".join([*(f"The {name} took it." for name in taken), *problems]))
    return 1 if problems else 0


def _ship(_options: argparse.Namespace) -> int:
    """The process of ringstand-offsite.service."""
    settings = load()
    if not (settings.cluster and settings.offsite):
        raise RingstandError(f"Failed to ship WAL: there is no second repository. {ONLY_HERE}")
    return backup_shipping.serve(settings, say)


def _text(problem: dict[str, Any]) -> str:
    return ": ".join(str(problem[key]) for key in ("part", "file", "reason") if problem.get(key))


def _gather(settings: BackupSettings) -> tuple[dict[str, Any], list[str]]:
    """What can be restored, and what could not be read."""
    wrong: list[str] = []
    found: dict[str, Any] = {"cluster": [], "archived": {}, "dumps": [], "files": []}
    try:
        information = pgbackrest.information(settings.stanza) if settings.cluster else pgbackrest.Information(True)
        found["cluster"] = [
            {"label": item.label, "kind": item.kind, "finished": utc(item.finished), "size": item.size,
             "repository_size": item.repository_size, "error": item.error}
            for item in information.backups
        ]
        found["archived"] = {key: list(value) for key, value in information.archives.items()}
    except (RingstandError, OSError) as error:
        wrong.append(str(error))
    found["dumps"] = [
        {"database": item.database, "time": utc(item.time), "path": item.path, "size": item.size}
        for item in ([] if settings.from_offsite else backup_dumps.dumps(settings.dumps_dir))
    ]
    try:
        found["files"] = [
            {"id": item.id, "name": item.name, "time": item.time[:19] + "Z", "paths": item.paths}
            for item in restic.snapshots(settings.repository)
        ]
    except (RingstandError, OSError) as error:
        wrong.append(str(error))
    return found, wrong


def _judge(settings: BackupSettings, status: dict[str, Any], found: dict[str, Any], now: float) -> list[str]:
    """Why the backups are not as they should be."""
    there = any(not item["error"] for item in found["cluster"]) if settings.cluster else bool(found["files"])
    if not status or not there:
        return ["there is no complete backup yet: run ringstand backup, or wait for the next hour"]
    wrong = backup_status.faults(status, now, settings.drill_days)
    if settings.cluster and settings.offsite:
        late = [str(problem) for problem in backup_shipping.problems(backup_shipping.load(), now)]
        wrong += [text for text in late if text not in wrong]
    return wrong


def _elsewhere(settings: BackupSettings, status: dict[str, Any]) -> dict[str, Any] | None:
    """What is known of the second place without asking it."""
    if settings.offsite is None:
        return None
    part, shipping = (status.get("parts") or {}).get("offsite") or {}, backup_shipping.load()
    part = {} if backup_status.of_another_place(status, settings.offsite.where) else part
    known = {key: shipping.get(key) for key in ("newest", "waiting", "reason")} if settings.cluster else {}
    return {"where": settings.offsite.where, "good": part.get("good"), "verified": part.get("verified"), **known}


def _backups(options: argparse.Namespace) -> int:
    settings, status, now = load(), backup_status.load(), time.time()
    found, wrong = _gather(settings.at_offsite() if options.offsite else settings)
    wrong += _judge(settings, status, found, now)
    running, elsewhere = holder() or drill_unit.holder(), _elsewhere(settings, status)
    if options.json:
        about = {"state": "failing" if wrong else "ok", "problems": wrong, "running": running, "offsite": elsewhere}
        say(json.dumps({**about, "finished": status.get("finished"), "parts": status.get("parts"), **found}))
        return 3 if wrong else 0
    for item in found["cluster"]:
        note = "damaged" if item["error"] else _size(item["repository_size"])
        say(f"cluster   {item['finished']}  {item['kind']:<5} {note:>9}  {item['label']}")
    for item in found["dumps"]:
        say(f"dump      {item['time']}  {_size(item['size']):>15}  {item['path']}")
    for item in found["files"]:
        say(f"files     {item['time']}  {item['id'][:8]:>15}  {item['name']}: {' '.join(item['paths'])}")
    drilled = (status.get("parts") or {}).get("drill")
    say(drill_record.describe(drilled) if drilled else "No restore has been drilled yet.")
    for app in settings.elsewhere:
        say(f"{app}: {backup_elsewhere.NO_POINT_IN_TIME}")
    if running:
        say(f"under way: {running}")
    for text in wrong:
        say(f"NOT GOOD: {text}")
    if elsewhere is None:
        say(ONLY_HERE)
    else:
        good = f"complete at {elsewhere['good']}" if elsewhere["good"] else "not complete yet"
        waiting = f", {elsewhere['waiting']} WAL segments on their way" if elsewhere.get("waiting") else ""
        say(f"elsewhere {elsewhere['where']}: {good}{waiting}")
    if not wrong:
        say(f"Verified {status['parts']['verify']['good']}.")
    return 3 if wrong else 0


def _size(number: int) -> str:
    return f"{number / 2**20:.1f} MB"

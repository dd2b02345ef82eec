# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Start an activation as a unit of its own, follow it, and return what came of it.

The unit outlives whoever started it: an SSH session that is cut ends only the following. Its fixed name is the lock,
which systemd frees when the process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from typing import Any, Callable

from . import transient_unit
from .boot import boot_id
from .errors import RingstandError
from .host_program import PROGRAM
from .layout import AppSettings, Layout
from .ledger import ended_from_outside, read_lines
from .releases import write_durably
from .systemd import unit_properties

# A deploy just after a boot waits until the apps are as they were before it. Stopping includes what comes afterwards,
# which may have to wait for workers to finish their jobs.
_PROPERTIES = ("KillMode=mixed", "OOMScoreAdjust=-500", "After=ringstand-boot.service", "TimeoutStopSec=5min")
# When the process was killed or has left something, before the lock is free: systemd sees to it that it is put right.
_AFTERWARDS = "ExecStopPost=-/bin/sh -c 'test \"$$EXIT_CODE\" = exited -a ! -e {note} || exec {program} ended {app}'"
_REQUEST, _ARCHIVE = "request", "incoming"
_BUILD = "early build of"  # in the description of its unit


def holder(layout: Layout) -> str:
    """Who activates this app right now, for people; empty when nobody does."""
    if not transient_unit.is_active(layout.activation_unit):
        return ""
    lines = read_lines(layout.progress)
    begun = next((line for line in lines if line.get("event") == "start"), None)
    if begun is None:
        return "it has only just begun"
    step = next((line["phase"] for line in reversed(lines) if line.get("event") == "phase"), "start")
    return f"{begun.get('kind')} by {begun.get('by')} since {begun.get('at')}, now at step {step!r}"


def start_build(settings: AppSettings, archive: str, sha: str, packages: list[str], by: str) -> None:
    """Start the build of a virtual environment, and leave it to itself; a deploy waits for it.

    Nothing is started while something else of the app runs: then there is no hurry.
    """
    layout = settings.layout
    if holder(layout):
        return
    request = {"kind": "build", "by": by, "archive": archive, "sha": sha, "packages": packages}
    _token, request_path = _write_request(layout, request)
    _start(layout, request_path, f"{_BUILD} {layout.app}", wait=False).wait()


def _write_request(layout: Layout, request: dict[str, Any]) -> tuple[str, str]:
    """Write down what is to be done; returns the token that its progress carries, and the file's path."""
    token = uuid.uuid4().hex
    path = _kept(layout, _REQUEST, f"{token}.json")
    write_durably(path, json.dumps({**request, "token": token}))
    return token, path


def _kept(layout: Layout, kind: str, name: str) -> str:
    """The path of a file that one activation needs and that means nothing after the next boot."""
    return os.path.join(layout.state_dir, f"{kind}-{boot_id()[:12]}-{name}")


def remove_orphans(layout: Layout) -> None:
    """Remove the files of activations that ended with the machine."""
    current = f"-{boot_id()[:12]}-"
    for name in os.listdir(layout.state_dir):
        if name.startswith((f"{_REQUEST}-", f"{_ARCHIVE}-")) and current not in name:
            os.unlink(os.path.join(layout.state_dir, name))


def _wait_for_build(layout: Layout, say: Callable[[str], None]) -> None:
    """Wait while an early build runs, which is the only thing of the app that one waits for."""
    told = False
    while True:
        state = unit_properties(layout.activation_unit, "ActiveState", "Description")
        if state.get("ActiveState") not in transient_unit.ACTIVE or not state.get("Description", "").startswith(_BUILD):
            return
        if not told:
            say("waiting for the early build")
            told = True
        time.sleep(transient_unit.POLL_SECONDS)


def run_activation(settings: AppSettings, request: dict[str, Any], say: Callable[[str], None]) -> dict[str, Any]:
    """Run ``request`` (kind, by, and for a deploy archive, sha and version) and return its entry of the ledger.

    Raises :class:`RingstandError` when another activation of the app is under way, or when this one was killed.
    """
    with _requested(settings, request, say) as (token, request_path):
        waiter = _start(settings.layout, request_path, f"activation of {settings.name}")
        seen = _follow(settings.layout, token, say, lambda: waiter.poll() is not None)
    stderr = waiter.stderr.read() if waiter.stderr else ""
    if not seen:
        _refused(settings, request["kind"], stderr)
    return _outcome(settings, request["kind"], seen, stderr)


def start_activation(settings: AppSettings, request: dict[str, Any], say: Callable[[str], None]) -> str:
    """Start ``request`` and return the token by which :func:`follow_activation` knows it; raises when it is refused."""
    with _requested(settings, request, say, kept_by_unit=True) as (token, request_path):
        starter = _start(settings.layout, request_path, f"activation of {settings.name}", wait=False)
        _out, stderr = starter.communicate()
        if starter.returncode != 0:
            _refused(settings, request["kind"], stderr)
    return token


def follow_activation(settings: AppSettings, token: str, say: Callable[[str], None]) -> dict[str, Any]:
    """Wait for the end of an activation that was started, and return its entry of the ledger."""
    layout = settings.layout
    seen = _follow(layout, token, say, lambda: not transient_unit.is_active(layout.activation_unit))
    if not seen:
        raise RingstandError(
            f"Failed to follow the activation of {settings.name}: it left no trace, or another one was started "
            f"since. The ledger has what came of it: ringstand releases {settings.name}"
        )
    return _outcome(settings, "deploy", seen, "")


@contextlib.contextmanager
def _requested(
    settings: AppSettings, request: dict[str, Any], say: Callable[[str], None], kept_by_unit: bool = False
) -> Iterator[tuple[str, str]]:
    """Keep what the unit needs, its own copy of the archive too, until the block ends or, if asked, for the unit."""
    layout = settings.layout
    os.makedirs(layout.state_dir, mode=0o750, exist_ok=True)
    _wait_for_build(layout, say)
    held: list[str] = []
    try:
        if request.get("archive"):
            kept = _kept(layout, _ARCHIVE, uuid.uuid4().hex)
            held.append(kept)
            shutil.copyfile(request["archive"], kept)
            request = {**request, "archive": kept}
        token, request_path = _write_request(layout, request)
        held.append(request_path)
        yield token, request_path
    except BaseException:
        _remove(held)
        raise
    if not kept_by_unit:
        _remove(held)


def _refused(settings: AppSettings, kind: str, stderr: str) -> None:
    """Raise when systemd has refused the unit because another one has its name."""
    reason = holder(settings.layout)
    if reason or "already" in stderr:
        reason = reason or "one that is just ending"
        raise RingstandError(
            f"Failed to {kind} {settings.name}: another activation is under way: {reason}. "
            f"Wait for it; follow it with `journalctl -fu {settings.layout.activation_unit}`."
        )


def _outcome(settings: AppSettings, kind: str, seen: list[dict[str, Any]], stderr: str) -> dict[str, Any]:
    told = [line["text"] for line in seen if line.get("event") == "notice"]
    result = next((line for line in reversed(seen) if line.get("event") == "result"), None)
    if result is not None:
        # Of one that was ended from outside the result knows no notice of a step.
        notices = list(dict.fromkeys([*told, *result.get("notices", [])]))
        return {**{key: value for key, value in result.items() if key not in ("event", "at")}, "notices": notices}
    step = next((line["phase"] for line in reversed(seen) if line.get("event") == "phase"), "its start")
    raise RingstandError(ended_from_outside(kind, settings.name, step), stderr=stderr, notices=told)


def _start(layout: Layout, request_path: str, description: str, wait: bool = True) -> subprocess.Popen[str]:
    arguments = ["activation", layout.app, request_path]
    afterwards = _AFTERWARDS.format(note=layout.unproven, program=PROGRAM, app=layout.app)
    return transient_unit.start(layout.activation_unit, description, arguments, (*_PROPERTIES, afterwards), wait)


def _follow(
    layout: Layout, token: str, say: Callable[[str], None], has_ended: Callable[[], bool]
) -> list[dict[str, Any]]:
    return transient_unit.follow(layout.progress, token, ("phase", "notice"), say, has_ended)


def _remove(paths: list[str]) -> None:
    for path in paths:
        if os.path.exists(path):
            os.unlink(path)

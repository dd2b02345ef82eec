# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Start an activation as a unit of its own, follow it, and return what came of it.

The unit outlives whoever started it: an SSH session that is cut ends only the following. Its fixed name is the lock,
which systemd frees when the process ends, however it ends.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import uuid
from typing import Any, Callable

from .errors import RingstandError
from .host_program import PROGRAM
from .layout import AppSettings, Layout
from .ledger import read_lines
from .releases import write_durably
from .systemd import unit_properties

_POLL_SECONDS = 0.1


def holder(layout: Layout) -> str:
    """Who activates this app right now, for people; empty when nobody does."""
    state = unit_properties(layout.activation_unit, "ActiveState").get("ActiveState")
    if state not in ("active", "activating", "deactivating"):
        return ""
    lines = read_lines(layout.progress)
    begun = next((line for line in lines if line.get("event") == "start"), None)
    if begun is None:
        return "it has only just begun"
    step = next((line["phase"] for line in reversed(lines) if line.get("event") == "phase"), "start")
    return f"{begun.get('kind')} by {begun.get('by')} since {begun.get('at')}, now at step {step!r}"


def run_activation(settings: AppSettings, request: dict[str, Any], say: Callable[[str], None]) -> dict[str, Any]:
    """Run ``request`` (kind, by, and for a deploy archive, sha and version) and return its entry of the ledger.

    Raises :class:`RingstandError` when another activation of the app is under way, or when this one was killed.
    """
    layout = settings.layout
    token = uuid.uuid4().hex
    os.makedirs(layout.state_dir, mode=0o750, exist_ok=True)
    held: list[str] = []
    try:
        if request.get("archive"):
            kept = os.path.join(layout.state_dir, f"incoming-{token}")
            held.append(kept)
            shutil.copyfile(request["archive"], kept)
            request = {**request, "archive": kept}
        request_path = os.path.join(layout.state_dir, f"request-{token}.json")
        held.append(request_path)
        write_durably(request_path, json.dumps({**request, "token": token}))
        waiter = _start(layout, request_path)
    except BaseException:
        _remove(held)
        raise
    seen = _follow(layout, waiter, token, say)
    _remove(held)
    result = next((line for line in reversed(seen) if line.get("event") == "result"), None)
    if result is not None:
        return {key: value for key, value in result.items() if key not in ("event", "at")}
    stderr = waiter.stderr.read() if waiter.stderr else ""
    if not seen:
        reason = holder(layout)
        if reason or "already" in stderr:
            raise RingstandError(
                f"Failed to {request['kind']} {settings.name}: another activation is under way: {reason}. "
                f"Wait for it; follow it with `journalctl -fu {layout.activation_unit}`."
            )
    step = next((line["phase"] for line in reversed(seen) if line.get("event") == "phase"), "its start")
    raise RingstandError(
        f"Failed to {request['kind']} {settings.name}: the activation was ended from outside during {step!r}. "
        "Run it again: it continues from whatever is there.",
        stderr=stderr,
    )


def _start(layout: Layout, request_path: str) -> subprocess.Popen[str]:
    """Never with --pipe: a process that prints into a session that is gone dies at its next line."""
    return subprocess.Popen(
        [
            "systemd-run",
            "--quiet",
            "--collect",
            "--wait",
            "--service-type=exec",
            f"--unit={layout.activation_unit}",
            f"--description=activation of {layout.app}",
            "--property=KillMode=mixed",
            "--property=OOMScoreAdjust=-500",
            PROGRAM,
            "activation",
            layout.app,
            request_path,
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def _follow(
    layout: Layout, waiter: subprocess.Popen[str], token: str, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Report the steps of the activation that carries ``token`` until it ends; returns its progress lines."""
    told = 0
    while True:
        ended = waiter.poll() is not None
        lines = read_lines(layout.progress)
        ours = lines if lines and lines[0].get("token") == token else []
        for line in ours[told:]:
            if line.get("event") in ("phase", "notice"):
                say(str(line.get("phase") or line.get("text")))
        told = len(ours)
        if ended:
            return ours
        time.sleep(_POLL_SECONDS)


def _remove(paths: list[str]) -> None:
    for path in paths:
        if os.path.exists(path):
            os.unlink(path)

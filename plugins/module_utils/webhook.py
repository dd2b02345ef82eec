# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tell a URL of the app's what happens to it. The URL is a secret: it is in no argument, message or log."""

from __future__ import annotations

import json
import socket
import threading
import urllib.request
from typing import Any

from .layout import Layout

_TIMEOUT_SECONDS = 5
START, SUCCESS, FAILURE, ROLLBACK = "start", "success", "failure", "rollback"
_VERBS = {START: "begins", SUCCESS: "is live", FAILURE: "failed", ROLLBACK: "is live again"}


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirected POST would arrive as a GET without its body, perhaps somewhere else."""

    def redirect_request(self, *_arguments: Any) -> None:
        """Follow none."""


class Webhook:
    """The app's webhook during one activation. Sending is never waited for, until ``problems`` are asked for."""

    def __init__(self, layout: Layout) -> None:
        self._app = layout.app
        self._problems: list[str] = []
        self._threads: list[threading.Thread] = []
        try:
            with open(layout.webhook_file, encoding="utf-8") as stream:
                self._url = stream.read().strip()
        except FileNotFoundError:
            self._url = ""

    def send(self, event: str, kind: str, by: str, about: dict[str, Any]) -> None:
        """Post one event; ``about`` holds release, version, seconds and reason as far as they are known."""
        if self._url:
            body = message(self._app, event, kind, by, about)
            thread = threading.Thread(target=self._post, args=(event, body), daemon=True)
            self._threads.append(thread)
            thread.start()

    def problems(self) -> list[str]:
        """Wait for what is under way, some seconds at most, and return what could not be sent."""
        for thread in self._threads:
            thread.join(_TIMEOUT_SECONDS + 1)
        late = sum(thread.is_alive() for thread in self._threads)
        return self._problems + (["The webhook did not answer in time."] if late else [])

    def _post(self, event: str, body: dict[str, Any]) -> None:
        reason = post(self._url, body)
        if reason:
            self._problems.append(f"The webhook was not told of the event {event!r}: {reason}.")


def post(url: str, body: dict[str, Any]) -> str:
    """Send JSON. Returns why it was not taken, without the URL; empty when it was. It never raises."""
    try:
        request = urllib.request.Request(  # noqa: S310 - validated as https or http
            url,
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "User-Agent": "ringstand"},
        )
        with urllib.request.build_opener(_NoRedirects).open(request, timeout=_TIMEOUT_SECONDS):
            return ""
    except Exception as error:  # whatever it is, it must not fail a deploy; its text may hold the URL
        status = getattr(error, "code", None)
        return f"it answered {status}" if status else type(getattr(error, "reason", error)).__name__


def message(app: str, event: str, kind: str, by: str, about: dict[str, Any]) -> dict[str, Any]:
    """The body of an event; ``text`` is what Slack, Mattermost and their like show."""
    host = socket.gethostname()
    what = about.get("version") or about.get("release") or ""
    text = f"{app} on {host}: {kind}{f' of {what}' if what else ''} by {by} {_VERBS[event]}"
    if event != START and about.get("seconds") is not None:
        text += f" after {about['seconds']:.1f} s"
    if about.get("reason"):
        text += f": {about['reason']}"
    known = {key: about.get(key) for key in ("release", "version", "sha", "previous", "seconds", "reason")}
    return {"text": text, "app": app, "host": host, "event": event, "kind": kind, "by": by, **known}

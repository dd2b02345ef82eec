"""What a webhook is told, and that what it answers, or that it does not, is only a notice without its URL."""

from __future__ import annotations

import http.server
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import activation_record, hooks, webhook
from ansible_collections.ringstand.flask.plugins.module_utils.layout import Layout
from settings_below import Settings  # type: ignore[import-not-found]

ABOUT = {"version": "v2", "release": "r2", "seconds": 4.21, "reason": None}


class Receiver(http.server.BaseHTTPRequestHandler):
    bodies: list[dict] = []

    def do_POST(self) -> None:
        Receiver.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response({"/broken": 500, "/moved": 302}.get(self.path, 200))
        self.send_header("Location", "/")
        self.end_headers()

    do_GET = do_POST

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Receiver.bodies = []
    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=served.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{served.server_port}"
    served.shutdown()
    served.server_close()


def told(tmp_path: Path, url: str) -> webhook.Webhook:
    layout = Layout("shop", str(tmp_path))
    os.makedirs(os.path.dirname(layout.webhook_file))
    Path(layout.webhook_file).write_text(f"{url}\n", encoding="utf-8")
    return webhook.Webhook(layout)


def test_an_event_is_one_json_object_with_a_text(tmp_path: Path, server: str) -> None:
    hook = told(tmp_path, f"{server}/token")
    hook.send(webhook.SUCCESS, "deploy", "ann", ABOUT)
    assert hook.problems() == []
    (body,) = Receiver.bodies
    expected = {"app": "shop", "event": "success", "kind": "deploy", "by": "ann", "version": "v2"}
    assert expected.items() <= body.items()
    assert body["text"].startswith("shop on ")
    assert body["text"].endswith("deploy of v2 by ann is live after 4.2 s")


@pytest.mark.parametrize(("path", "words"), [("/broken", "answered 500"), ("/moved", "answered 302")])
def test_a_refusal_is_a_notice_without_the_url(tmp_path: Path, server: str, path: str, words: str) -> None:
    hook = told(tmp_path, server + path)
    hook.send(webhook.FAILURE, "deploy", "ann", {**ABOUT, "reason": "it hangs"})
    (problem,) = hook.problems()
    assert words in problem
    assert path not in problem
    assert Receiver.bodies[0]["text"].endswith("failed after 4.2 s: it hangs")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/token", "nonsense token", "http://token.invalid/"])
def test_nobody_there_is_a_notice_without_the_url(tmp_path: Path, url: str) -> None:
    hook = told(tmp_path, url)
    hook.send(webhook.START, "deploy", "ann", {})
    (problem,) = hook.problems()
    assert "token" not in problem


def test_without_a_url_nothing_is_sent(tmp_path: Path) -> None:
    hook = webhook.Webhook(Layout("shop", str(tmp_path)))
    hook.send(webhook.START, "deploy", "ann", {})
    assert hook.problems() == []


@pytest.mark.parametrize(("result", "events"), [("failed", ["failure"]), ("ok", ["success"])])
def test_of_one_that_was_killed_webhook_and_hook_are_told_as_well(
    settings: Settings, server: str, monkeypatch: pytest.MonkeyPatch, result: str, events: list[str]
) -> None:
    os.makedirs(os.path.dirname(settings.layout.webhook_file), exist_ok=True)
    Path(settings.layout.webhook_file).write_text(f"{server}\n", encoding="utf-8")
    ran, said = [], []
    monkeypatch.setattr(hooks, "run", lambda _settings, hook, _release, _progress, reason: ran.append((hook, reason)))
    entry = {**ABOUT, "kind": "deploy", "by": "ann", "result": result, "reason": "ended from outside"}
    activation_record.tell_ended(settings, entry, said.append)
    assert [body["event"] for body in Receiver.bodies] == events
    assert (ran, said) == ([("on_failure", "ended from outside")] if result == "failed" else [], [])

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The module as Ansible runs it, against a real server."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.ringstand.flask.plugins.modules import health_check
from module_result import result_of

CANARY = "canary-7d21f0"


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"status": "ok", "you sent": self.headers.get("Authorization")}).encode()
        self.send_response(200 if self.path == "/health" else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        """Be quiet."""


@pytest.fixture
def url() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def run(capsys: Any) -> Any:
    def call(**options: Any) -> dict[str, Any]:
        with patch_module_args({"timeout_seconds": 1, **options}), pytest.raises(SystemExit):
            health_check.main()
        return result_of(capsys.readouterr().out)

    return call


@pytest.mark.parametrize("check", [False, True])
def test_healthy(run: Any, url: str, check: bool) -> None:
    result = run(url=f"{url}/health", json={"status": "ok"}, _ansible_check_mode=check)
    assert (result["changed"], result["healthy"], result["attempts"], result["status"]) == (False, True, 3, 200)
    assert len(result["latencies_ms"]) == 3


def test_a_failure_says_what_was_seen(run: Any, url: str) -> None:
    result = run(url=f"{url}/ready")
    assert result["failed"] is True
    assert result["msg"].startswith(f"Failed to see {url}/ready healthy: status 503 instead of 200; last answer: ")
    assert f"{result['attempts']} attempts in 1.0 s" in result["msg"]
    assert result["reason"] == "status 503 instead of 200"


def test_in_check_mode_not_healthy_is_no_failure(run: Any) -> None:
    result = run(socket_path="/nonexistent", _ansible_check_mode=True)
    assert "failed" not in result
    assert (result["healthy"], result["status"]) == (False, None)
    assert "FileNotFoundError" in result["exception_seen"]


def test_header_values_are_not_shown(run: Any, url: str) -> None:
    result = run(url=f"{url}/ready", headers={"Authorization": f"Bearer {CANARY}"})
    assert "status 503" in result["msg"]
    assert CANARY not in json.dumps(result)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "one of the following is required: url, socket_path"),
        ({"url": "http://localhost/", "socket_path": "/run/s"}, "mutually exclusive"),
        ({"url": "localhost"}, "write http(s)://host"),
        ({"url": "http://localhost/", "status": [1000]}, "status [1000]"),
        ({"url": "http://localhost/", "statuses": [200]}, "statuses"),
    ],
)
def test_bad_input(run: Any, options: dict[str, Any], words: str) -> None:
    result = run(**options)
    assert result["failed"] is True
    assert words in result["msg"]

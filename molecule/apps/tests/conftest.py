"""How the tests ask an app, and how they deploy a changed copy of it."""

from __future__ import annotations

import base64
import io
import json
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

APPS = Path(__file__).parents[1] / "apps"
GET = """
import http.client, socket, sys
app, path, host = sys.argv[1:]
connection = http.client.HTTPConnection(host)
connection.sock = socket.socket(socket.AF_UNIX)
connection.sock.connect(f"/run/{app}/live.sock")
connection.request("GET", path)
answer = connection.getresponse()
print(answer.status)
print(answer.read().decode(), end="")
"""


def archive(app: str, changes: dict[str, str | None]) -> bytes:
    """The app's files, with those of ``changes`` in their place; None leaves one out."""
    root = APPS / app
    found = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    changed = {name: None if text is None else text.encode() for name, text in changes.items()}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as stream:
        for name, content in {**found, **changed}.items():
            if content is not None:
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                stream.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


class Host:
    """The host of the apps."""

    def __init__(self, host: Any) -> None:
        self.host = host
        self._number = int(time.time())

    def get(self, app: str, path: str, host: str = "localhost") -> tuple[int, str]:
        status, _newline, body = self.host.check_output("python3 -c %s %s %s %s", GET, app, path, host).partition("\n")
        return int(status), body

    def put(self, content: bytes, path: str) -> None:
        encoded = base64.b64encode(content).decode()
        self.host.check_output("umask 077; echo %s | base64 -d > %s", encoded, path)

    def ringstand(self, *arguments: str) -> dict[str, Any]:
        return json.loads(self.host.run("ringstand --json " + " ".join(arguments)).stdout)

    def deploy(self, app: str, **changes: str | None) -> dict[str, Any]:
        """``changes`` name files with __ for a dot and ___ for a slash."""
        self._number += 1
        path = f"/root/{self._number}.tar.gz"
        names = {name.replace("___", "/").replace("__", "."): text for name, text in changes.items()}
        encoded = base64.b64encode(archive(app, names)).decode()
        # One call: each costs about as long as the deploys that fail.
        command = "echo %s | base64 -d > %s; ringstand --json deploy %s --archive %s --sha %s --version changed"
        return json.loads(self.host.run(command, encoded, path, app, path, f"{self._number:040x}").stdout)

    def live(self, app: str) -> str:
        return str(self.ringstand("status", app)["apps"][0]["release"])

    def on_disk(self, app: str) -> str:
        """What serves, and which releases and virtual environments there are."""
        return self.host.check_output("cd /srv/%s && readlink live slots/* && ls releases venvs", app)


@pytest.fixture(scope="module")
def apps(host: Any) -> Host:
    return Host(host)


@pytest.fixture(scope="module")
def first(host: Any) -> dict[str, dict[str, Any]]:
    """What the ledger says of each app's first deploy."""
    lines = host.check_output("cd /var/lib/ringstand && head --quiet --lines=1 */ledger.jsonl; ls -d */").splitlines()
    entries = [json.loads(line) for line in lines if line.startswith("{")]
    names = [line.rstrip("/") for line in lines if not line.startswith("{")]
    return dict(zip([name for name in names if (APPS / name).is_dir()], entries))

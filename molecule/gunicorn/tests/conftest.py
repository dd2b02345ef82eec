"""How the tests deploy: releases made of the scenario's app, handed to ringstand on the host."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

APP = Path(__file__).parents[1] / "app"
LOAD = Path(__file__).with_name("load.py")
PROGRESS = "/var/lib/ringstand/crucible/activation.jsonl"


def archive(behaviour: str, **others: str) -> bytes:
    """The app with a behaviour, and with ``others``, files by their names."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as stream:
        for name in ("app.py", "process.py", "requirements.txt", "static"):
            stream.add(APP / name, arcname=name)
        files = {"behaviour": behaviour, "Procfile": (APP / "Procfile").read_text(encoding="utf-8"), **others}
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            stream.addfile(entry, io.BytesIO(content.encode()))
    return buffer.getvalue()


class Crucible:
    """The app on one host."""

    def __init__(self, host: Any) -> None:
        self.host = host
        self._number = int(time.time())

    def put(self, content: bytes, path: str) -> None:
        self.host.check_output("echo %s | base64 -d > %s", base64.b64encode(content).decode(), path)

    def deploy_command(self, behaviour: str, **others: str) -> str:
        """Each release has another app.css, of the same size and time."""
        self._number += 1
        others.setdefault("static/app.css", f"/* {self._number} */")
        path = f"/root/{self._number}.tar.gz"
        self.put(archive(behaviour, **others), path)
        return f"ringstand --json deploy crucible --archive {path} --sha {self._number:040x} --version {self._number}"

    def deploy(self, behaviour: str = "good", **others: str) -> dict[str, Any]:
        return json.loads(self.host.run(self.deploy_command(behaviour, **others)).stdout)

    def ringstand(self, *arguments: str) -> dict[str, Any]:
        return json.loads(self.host.run("ringstand --json " + " ".join(arguments)).stdout)

    def live(self) -> str:
        return self.ringstand("status", "crucible")["apps"][0]["release"]

    def slot(self) -> str:
        return self.host.check_output("basename $(readlink /srv/crucible/live)")

    def running_slots(self) -> int:
        """How many slots there are that run and are not just stopping."""
        command = "systemctl list-units --plain --no-legend --state=active,activating 'ringstand-crucible@*.service'"
        return len(self.host.check_output(command).splitlines())

    def style(self) -> str:
        """The static file that visitors get."""
        return self.host.check_output("cat /srv/crucible/static/app.css")

    def style_of_live(self) -> str:
        return self.host.check_output("cat /srv/crucible/live/src/static/app.css")

    def phase(self) -> str:
        """The step that the last activation has begun last."""
        lines = self.host.run(f"cat {PROGRESS}").stdout.splitlines()
        names = [json.loads(line).get("phase") for line in lines]
        return next((name for name in reversed(names) if name), "")

    def get(self, path: str) -> str:
        return self.host.check_output("curl -sS --fail --unix-socket /run/crucible/live.sock http://localhost%s", path)

    @contextlib.contextmanager
    def load(self, clients: int = 6, pause_seconds: float = 0.04) -> Iterator[dict[str, Any]]:
        """Send requests during the block; the result is filled in at its end."""
        self.put(LOAD.read_bytes(), "/root/load.py")
        self.host.check_output("rm -f /root/stop /root/load.json")
        self.host.check_output(
            "systemd-run --quiet --collect --unit=load --property=StandardOutput=file:/root/load.json "
            f"python3 /root/load.py /run/crucible/live.sock /root/stop {clients} {pause_seconds}"
        )
        result: dict[str, Any] = {}
        try:
            time.sleep(0.5)
            yield result
            time.sleep(0.5)
        finally:
            self.host.run("touch /root/stop; while systemctl is-active -q load; do sleep 0.1; done")
        result.update(json.loads(self.host.check_output("cat /root/load.json")))

    def wait_for(self, condition: Callable[[], bool], seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.05)


@pytest.fixture
def crucible(host: Any) -> Crucible:
    return Crucible(host)

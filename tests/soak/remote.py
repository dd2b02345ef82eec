"""Commands as root on a test host, over SSH."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import Any

import host as test_hosts


@dataclass(frozen=True)
class Done:
    code: int
    output: str


class Remote:
    """One test host."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._ssh = [*test_hosts.ssh_command(test_hosts.find(name)), "sudo", "bash", "-s"]

    def run(self, script: str, seconds: float = 600) -> Done:
        """Run a script; output and errors together."""
        done = subprocess.run(self._ssh, input=f"cd /\n{script}", text=True, errors="replace", timeout=seconds,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        return Done(done.returncode, done.stdout)

    def must(self, script: str, seconds: float = 600) -> str:
        """Run a script that may not fail; returns its output without the last newline."""
        done = self.run(f"set -eu -o pipefail\n{script}", seconds)
        if done.code:
            raise AssertionError(f"{self.name}: {script[:500]!r} ended with {done.code}:\n{done.output[-3000:]}")
        return done.output.rstrip("\n")

    def sql(self, query: str) -> str:
        """What the database postgres answers, in unaligned lines."""
        quoted = query.replace("'", "'\"'\"'")
        return self.must(f"runuser -u postgres -- psql -XAtqw -v ON_ERROR_STOP=1 -h /run/postgresql -c '{quoted}'")

    def versions(self) -> dict[str, Any]:
        """What was tested, for the record."""
        text = self.must(
            "dpkg-query --show --showformat='${Package} ${Version}\\n' pgbackrest restic 'postgresql-[0-9]*' "
            "2>/dev/null || true; "
            ". /etc/os-release; echo distribution $ID-$VERSION_ID"
        )
        return dict(line.split(" ", 1) for line in text.splitlines() if " " in line and line.split(" ", 1)[1])

    def put(self, path: str, content: str) -> None:
        """Write a text file."""
        self.must(f"cat > {path} <<'END-OF-FILE'\n{content}\nEND-OF-FILE")

    def json(self, script: str) -> Any:
        """The JSON that a script prints last."""
        return json.loads(self.must(script).splitlines()[-1])

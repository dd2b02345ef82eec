"""Who deploys: a working copy of the shop, and the playbooks."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from conftest import CHECKOUT, Run, Site

# On the host, because some steps are shorter than a login. An activation that has ended has a result.
WAIT = r"""
file=/var/lib/ringstand/shop/activation.jsonl
until ! grep -q '"event": "result"' $file && grep '"event": "phase"' $file | tail -n 1 | grep -q "\"phase\": \"$1\""
do sleep 0.05
done
echo seen
"""


class Team:
    """A working copy of the shop, deployed by the playbooks."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.source = site.work / "shop"
        if not self.source.exists():
            shutil.copytree(CHECKOUT / "examples" / "shop", self.source)
            inventory = site.inventory.read_text()
            self.inventory.write_text(inventory.replace(str(CHECKOUT / "examples" / "shop"), str(self.source)))

    @property
    def inventory(self) -> Path:
        return self.site.work / "team.yml"

    def play(self, playbook: str, *arguments: str) -> Run:
        return self.site.play("-i", str(self.inventory), *arguments, playbook=str(CHECKOUT / "playbooks" / playbook))

    def change(self, text: str) -> None:
        (self.source / "shop" / "static" / "release.txt").write_text(text)

    def status(self) -> dict:
        return json.loads(self.site.root("ringstand --json status shop"))["apps"][0]

    def head(self) -> str:
        return self.site.root("runuser -u shop -- psql -XAtc 'SELECT version_num FROM alembic_version'").strip()

    def start(self, playbook: str, *arguments: str) -> subprocess.Popen[str]:
        """A playbook that goes on in the background, in a process group of its own."""
        command = ["ansible-playbook", "-i", str(self.inventory), str(CHECKOUT / "playbooks" / playbook), *arguments]
        return subprocess.Popen(command, cwd=CHECKOUT, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, start_new_session=True)

    def wait_for_phase(self, name: str, seconds: int = 90) -> None:
        """Wait for a step of an activation that is started after this was called, or just before."""
        assert self.site.root(f"timeout {seconds} sh -s {name}", WAIT), f"{name} did not come within {seconds} s"

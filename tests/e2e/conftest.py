"""One host for all tests here. The first run is made as talkative as it can be, with secrets planted; the second is
made as users make it, with its remote calls counted."""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import host as test_hosts
import pytest
import yaml
from machine import lock
from probe import Answer, ask

# Set for other tests; with it, Ansible would find the checkout where the installed collection is meant.
os.environ.pop("PYTHONPATH", None)

CHECKOUT = Path(__file__).resolve().parents[2]
HOST = os.environ.get("E2E_HOST", "e2e")
NAME = "shop.example.com"
DISTRIBUTION = os.environ.get("TESTHOST_DISTRIBUTION", "debian-13")


class Unsafe(str):
    """A value that Ansible must take verbatim."""


yaml.SafeDumper.add_representer(Unsafe, lambda dumper, value: dumper.represent_scalar("!unsafe", str(value)))


@dataclass
class Run:
    output: str
    seconds: float
    calls: list[str]
    code: int

    def changed(self) -> list[str]:
        """The tasks that changed something."""
        tasks = re.split(r"^TASK ", self.output, flags=re.M)[1:]
        return [task.splitlines()[0].strip(" *") for task in tasks if re.search(r"^changed: ", task, flags=re.M)]

    def recap(self, word: str) -> int:
        return int(re.search(rf"{HOST} .*\b{word}=(\d+)", self.output)[1])


@dataclass
class Site:
    """A converged host, and what was seen while it became one."""

    address: str
    inventory: Path
    planted: dict[str, str]
    work: Path
    first: Run | None = None
    second: Run | None = None
    bare: Run | None = None
    bare_files: tuple[dict, dict] = ({}, {})
    commands_seen: str = ""
    environment: dict[str, str] = field(default_factory=dict)

    def play(self, *arguments: str, playbook: str = str(CHECKOUT / "site.yml"), config: str | None = None,
             cwd: Path = CHECKOUT, environment: dict[str, str] | None = None) -> Run:
        calls = self.work / f"calls-{secrets.token_hex(4)}"
        calls.touch()
        counted = {**os.environ, "ANSIBLE_SSH_EXECUTABLE": str(Path(__file__).parent / "counting_ssh"),
                   "COUNTING_SSH_LOG": str(calls), "ANSIBLE_CONFIG": config or str(CHECKOUT / "ansible.cfg"),
                   "ANSIBLE_NOCOLOR": "1", **(environment or {})}
        counted.pop("ANSIBLE_FORCE_COLOR", None)
        started = time.monotonic()
        done = subprocess.run(["ansible-playbook", "-i", str(self.inventory), playbook, *arguments], cwd=cwd, text=True,
                              env=counted, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              check=False)
        return Run(done.stdout, time.monotonic() - started, calls.read_text().splitlines(), done.returncode)

    def root(self, command: str, stdin: str = "") -> str:
        """What a command says as root on the host; it may fail."""
        argv = [*test_hosts.ssh_command(test_hosts.find(HOST)), f"sudo sh -c {shlex.quote(command)}"]
        return subprocess.run(argv, input=stdin, text=True, errors="replace", capture_output=True,
                              check=False).stdout

    def files(self) -> dict[str, list]:
        """Everything in its file system but what the kernel shows there."""
        return json.loads(self.root("python3 - /proc /sys /dev", LISTING))

    def ask(self, path: str) -> Answer:
        return ask(self.address, NAME, path)


def plant() -> dict[str, str]:
    """Secrets that users may have, recognisable anywhere; with characters that shells, files and templates mistake."""
    def canary(name: str) -> str:
        return f"canary-{name}-{secrets.token_hex(12)}"

    return {"secret_key": canary("key"), "redis_password": canary("redis"),
            "MAIL_PASSWORD": canary("mail") + "-%s$HOME'\"\\ #{{ x }}!"}


def variables(planted: dict[str, str]) -> dict[str, Any]:
    return {"flask_apps": {"shop": {
        "domains": [NAME],
        "source": {"path": str(CHECKOUT / "examples" / "shop")},
        "wsgi": "shop:create_app()",
        "database": {"extensions": ["citext"]},
        "static": {"url": "/static/", "dir": "shop/static"},
        "health": {"path": "/health/ready", "probation_seconds": 1},
        "tls": {"certificate": "self_signed"},
        "secret_key": planted["secret_key"],
        "redis_password": planted["redis_password"],
        "environment": {"MAIL_PASSWORD": Unsafe(planted["MAIL_PASSWORD"])},
    }}}


def write_inventory(path: Path, values: dict[str, Any]) -> None:
    inventory = test_hosts.inventory([HOST])
    inventory["all"]["vars"] = values
    path.write_text(yaml.safe_dump(inventory), encoding="utf-8")


LISTING = (Path(__file__).parent / "file_listing.py").read_text(encoding="utf-8")
SAMPLER = """
import glob, os, time
seen = set()
open("/run/sampling", "w").close()
while os.path.exists("/run/sampling"):
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            seen.add(open(path, "rb").read())
        except OSError:
            pass
    time.sleep(0.01)
open("/run/sampled", "wb").write(b"\\n".join(seen).replace(b"\\0", b" "))
"""


@pytest.fixture(scope="session")
def artifact(tmp_path_factory):
    """The collection as it is published."""
    output = tmp_path_factory.mktemp("build")
    subprocess.run(["ansible-galaxy", "collection", "build", str(CHECKOUT), "--output-path", str(output)], check=True,
                   capture_output=True, text=True)
    return next(output.glob("ringstand-flask-*.tar.gz"))


@pytest.fixture(scope="session")
def only_user():
    """One session at a time makes, restarts and removes this host; the next one waits."""
    test_hosts.STATE.mkdir(parents=True, exist_ok=True)
    with lock(test_hosts.STATE / f"{HOST}.lock"):
        yield


@pytest.fixture(scope="session")
def site(tmp_path_factory, only_user):
    test_hosts.remove([HOST])
    started = test_hosts.up(HOST, DISTRIBUTION, None, [])
    work = tmp_path_factory.mktemp("site")
    made = Site(started.address, work / "hosts.yml", plant(), work)
    write_inventory(made.inventory, variables(made.planted))
    try:
        made.root(":")  # whatever only the first login makes
        before = made.files()
        made.bare = made.play("--check", "--diff")
        made.bare_files = (before, made.files())
        made.root("systemd-run --quiet --unit=sampler python3 -c \"$(cat)\"", stdin=SAMPLER)
        made.first = made.play("-vvv", "--diff")
        made.root("rm /run/sampling; sleep 1")
        made.commands_seen = made.root("cat /run/sampled")
        if made.first.code:
            pytest.fail(f"Failed to converge the site:\n{made.first.output[-4000:]}", pytrace=False)
        made.second = made.play()
        record(made)
        yield made
    finally:
        if not os.environ.get("E2E_KEEP_HOST"):
            test_hosts.remove([HOST])


def record(site: Site) -> None:
    """Keep the figures where a later change can be compared with them."""
    path = CHECKOUT / ".cache" / "test" / "site-figures.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({
        "distribution": DISTRIBUTION,
        "first": {"seconds": round(site.first.seconds, 1), "calls": len(site.first.calls)},
        "second": {"seconds": round(site.second.seconds, 1), "calls": len(site.second.calls)},
    }, indent=2) + "\n")


@pytest.fixture
def team(site):
    from team import Team  # which takes this module's classes

    return Team(site)

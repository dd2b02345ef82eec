"""One host for the tests of a session, with secrets planted. How it became a site is looked at for the tests that ask:
``bare`` a run in check mode before the first, ``watched`` the first one as talkative as it can be, ``second`` the one
after it, as users make it, with its remote calls counted."""

from __future__ import annotations

import json
import os
import re
import resource
import secrets
import shlex
import subprocess
import time
from dataclasses import dataclass
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
    cpu_seconds: float  # of this machine, for all processes of the run; beside other work they are nearly the same
    calls: list[str]
    code: int

    def changed(self) -> list[str]:
        """The tasks that changed something."""
        tasks = re.split(r"^TASK ", self.output, flags=re.M)[1:]
        return [task.splitlines()[0].strip(" *") for task in tasks if re.search(r"^changed: ", task, flags=re.M)]

    def recap(self, word: str) -> int:
        return int(re.search(rf"{HOST} .*\b{word}=(\d+)", self.output)[1])


def cpu_seconds_of_children() -> float:
    """What the processes have used that were started here and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@dataclass
class Site:
    """A converged host, and what was seen while it became one."""

    address: str
    inventory: Path
    planted: dict[str, str]
    work: Path
    first: Run | None = None
    bare: Run | None = None
    bare_files: tuple[dict, dict] = ({}, {})
    commands_seen: str = ""

    def play(self, *arguments: str, playbook: str = str(CHECKOUT / "site.yml"), config: str | None = None,
             cwd: Path = CHECKOUT, environment: dict[str, str] | None = None) -> Run:
        calls = self.work / f"calls-{secrets.token_hex(4)}"
        calls.touch()
        counted = {**os.environ, "ANSIBLE_SSH_EXECUTABLE": str(Path(__file__).parent / "counting_ssh"),
                   "COUNTING_SSH_LOG": str(calls), "ANSIBLE_CONFIG": config or str(CHECKOUT / "ansible.cfg"),
                   "ANSIBLE_NOCOLOR": "1", **(environment or {})}
        counted.pop("ANSIBLE_FORCE_COLOR", None)
        started, used = time.monotonic(), cpu_seconds_of_children()
        done = subprocess.run(["ansible-playbook", "-i", str(self.inventory), playbook, *arguments], cwd=cwd, text=True,
                              env=counted, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              check=False)
        return Run(done.stdout, time.monotonic() - started, cpu_seconds_of_children() - used,
                   calls.read_text().splitlines(), done.returncode)

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
        "health": {"path": "/health/ready", "observe_seconds": 1, "probation_seconds": 1},
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
def site(request, tmp_path_factory, only_user):
    asked_for = {name for item in request.session.items for name in item.fixturenames}
    test_hosts.remove([HOST])
    started = test_hosts.up(HOST, DISTRIBUTION, None, [])
    work = tmp_path_factory.mktemp("site")
    made = Site(started.address, work / "hosts.yml", plant(), work)
    write_inventory(made.inventory, variables(made.planted))
    try:
        if "bare" in asked_for:
            run_bare(made)
        if "watched" in asked_for:
            run_watched(made)
        else:
            made.first = made.play()
        if made.first.code:
            pytest.fail(f"Failed to converge the site:\n{made.first.output[-4000:]}", pytrace=False)
        yield made
    finally:
        if not os.environ.get("E2E_KEEP_HOST"):
            test_hosts.remove([HOST])


def run_bare(site: Site) -> None:
    site.root(":")  # whatever only the first login makes
    before = site.files()
    site.bare = site.play("--check", "--diff")
    site.bare_files = (before, site.files())


def run_watched(site: Site) -> None:
    site.root("systemd-run --quiet --unit=sampler python3 -c \"$(cat)\"", stdin=SAMPLER)
    site.first = site.play("-vvv", "--diff")
    site.root("rm /run/sampling; sleep 1")
    site.commands_seen = site.root("cat /run/sampled")


@pytest.fixture(scope="session")
def bare(site):
    return site.bare


@pytest.fixture(scope="session")
def watched(site):
    return site.first


@pytest.fixture(scope="session")
def second(site):
    run = site.play()
    record(site.first, run)
    return run


def record(first: Run, second: Run) -> None:
    """Keep the figures where a later change can be compared with them."""
    path = CHECKOUT / ".cache" / "test" / "site-figures.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({
        "distribution": DISTRIBUTION,
        "first": {"seconds": round(first.seconds, 1), "cpu": round(first.cpu_seconds, 1),
                  "calls": len(first.calls)},
        "second": {"seconds": round(second.seconds, 1), "cpu": round(second.cpu_seconds, 1),
                   "calls": len(second.calls)},
    }, indent=2) + "\n")


@pytest.fixture
def team(site):
    from team import Team  # which takes this module's classes

    return Team(site)

"""The steps that are measured. Each checks that it did what it says, or its seconds would mean nothing."""

from __future__ import annotations

import io
import json
import os
import re
import resource
import shlex
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import host as test_hosts
import report
import yaml
from probe import ask
from report import Sample

CHECKOUT = Path(__file__).resolve().parents[2]
SHOP = CHECKOUT / "examples" / "shop"
UV_REQUIREMENTS = CHECKOUT / "roles" / "gunicorn" / "files" / "uv-requirements.txt"
NAME = "shop.example.com"
LIMIT_SECONDS = 1200
# Phases of an activation in which the app starts or is only watched, and those that come after the switch.
WAITING = ("import test", "gate", "observe")
AFTER_THE_SWITCH = ("probe", "probation", "processes", "drain", "prune")


class BenchError(Exception):
    """Why it cannot go on; printed without a traceback."""


@dataclass
class Done:
    """What a command printed and cost."""

    output: str
    seconds: float
    cpu_seconds: float
    calls: int


class Bench:
    """Hosts, inventories and the samples so far."""

    def __init__(self, distribution: str) -> None:
        self.distribution = distribution
        self.samples: list[Sample] = []
        self.packages: list[str] = []
        self.versions: dict[str, str] = {}

    def learn_packages(self, name: str) -> None:
        """Ask the collection which packages site.yml would install on such a host: nothing here lists them."""
        play = yaml.safe_load((CHECKOUT / "playbooks" / "site.yml").read_text(encoding="utf-8"))[0]
        with self._fresh(name) as place:
            answer = place.work / "packages.json"
            play["pre_tasks"] = [
                {"ringstand.flask.host_facts": {"packages": "{{ host_packages }}"}, "register": "found"},
                {"ansible.builtin.copy": {"content": "{{ found.missing_packages | to_json }}", "dest": str(answer)},
                 "delegate_to": "localhost", "become": False},
                {"ansible.builtin.meta": "end_play"},
            ]
            playbook = place.work / "packages.yml"
            playbook.write_text(yaml.safe_dump([play]), encoding="utf-8")
            place.play(playbook)
            self.packages = json.loads(answer.read_text(encoding="utf-8"))
        if not self.packages:
            raise BenchError("Failed to learn the packages: site.yml would install none on a fresh host")

    def bare(self, name: str, pair: int) -> Iterator[Sample]:
        with self._fresh(name) as place:
            yield self._sample(report.BARE, pair, place, place.bare_install, self.packages)

    def site(self, name: str, pair: int) -> Iterator[Sample]:
        with self._fresh(name) as place:
            yield self._sample(report.FIRST, pair, place, place.play)
            answer = ask(place.host.address, NAME, "/health/ready")
            if answer.status != 200:
                raise BenchError(f"Failed to reach the shop after the first run: it answers {answer.status}")
            self.versions = place.versions(self.packages)
            place.wait_for_background()
            yield self._sample(report.SECOND, pair, place, place.play, changed=0)
            place.variables["nginx_settings"] = {"gzip_comp_level": 6}
            yield self._sample(report.SETTING, pair, place, place.play, changed=1)
            place.variables["flask_apps"]["shop"]["environment"] = {"GREETING": "hello"}
            yield self._sample(report.ENVIRONMENT, pair, place, place.play, changed=2)  # the files, and the restart
            (place.source / "shop" / "static" / "release.txt").write_text("changed\n", encoding="utf-8")
            deploy = CHECKOUT / "playbooks" / "deploy.yml"
            sample = self._sample(report.DEPLOY, pair, place, place.play, deploy, "-e", "app=shop", changed=1)
            sample.to_switch_seconds = to_switch(sample.seconds, place.last_activation()["phases"])
            yield sample
            sample = self._sample(report.ROLLBACK, pair, place, place.rollback)
            sample.to_switch_seconds = to_switch(sample.seconds, place.last_activation()["phases"])
            yield sample

    def _fresh(self, name: str) -> Place:
        return Place(name, self.distribution)

    def _sample(self, step: str, pair: int, place: Place, run: Any, *arguments: Any,
                changed: int | None = None) -> Sample:
        load, before = os.getloadavg()[0], place.cpu_seconds()
        try:
            done: Done = run(*arguments)
        except BenchError as error:
            raise BenchError(f"Failed at {step!r} of pair {pair + 1}: {error}") from error
        after = place.cpu_seconds()
        if changed is not None:
            counted = re.search(r"\bchanged=(\d+)", done.output)
            if not counted or int(counted[1]) != changed:
                raise BenchError(f"Failed at {step!r} of pair {pair + 1}: {changed} changed tasks were expected\n"
                                 + done.output[-6000:])
        sample = Sample(step, pair, round(done.seconds, 2), round(done.cpu_seconds, 2), round(after - before, 2),
                        done.calls, round(load, 2))
        self.samples.append(sample)
        return sample


class Place:
    """A fresh host, and the working copy and inventory of who uses it; gone at the end of the block."""

    def __init__(self, name: str, distribution: str) -> None:
        self.name, self.distribution = name, distribution

    def __enter__(self) -> Place:
        self._directory = tempfile.TemporaryDirectory(prefix="bench-")  # short: SSH's sockets are in it
        self.work = Path(self._directory.name)
        self.start()
        self.source = self.work / "shop"
        shutil.copytree(SHOP, self.source, ignore=shutil.ignore_patterns("__pycache__"))
        self.variables: dict[str, Any] = {"flask_apps": {"shop": {
            "domains": [NAME], "source": {"path": str(self.source)}, "wsgi": "shop:create_app()",
            "static": {"url": "/static/", "dir": "shop/static"}, "health": {"path": "/health/ready"},
            "tls": {"certificate": "self_signed"},
        }}}
        return self

    def __exit__(self, *_error: object) -> None:
        try:
            self.remove()
        finally:
            self._directory.cleanup()

    def start(self) -> None:
        self.host = test_hosts.up(self.name, self.distribution, None, [])

    def remove(self) -> None:
        test_hosts.remove([self.name])

    def inventory(self) -> dict[str, Any]:
        return test_hosts.inventory([self.name])

    def ssh(self) -> list[str]:
        return test_hosts.ssh_command(self.host)

    def play(self, playbook: Path = CHECKOUT / "site.yml", *arguments: str) -> Done:
        """One ansible-playbook as a user runs it, over an SSH connection of its own."""
        inventory = self.inventory()
        inventory["all"]["vars"] = self.variables
        path, sockets, calls = self.work / "hosts.yml", self.work / "cp", self.work / "calls"
        path.write_text(yaml.safe_dump(inventory), encoding="utf-8")
        sockets.mkdir()
        calls.write_text("")
        environment = {
            **os.environ, "PATH": f"{CHECKOUT / '.venv/bin'}:{os.environ['PATH']}",
            "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(sockets), "COUNTING_SSH_LOG": str(calls),
            "ANSIBLE_SSH_EXECUTABLE": str(CHECKOUT / "tests" / "e2e" / "counting_ssh"),
        }
        environment.pop("ANSIBLE_FORCE_COLOR", None)
        try:
            done = timed(["ansible-playbook", "-i", str(path), str(playbook), *arguments], env=environment)
        finally:
            for socket in sockets.iterdir():
                subprocess.run(["ssh", "-o", f"ControlPath={socket}", "-O", "exit", "bench"], capture_output=True,
                               check=False)
            shutil.rmtree(sockets)
        done.calls = len(calls.read_text(encoding="utf-8").splitlines())
        return done

    def bare_install(self, packages: list[str]) -> Done:
        """The script and the two lock files go over the one SSH connection that also runs it."""
        bundle = io.BytesIO()
        with tarfile.open(fileobj=bundle, mode="w") as archive:
            for source, name in ((Path(__file__).with_name("bare_install.sh"), "bare_install.sh"),
                                 (UV_REQUIREMENTS, "uv.txt"), (SHOP / "requirements.txt", "app.txt")):
                archive.add(source, name)
        bundled = self.work / "bundle.tar"
        bundled.write_bytes(bundle.getvalue())
        install = ["sudo", "bash", "bare_install.sh", "uv.txt", "app.txt", *packages]
        command = "mkdir bench && cd bench && tar -x && " + shlex.join(install)
        with bundled.open("rb") as stream:
            return timed([*self.ssh(), command], stdin=stream)

    def rollback(self) -> Done:
        """On the host, as somebody who is logged in there."""
        began, ended = self.root("date +%s.%N; ringstand rollback shop >/dev/null; date +%s.%N").split()
        return Done("", float(ended) - float(began), 0.0, 1)

    def last_activation(self) -> dict[str, Any]:
        """The newest line of the ledger."""
        found: dict[str, Any] = json.loads(self.root("ringstand --json releases shop"))["ledger"][-1]
        return found

    def root(self, command: str) -> str:
        done = subprocess.run([*self.ssh(), f"sudo sh -c {shlex.quote(command)}"], text=True, capture_output=True,
                              check=False)
        if done.returncode:
            raise BenchError(f"Failed to ask {self.name}: {done.stderr.strip()}")
        return done.stdout

    def cpu_seconds(self) -> float:
        """Of all that ran on the host so far; 0 on a machine whose hosts have no accounting of their own."""
        found = re.search(r"usage_usec (\d+)", self.root("cat /sys/fs/cgroup/cpu.stat 2>/dev/null || true"))
        return int(found[1]) / 1e6 if found else 0.0

    def wait_for_background(self) -> None:
        """The first backup goes on after the first run has ended; what follows is not measured beside it."""
        wait = "while systemctl is-active --quiet ringstand-backup; do sleep 0.5; done"
        self.root(f"timeout {LIMIT_SECONDS} sh -c {shlex.quote(wait)}")

    def versions(self, packages: list[str]) -> dict[str, str]:
        shown = self.root("dpkg-query --show --showformat='${Package} ${Version}\\n' python3 " + shlex.join(packages))
        system = self.root(". /etc/os-release; echo $PRETTY_NAME $(cat /etc/debian_version)").strip()
        uv = self.root("/opt/ringstand/uv/bin/uv --version").split()[1]
        return {"os": system, "uv": uv, **dict(line.split(" ", 1) for line in shown.splitlines())}


def to_switch(seconds: float, phases: dict[str, float]) -> float:
    """What of an activation's ``seconds`` came before its switch and was neither the app's start nor watching it."""
    return round(seconds - sum(phases.get(name, 0) for name in (*WAITING, *AFTER_THE_SWITCH)), 2)


def timed(command: list[str], **options: Any) -> Done:
    """Run a command to its end, measured from outside; raises BenchError with the end of its output."""
    if "stdin" not in options:
        options["stdin"] = subprocess.DEVNULL
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    try:
        done = subprocess.run(command, cwd=CHECKOUT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=LIMIT_SECONDS, check=False, **options)
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"{command[0]} was stopped after {LIMIT_SECONDS} s") from error
    seconds, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise BenchError(f"{command[0]} ended with {done.returncode}\n{done.stdout[-6000:]}")
    cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Done(done.stdout, seconds, cpu_seconds, 1)

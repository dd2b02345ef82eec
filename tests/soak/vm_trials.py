"""One fault after the other on one emulated machine, each in or before a deploy by the playbook.

After each fault, and after the boot where it was one, the site has to answer from exactly one complete and proven
release, the one that the links lead to and that the ledger has too, every file of it as it was published. The next
deploy by the playbook then has to succeed without anybody's help and to leave nothing behind. The machine goes on
from there into the next fault.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from power_host import PowerHost
from steps import BenchError
from vm import Machine

DEPLOY = Path(__file__).resolve().parents[2] / "playbooks" / "deploy.yml"
GUEST = Path(__file__).with_name("vm_guest.py")
PHASE_SECONDS = 600.0  # until a step is reached
# Steps that take more than a moment, with the share of a whole deploy that they take.
LONGEST = {"dependencies": 0.3, "probation": 0.25, "gate": 0.1, "observe": 0.1}
POWER_STEPS = ("dependencies", "freeze", "migrate", "gate", "switch", "probation", "drain")
# From this step on the new release is proven, and serves after a boot; in the one before it that may have happened.
PROVEN, AMBIGUOUS = ("drain", "prune", "end"), "processes"
# kind, and the step at which it happens ("" before the deploy, "random" at any moment)
_RANDOM = (("power", "random"),) * 4
_DISK = (("no space", "dependencies"), ("no space", "start"), ("no inodes", "unpack"), ("no inodes", "start"))
# First what only a machine can show: each takes some minutes.
MACHINE_PLAN = (
    ("power", "probation"), ("clock", "+2"), ("out of memory, live slot", "observe"), ("little memory", ""),
    ("out of memory, new slot", "observe"), ("clock", "-2"), ("reboot", "dependencies"), ("reboot", "probation"),
    *(("power", step) for step in POWER_STEPS if step != "probation"), *_DISK, *_RANDOM,
)
# A container has the clock, the memory and the kernel of the machine underneath: nothing of them may be touched.
HOST_PLAN = (*_DISK, *(("power", step) for step in POWER_STEPS), *_RANDOM, ("reboot", "random"), *_RANDOM)


PASSED = ("Passed: the site then answers from exactly one complete and proven release, the one that the links lead to "
          "and that the ledger has too, each of its files and packages as it was published; the next deploy by the "
          "playbook succeeds without help and leaves nothing behind.")


@dataclass
class Trial:
    """One fault. ``at`` is the last step that was seen before it, ``boot_seconds`` until all was started again,
    ``deploy_seconds`` the next deploy."""

    kind: str
    step: str
    at: str = ""
    after_seconds: float = 0.0
    boot_seconds: float = 0.0
    before: str = ""
    after: str = ""
    said: str = ""
    deploy_seconds: float = 0.0
    passed: bool = False
    problems: list[str] = field(default_factory=list)


class Deploy:
    """A deploy by the playbook that goes on beside, and the steps that its activation reports."""

    def __init__(self, machine: Machine | PowerHost) -> None:
        self.output, self.failed = "", False
        self.steps: list[str] = []
        self.began = time.monotonic()
        self._watcher = subprocess.Popen([*machine.ssh(), "sudo python3 /opt/vm_guest.py watch"], text=True,
                                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self._watcher.stdout
        self._watcher.stdout.readline()
        self._threads = [threading.Thread(target=self._read, daemon=True),
                         threading.Thread(target=self._play, args=(machine,), daemon=True)]
        self._changed = threading.Condition()
        self._ended = False
        for thread in self._threads:
            thread.start()

    def _read(self) -> None:
        assert self._watcher.stdout
        for line in self._watcher.stdout:
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                step = "end" if entry.get("event") == "result" else entry.get("phase")
                if step:
                    with self._changed:
                        self.steps.append(step)
                        self._changed.notify_all()

    def _play(self, machine: Machine | PowerHost) -> None:
        try:
            self.output = machine.play(DEPLOY, "-e", "app=shop").output
        except BenchError as error:
            self.output, self.failed = str(error), True
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait_for(self, step: str) -> bool:
        """Whether the step came, before the deploy ended."""
        with self._changed:
            self._changed.wait_for(lambda: step in self.steps or self._ended, PHASE_SECONDS)
            return step in self.steps

    def finish(self) -> None:
        """Wait until the playbook has ended, and stop watching."""
        self._threads[1].join(PHASE_SECONDS)
        self._watcher.kill()
        self._watcher.wait()


class Trials:
    """Faults on one machine."""

    def __init__(self, machine: Machine | PowerHost, chance: random.Random, say: Callable[[str], None]) -> None:
        self.machine, self.chance, self.say = machine, chance, say
        self.number = 0
        self.typical_seconds = 30.0  # until the first one has been measured
        program = GUEST.read_text(encoding="utf-8")
        machine.root(f"cat > /opt/vm_guest.py <<'END-OF-FILE'\n{program}END-OF-FILE\nsync")

    def run(self, kinds: tuple[tuple[str, str], ...]) -> Iterator[dict[str, Any]]:
        """Yields what came of each."""
        for kind, step in kinds:
            if isinstance(self.machine, PowerHost) and (kind, step) not in HOST_PLAN:
                raise ValueError(f"{kind} at {step} would be a fault of the machine underneath")
            trial = Trial(kind, step)
            try:
                self.one(trial)
            except Exception as error:  # one that cannot be judged has not passed
                trial.problems.append(f"{type(error).__name__}: {str(error)[-1500:]}")
                self.machine.cut_power()
                self.machine.boot()
            trial.passed = not trial.problems
            self.say(f"{'passed' if trial.passed else 'FAILED'} {kind} {step}: at {trial.at}, boot "
                     f"{trial.boot_seconds:.0f} s, deploy {trial.deploy_seconds:.0f} s {trial.said[-300:]} "
                     f"{' / '.join(trial.problems)}")
            yield asdict(trial)

    def one(self, trial: Trial) -> None:
        trial.before = str(self.state()["release"])
        self.change(new_packages=trial.step in ("dependencies", "random"))
        FAULTS[trial.kind](self, trial)
        self.judge(trial, self.state())
        self.next_deploy(trial)

    def change(self, new_packages: bool = False) -> None:
        """What makes the next deploy one of another release, with a virtual environment of its own if asked."""
        self.number += 1
        source = self.machine.source
        static = source / "shop" / "static"
        (static / "release.txt").write_text(f"{self.number}\n", encoding="utf-8")
        # A name of its own, as assets have whose names are hashes.
        (static / f"asset-{self.number}.js").write_text(f"// {self.number}\n" * 50, encoding="utf-8")
        if new_packages:
            with (source / "requirements.txt").open("a", encoding="utf-8") as stream:
                stream.write(f"# {self.number}\n")
            self.machine.root("rm -rf /var/cache/ringstand/shop/*; sync")

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.machine.root("python3 /opt/vm_guest.py state"))
        return found

    def judge(self, trial: Trial, state: dict[str, Any]) -> None:
        """What has to hold whatever happened."""
        trial.after = str(state["release"])
        problems = trial.problems
        if state["answers"] != [f"200 {state['release']}"] or state["home"] != "200":
            problems.append(f"{state['release']} is linked and visitors get {state['answers']}, {state['home']}")
        if state["manifest"] != state["release"] or state["socket"] != f"{state['slot']}.sock":
            problems.append(f"manifest {state['manifest']!r}, slot {state['slot']}, socket {state['socket']}")
        if state["torn"] or state["torn_static"]:
            problems.append(f"half-written: {state['torn']} {state['torn_static']}")
        is_new = trial.after != trial.before
        if is_new and trial.at not in (*PROVEN, AMBIGUOUS):
            problems.append(f"the new release serves although it was not proven at {trial.at!r}")
        if not is_new and trial.at in PROVEN and not trial.said:
            problems.append(f"the old release serves although the new one was proven at {trial.at!r}")
        if state["ledger_live"] != trial.after:
            problems.append(f"the ledger says {state['ledger_live']} and the links {trial.after}")
        if state["damaged_lines"] > 0:
            problems.append(f"{state['damaged_lines']} damaged lines in the ledger")
        if any(name.strip() for name in state["failed_units"]):
            problems.append(f"failed units: {state['failed_units']}")

    def next_deploy(self, trial: Trial) -> None:
        """An ordinary deploy, by which everything has to be as if nothing had happened."""
        self.change()
        began = time.monotonic()
        try:
            self.machine.play(DEPLOY, "-e", "app=shop")
        except BenchError as error:
            trial.problems.append(f"the next deploy failed: {str(error)[-1500:]}")
            return
        trial.deploy_seconds = self.typical_seconds = round(time.monotonic() - began, 1)
        state = self.state()
        last = Trial("", "", at="end", before=trial.after)
        self.judge(last, state)
        trial.problems += [f"after the next deploy: {problem}" for problem in last.problems]
        if state["ledger_live"] != state["release"] or state["ledger_last"]["result"] != "ok":
            trial.problems.append(f"after the next deploy the ledger says {state['ledger_live']}")
        if state["source"] != self.published():
            trial.problems.append("the source of the next deploy is not what was deployed")
        if state["static"] != f"{self.number}":
            trial.problems.append(f"release.txt is {state['static']!r}")
        if state["left"]:
            trial.problems.append(f"left behind: {state['left']}")

    def published(self) -> dict[str, str]:
        source = self.machine.source
        return {str(path.relative_to(source)): hashlib.sha256(path.read_bytes()).hexdigest()[:16]
                for path in source.rglob("*") if path.is_file() and "__pycache__" not in path.parts}

    def reach(self, trial: Trial, deploy: Deploy) -> None:
        """Wait for the moment of a fault."""
        if trial.step == "random":
            delay = self.chance.uniform(0.15, 1.0) * self.typical_seconds * 1.2
            time.sleep(delay)
        else:
            if not deploy.wait_for(trial.step):
                deploy.finish()
                raise BenchError(f"{trial.step} did not come: {deploy.steps} {deploy.output[-1500:]}")
            # Anywhere in it, or a little later where the step is shorter than expected.
            time.sleep(self.chance.uniform(0, LONGEST.get(trial.step, 0.01) * self.typical_seconds))
        trial.at = deploy.steps[-1] if deploy.steps else "before its start"
        trial.after_seconds = round(time.monotonic() - deploy.began, 1)

    def power(self, trial: Trial) -> None:
        deploy = Deploy(self.machine)
        self.reach(trial, deploy)
        self.machine.cut_power()
        trial.at = deploy.steps[-1] if deploy.steps else "before its start"
        deploy.finish()
        trial.boot_seconds = round(self.machine.boot(), 1)
        self.settle()

    def reboot(self, trial: Trial) -> None:
        deploy = Deploy(self.machine)
        self.reach(trial, deploy)
        trial.boot_seconds = round(self.machine.reboot(), 1)
        trial.at = deploy.steps[-1] if deploy.steps else "before its start"
        deploy.finish()
        self.settle()

    def settle(self) -> None:
        """The app is started beside the end of the boot: its first request waits for it."""
        self.machine.root("python3 /opt/vm_guest.py settle")

    def clock(self, trial: Trial) -> None:
        """A deploy with a wrong clock; the one that follows is made with the right one."""
        self.machine.root(f"systemctl stop systemd-timesyncd; date -s '{trial.step} years' >/dev/null")
        self.deploy_to_end(trial, succeeds=True)
        self.judge(Trial("", "", at="end", before=trial.before, problems=trial.problems), self.state())
        back = "-2" if trial.step == "+2" else "+2"
        self.machine.root(f"date -s '{back} years' >/dev/null; systemctl start systemd-timesyncd")

    def little_memory(self, trial: Trial) -> None:
        self.machine.root("systemd-run --quiet --collect --unit=eater python3 /opt/vm_guest.py memory 110; sleep 15")
        try:
            self.deploy_to_end(trial)
        finally:
            self.machine.root("systemctl stop eater")
        in_place = "in place" in self.last_notices()
        trial.said = ("in place: " if in_place else "") + trial.said
        if not in_place and not trial.said:
            trial.problems.append("it was neither restarted in place nor did it fail")

    def last_notices(self) -> str:
        return " ".join((self.state()["ledger_last"] or {}).get("notices", []))

    def oom_new_slot(self, trial: Trial) -> None:
        self.oom(trial, "new")

    def oom_live_slot(self, trial: Trial) -> None:
        self.oom(trial, "live")

    def oom(self, trial: Trial, which: str) -> None:
        live = str(self.state()["slot"])
        slot = live if which == "live" else {"blue": "green", "green": "blue"}[live]

        def kill() -> None:
            said = self.machine.root(f"python3 /opt/vm_guest.py kill {slot}")
            if "killed" not in said:
                trial.problems.append(f"the kernel did not kill {slot}: {said}")

        self.with_fault(trial, kill, lambda: None)
        if which == "new" and not trial.said:
            trial.problems.append("the deploy did not notice that the new release was killed")

    def no_space(self, trial: Trial) -> None:
        # Little before, so that filling up is a moment's work when its time has come.
        self.machine.root("python3 /opt/vm_guest.py space 900; sync")
        self.with_fault(trial, lambda: self.machine.root("python3 /opt/vm_guest.py space 0"),
                        lambda: self.machine.root("rm -f /ballast /ballast.root; sync"))

    def no_inodes(self, trial: Trial) -> None:
        self.machine.root("python3 /opt/vm_guest.py inodes 23000; sync")
        self.with_fault(trial, lambda: self.machine.root("python3 /opt/vm_guest.py inodes 0"),
                        lambda: self.machine.root("rm -rf /ballast.d; sync"))

    def with_fault(self, trial: Trial, begin: Callable[[], object], end: Callable[[], object]) -> None:
        """A deploy in which something is missing from a step on."""
        try:
            deploy = Deploy(self.machine)
            self.reach(trial, deploy)
            begin()
            deploy.finish()
            self.told(trial, deploy)
            trial.at = "end" if not deploy.failed else trial.at
        finally:
            end()
            self.settle()  # PostgreSQL, on the same disk, may have to recover

    def deploy_to_end(self, trial: Trial, succeeds: bool = False) -> None:
        deploy = Deploy(self.machine)
        deploy.finish()
        self.told(trial, deploy)
        trial.at = "end"
        if succeeds and deploy.failed:
            trial.problems.append(f"the deploy failed: {deploy.output[-1500:]}")

    def told(self, trial: Trial, deploy: Deploy) -> None:
        """What a person reads of a deploy that failed."""
        if deploy.failed:
            failed = [line.strip() for line in deploy.output.splitlines()
                      if "Failed to" in line or "Failed the" in line or "UNREACHABLE" in line]
            trial.said = failed[0][:600] if failed else ""
            if not failed:
                trial.problems.append(f"it failed without saying why: {deploy.output[-1500:]}")


def run(machine: Machine | PowerHost, plan: tuple[tuple[str, str], ...], count: int, chance: random.Random,
        say: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """Yields what came of ``count`` faults: those of the plan, over and over."""
    kinds = tuple(plan[number % len(plan)] for number in range(count))
    yield from Trials(machine, chance, say).run(kinds)


FAULTS: dict[str, Callable[[Trials, Trial], None]] = {
    "power": Trials.power,
    "reboot": Trials.reboot,
    "clock": Trials.clock,
    "little memory": Trials.little_memory,
    "out of memory, new slot": Trials.oom_new_slot,
    "out of memory, live slot": Trials.oom_live_slot,
    "no space": Trials.no_space,
    "no inodes": Trials.no_inodes,
}

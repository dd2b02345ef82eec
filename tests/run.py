"""Run the tests: two stages side by side, each stage's seconds, the output of those that fail.

  bin/test                     everything
  bin/test lint                ansible-lint, yamllint, ruff, mypy
  bin/test unit                tests that need no host: unit, contract, templates
  bin/test sanity              ansible-test sanity
  bin/test molecule [ROLE]     each role alone, on Debian 12 and 13 or on TESTHOST_DISTRIBUTION
  bin/test site [debian-13]    the whole site: converge, again, check, restart, check
  bin/test e2e [site]          what a site promises: calls, seconds, secrets, deploys; another controller
"""

from __future__ import annotations

import argparse
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
LOGS = CHECKOUT / ".cache" / "test"
LANES = 3  # one more than the processors that this is made for: stages wait for most of their time
LIMIT_SECONDS = 1500
# All hosts are of this distribution, for a machine that runs the parts once for each.
DISTRIBUTION = os.environ.get("TESTHOST_DISTRIBUTION")
# Tests that share a host.
E2E_HOSTS = {"site": ("test_site", "test_collection", "test_private_repository", "test_auto_deploy"),
             "changes": ("test_check_mode", "test_drift", "test_deploy"),
             "operations": ("test_operations", "test_several_apps", "test_faults")}
# Where the archive has what they need.
E2E_DISTRIBUTIONS = {"certificates": {"TESTHOST_DISTRIBUTION": "debian-12"}}
# The longest of those with hosts, so that no lane is left with one of them at the end. Others follow by name.
LONGEST_FIRST = ("e2e changes", "molecule gunicorn", "molecule certbot", "e2e operations", "molecule restore",
                 "molecule nginx", "molecule postgresql", "molecule host", "molecule backup", "e2e controller",
                 "molecule modules", "e2e certificates", "molecule redis", "molecule apps", "site debian-13",
                 "site debian-12", "e2e site")
PARTS = ("lint", "unit", "sanity", "molecule", "site", "e2e")
MYPY_OWN = ["tests/run.py", "tests/hosts/machine.py", "tests/hosts/image.py", "tests/hosts/host.py",
            "tests/bench/bench.py", "tests/bench/edge.py"]


@dataclass
class Stage:
    name: str
    commands: list[list[str]]
    environment: dict[str, str] = field(default_factory=dict)
    seconds: float = 0
    passed: bool = False

    @property
    def log(self) -> Path:
        return LOGS / (self.name.replace(" ", "-") + ".log")


def stages() -> list[Stage]:
    collection = "ansible_collections.ringstand.flask"
    found = [
        Stage("lint", [
            ["ansible-lint"],
            ["yamllint", "--strict", "."],
            ["ruff", "check", "."],
            ["mypy", "--namespace-packages", "-p", f"{collection}.plugins"],
            ["mypy", *MYPY_OWN],
            ["antsibull-changelog", "lint"],
            ["check-jsonschema", "--builtin-schema", "vendor.github-workflows", ".github/workflows/test.yml"],
            ["check-jsonschema", "--builtin-schema", "vendor.github-workflows",
             "examples/auto-deploy/.github/workflows/deploy.yml", "examples/molecule/.github/workflows/molecule.yml"],
            ["check-jsonschema", "--builtin-schema", "vendor.github-actions", ".github/actions/prepare/action.yml"],
        ], {"MYPYPATH": ".collections:tests/hosts:tests/bench"}),
        Stage("unit", [["pytest", *existing("tests/unit", "tests/contract", "tests/templates")]],
              {"PYTHONPATH": str(CHECKOUT / ".collections")}),  # for the processes that tests start
        Stage("sanity", [["tests/sanity/run"]]),
    ]
    for scenario in sorted(path.parent.name for path in (CHECKOUT / "molecule").glob("*/molecule.yml")):
        if scenario != "site":
            found.append(Stage(f"molecule {scenario}", [["molecule", "test", "-s", scenario, *one_host(scenario)]]))
    for distribution in [DISTRIBUTION] if DISTRIBUTION else ["debian-13", "debian-12"]:
        # Not by --platform-name: to destroy, Molecule takes all platforms of a scenario, those of a run beside it too.
        version = "12" if distribution == "debian-12" else "13"
        found.append(Stage(f"site {distribution}", [["molecule", "test", "-s", "site"]],
                           {"SITE_DEBIAN": version, "MOLECULE_EPHEMERAL_DIRECTORY": str(LOGS / f"site-{version}")}))
    hosts = dict(E2E_HOSTS)
    for path in sorted((CHECKOUT / "tests/e2e").glob("test_*.py")):
        if not any(path.stem in names for names in E2E_HOSTS.values()):
            hosts[path.stem.removeprefix("test_").replace("_", "-")] = (path.stem,)
    for topic, names in hosts.items():
        found.append(Stage(f"e2e {topic}", [["pytest", "--durations=5", *(f"tests/e2e/{name}.py" for name in names)]],
                           {"E2E_HOST": f"e2e-{topic}", **({} if DISTRIBUTION else E2E_DISTRIBUTIONS.get(topic, {}))}))
    return found[:3] + sorted(found[3:], key=length)


def length(stage: Stage) -> int:
    return LONGEST_FIRST.index(stage.name) if stage.name in LONGEST_FIRST else len(LONGEST_FIRST)


def one_host(scenario: str) -> list[str]:
    """With one distribution for all, a scenario's hosts that differ in nothing else are one."""
    own_hosts = "platforms:" in (CHECKOUT / "molecule" / scenario / "molecule.yml").read_text(encoding="utf-8")
    return ["-p", f"{scenario}-13"] if DISTRIBUTION and not own_hosts else []


def existing(*directories: str) -> list[str]:
    return [directory for directory in directories if (CHECKOUT / directory).is_dir()]


def chosen(part: str | None, argument: str | None) -> list[Stage]:
    wanted = f"{part} {argument}" if argument else part
    found = [stage for stage in stages() if wanted in (None, stage.name, stage.name.split()[0])]
    if not found:
        sys.exit(f"bin/test: Failed to find {wanted}: the stages are {', '.join(stage.name for stage in stages())}")
    return found


def run(stage: Stage) -> None:
    """Run all commands of a stage, also after one has failed, so that one run shows everything there is to mend."""
    environment = {
        **os.environ, "PATH": f"{CHECKOUT / '.venv/bin'}:{os.environ['PATH']}",
        "NO_COLOR": "1", "ANSIBLE_NOCOLOR": "1", "PY_COLORS": "0", "MOLECULE_COMMAND_BORDERS": "0", **stage.environment,
    }
    environment.pop("ANSIBLE_FORCE_COLOR", None)
    started = time.monotonic()
    stage.passed = True
    with stage.log.open("w", encoding="utf-8") as log:
        for command in stage.commands:
            print("$ " + " ".join(command), file=log, flush=True)
            with subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdin=subprocess.DEVNULL, stdout=log,
                                  stderr=subprocess.STDOUT, start_new_session=True) as process:
                try:
                    code = process.wait(timeout=LIMIT_SECONDS)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    print(f"stopped after {LIMIT_SECONDS} s", file=log, flush=True)
                    code = 1
            stage.passed = stage.passed and code == 0
    stage.seconds = time.monotonic() - started


def report(stage: Stage, terminal: threading.Lock) -> None:
    with terminal:
        if not stage.passed:
            print(f"----- {stage.name} failed; {stage.log.relative_to(CHECKOUT)}:")
            print(stage.log.read_text(encoding="utf-8", errors="replace").rstrip()[-20000:])
            print("-----")
        print(f"{'passed' if stage.passed else 'FAILED'}  {stage.name:<24} {stage.seconds:7.1f} s", flush=True)


def run_lane(waiting: queue.SimpleQueue[Stage], terminal: threading.Lock) -> None:
    while True:
        try:
            stage = waiting.get_nowait()
        except queue.Empty:
            return
        run(stage)
        report(stage, terminal)


def run_all(wanted: list[Stage], lanes: int) -> None:
    waiting: queue.SimpleQueue[Stage] = queue.SimpleQueue()
    for stage in wanted:
        waiting.put(stage)
    terminal = threading.Lock()
    threads = [threading.Thread(target=run_lane, args=(waiting, terminal), daemon=True) for _lane in range(lanes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def processor_ticks() -> tuple[int, int]:
    """All ticks of this machine's processors since its boot, and those in which one had nothing to do."""
    ticks = [int(word) for word in Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:9]]
    return sum(ticks), ticks[3] + ticks[4]  # idle, and idle but for a disk


def main() -> int:
    parser = argparse.ArgumentParser(prog="bin/test", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", choices=PARTS, metavar="PART")
    parser.add_argument("argument", nargs="?", metavar="ROLE|DISTRIBUTION")
    parser.add_argument("--lanes", type=int, default=LANES, help=f"stages side by side, {LANES} unless given")
    arguments = parser.parse_args()
    wanted = chosen(arguments.part, arguments.argument)
    LOGS.mkdir(parents=True, exist_ok=True)
    started, (total, idle) = time.monotonic(), processor_ticks()
    run_all(wanted, arguments.lanes)
    failed = [stage.name for stage in wanted if not stage.passed]
    busy = 1 - (processor_ticks()[1] - idle) / max(processor_ticks()[0] - total, 1)
    print(f"{time.monotonic() - started:.0f} s, processors busy {busy:.0%}"
          + (f"; failed: {', '.join(failed)}" if failed else ""))
    print(f"{len(wanted) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

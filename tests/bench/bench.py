"""Measure a site beside a bare shell install of the same software, on fresh identical hosts, in alternating pairs.

  bin/bench                  three pairs, about ten minutes on an idle machine
  bin/bench --quick          one pair
  bin/bench --enforce        exit status 1 when a bar is missed

What was measured is printed and written after each step, so that a run that ends early is not lost. README.md says
what is compared with what.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT / "tests" / "hosts"))

import host as test_hosts  # noqa: E402
import image  # noqa: E402
import report  # noqa: E402
from machine import HostError, lock  # noqa: E402
from steps import Bench, BenchError  # noqa: E402

HOSTS = ("bench-bare", "bench-site")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bin/bench", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3, metavar="N", help="how often everything is measured (3)")
    parser.add_argument("--quick", action="store_true", help="one pair")
    parser.add_argument("--distribution", default=image.DEFAULT_DISTRIBUTION, metavar="NAME")
    parser.add_argument("--json", type=Path, metavar="FILE", help="default: .cache/bench/<date>.json")
    parser.add_argument("--enforce", action="store_true", help="exit status 1 when a bar is missed")
    arguments = parser.parse_args()
    arguments.pairs = 1 if arguments.quick else arguments.pairs
    if arguments.pairs < 1:
        parser.error("--pairs must be 1 or more")
    return arguments


def said_by(*command: str) -> str:
    return subprocess.run(command, cwd=CHECKOUT, text=True, capture_output=True, check=False).stdout.strip()


def about(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": said_by("git", "describe", "--always", "--dirty"),
        "distribution": arguments.distribution,
        "pairs_wanted": arguments.pairs,
        "controller": {
            "system": platform.platform(),
            "processors": len(os.sched_getaffinity(0)),
            "python": platform.python_version(),
            "ansible": said_by(str(CHECKOUT / ".venv/bin/ansible"), "--version").partition("\n")[0],
            "load_at_start": os.getloadavg(),
        },
    }


def write(path: Path, facts: dict[str, Any], bench: Bench, complete: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps({
        **facts, "complete": complete, "packages": bench.packages, "versions": bench.versions,
        **report.summary(bench.samples), "samples": [asdict(sample) for sample in bench.samples],
    }, indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)


def end(number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt(signal.Signals(number).name)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """One bench at a time has these hosts; whatever ends it, they are removed."""
    test_hosts.STATE.mkdir(parents=True, exist_ok=True)
    with lock(test_hosts.STATE / "bench.lock"):
        test_hosts.remove(list(HOSTS))
        try:
            yield
        finally:
            test_hosts.remove(list(HOSTS))


def measure(arguments: argparse.Namespace, bench: Bench, facts: dict[str, Any], path: Path) -> None:
    bare, site = HOSTS
    bench.learn_packages(site)
    for pair in range(arguments.pairs):
        # A B, then B A: what grows or shrinks with time falls on both alike.
        halves = [(bench.bare, bare), (bench.site, site)]
        for half, name in halves if pair % 2 == 0 else reversed(halves):
            for sample in half(name, pair):
                print(f"pair {pair + 1}: {report.line(sample)}", flush=True)
                write(path, facts, bench, complete=False)


def main() -> int:
    arguments = parse()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    path = arguments.json or CHECKOUT / ".cache" / "bench" / f"{datetime.datetime.now():%Y-%m-%dT%H%M%S}.json"
    facts, bench, failure = about(arguments), Bench(arguments.distribution), ""
    try:
        with alone():
            measure(arguments, bench, facts, path)
    except (BenchError, HostError) as error:
        failure = str(error)
    except KeyboardInterrupt as error:
        failure = f"ended by {error or 'the keyboard'}"
    print()
    if bench.samples:
        write(path, facts, bench, complete=not failure)
        print(f"{facts['controller']['ansible']}, {bench.versions.get('os', arguments.distribution)}, "
              f"{facts['controller']['processors']} processors, load {facts['controller']['load_at_start'][0]:.1f} at "
              f"the start, {'incomplete' if failure else arguments.pairs} pairs")
        print(report.table(bench.samples))
        print(f"details: {path}")
    if failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 1
    return int(arguments.enforce and not all(bar.met for bar in report.bars(bench.samples)))


if __name__ == "__main__":
    sys.exit(main())

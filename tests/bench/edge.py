"""Measure what the edge costs and what it bears, beside others on the same host, in turns of a few seconds.

  bin/bench --edge                   about seven minutes
  bin/bench --edge --quick           one round
  bin/bench --edge --set threads=8   another value of a key of the app
  bin/bench --edge --enforce         exit status 1 when a bar is missed

README.md says what is compared with what.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "hosts"))

import host as test_hosts  # noqa: E402
import image  # noqa: E402
from bench import CHECKOUT, about, end  # noqa: E402
from edge_report import Figures, Flood, Load, Match, Round, parse_open_loop, parse_wrk, summary, table  # noqa: E402
from machine import HostError, lock  # noqa: E402
from steps import NAME, BenchError, Place  # noqa: E402

HOST = "bench-edge"
LOAD_TOOLS = ("wrk",)
SITE = f"https://{NAME}"
MATCHES = [
    Match("hello", "hello page: nginx with TLS / the same gunicorn on loopback TCP",
          f"{SITE}/hello", "http://127.0.0.1:8001/hello", 32, 0.75),
    Match("static", "static file of 16 kB over TLS: the site / a bare nginx",
          f"{SITE}/static/bench.css", f"{SITE}:9443/static/bench.css", 64, 0.95),
    Match("query", "page with a query of 20 ms, 64 clients: the site / as documented",
          f"{SITE}/query", f"{SITE}:8443/query", 64, 1.2),
]
FLOOD_SECONDS = 15
READY_SECONDS = 60


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bin/bench --edge", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="how often everything is measured (5)")
    parser.add_argument("--seconds", type=int, default=4, metavar="N", help="how long each run is (4)")
    parser.add_argument("--quick", action="store_true", help="one round")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a key of the app, as YAML")
    parser.add_argument("--distribution", default=image.DEFAULT_DISTRIBUTION, metavar="NAME")
    parser.add_argument("--json", type=Path, metavar="FILE", help="default: .cache/bench/edge-<date>.json")
    parser.add_argument("--enforce", action="store_true", help="exit status 1 when a bar is missed")
    parser.add_argument("--keep", action="store_true", help="leave the host, with all that runs on it")
    arguments = parser.parse_args()
    arguments.pairs = arguments.rounds = 1 if arguments.quick else arguments.rounds
    if arguments.rounds < 1 or arguments.seconds < 1:
        parser.error("--rounds and --seconds must be 1 or more")
    return arguments


def prepare(place: Place, settings: list[str]) -> None:
    """A site with the pages that are asked for, and its rivals beside it."""
    shutil.copy(HERE / "edge_app.py", place.source)
    (place.source / "shop" / "static" / "bench.css").write_text("/* 16 bytes :) */\n" * 910, encoding="utf-8")
    shop = place.variables["flask_apps"]["shop"]
    shop.update(wsgi="edge_app:app", **yaml.safe_load("\n".join(one.replace("=", ": ", 1) for one in settings) or "{}"))
    place.play()
    place.wait_for_background()
    with (HERE / "edge_rivals.sh").open("rb") as script:
        done = subprocess.run([*place.ssh(), shlex.join(["sudo", "bash", "-s", NAME, *LOAD_TOOLS])], stdin=script,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, check=False)
    if done.returncode:
        raise BenchError(f"Failed to start what the site is compared with: {done.stdout[-3000:]}")
    deadline = time.monotonic() + READY_SECONDS
    for url in dict.fromkeys(url for match in MATCHES for url in (match.ours, match.rival)):
        while load(place, url, 1, 1).per_second < 1:
            if time.monotonic() > deadline:
                raise BenchError(f"Failed to reach {url} within {READY_SECONDS} s")


def load(place: Place, url: str, connections: int, seconds: int) -> Load:
    threads = min(2, connections)
    output = place.root(f"wrk -t{threads} -c{connections} -d{seconds}s --timeout 10s {shlex.quote(url)} 2>&1 || true")
    try:
        return parse_wrk(output)
    except ValueError as error:
        if "unable to connect" in output:
            time.sleep(0.5)
            return Load(0, 1)
        raise BenchError(str(error)) from error


def turn(place: Place, match: Match, seconds: int) -> Round:
    runs = [load(place, url, match.connections, seconds) for url in (match.ours, match.rival, match.rival, match.ours)]
    return Round(match.name, [runs[0], runs[3]], runs[1:3])


def flood(place: Place, rate: int, seconds: int) -> Flood:
    """An open loop: what is not answered yet is no reason to send less."""
    command = f"sudo sh -c 'ulimit -n 20000; exec python3 - {NAME} /query {rate} {seconds}'"
    with (HERE / "open_loop.py").open("rb") as script:
        done = subprocess.run([*place.ssh(), command], stdin=script, stdout=subprocess.PIPE, text=True,
                              timeout=seconds + 120, check=True)
    return parse_open_loop(json.loads(done.stdout), rate)


def measure(place: Place, arguments: argparse.Namespace, figures: Figures) -> None:
    for number in range(arguments.rounds):
        for match in MATCHES:
            figures.rounds.append(turn(place, match, arguments.seconds))
            one = figures.rounds[-1]
            ours, rival = ([round(run.per_second) for run in runs] for runs in (one.ours, one.rival))
            print(f"round {number + 1}, {match.name}: {one.ratio:.2f}, requests/s {ours} beside {rival}", flush=True)
    saturated = figures.per_second(MATCHES[-1])[0]
    figures.flood = flood(place, round(2 * saturated), FLOOD_SECONDS)


def write(path: Path, facts: dict[str, Any], figures: Figures) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rounds = [asdict(one) for one in figures.rounds]
    text = json.dumps({**facts, **summary(figures, MATCHES), "rounds": rounds}, indent=2)
    path.write_text(f"{text}\n", encoding="utf-8")


def main() -> int:
    arguments = parse()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    path = arguments.json or CHECKOUT / ".cache" / "bench" / f"edge-{datetime.datetime.now():%Y-%m-%dT%H%M%S}.json"
    facts, figures, failure = {**about(arguments), "set": arguments.set}, Figures(), ""
    test_hosts.STATE.mkdir(parents=True, exist_ok=True)
    place = Place(HOST, arguments.distribution)
    try:
        with lock(test_hosts.STATE / "bench-edge.lock"):
            test_hosts.remove([HOST])
            with contextlib.ExitStack() as leaving:
                place.__enter__()
                if not arguments.keep:
                    leaving.push(place)
                leaving.callback(write, path, facts, figures)
                prepare(place, arguments.set)
                measure(place, arguments, figures)
    except (BenchError, HostError) as error:
        failure = str(error)
    except KeyboardInterrupt as error:
        failure = f"ended by {error or 'the keyboard'}"
    print(table(figures, MATCHES))
    print(f"details: {path}")
    if failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 1
    return int(arguments.enforce and not figures.met(MATCHES))


if __name__ == "__main__":
    sys.exit(main())

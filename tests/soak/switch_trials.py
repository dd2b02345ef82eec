"""Deploys of good and of broken releases under a steady load, each as a user makes it, and what the visitors got.

The load is an open loop at 30 % of what the site can answer, see steady_load.py. Of the broken releases one does not
import, one fails its migration, one answers its health check with 500, one does not answer it, and one dies some
seconds after it has become healthy, when the traffic is already on it.
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from shop_revisions import BAD_REVISION
from steady_load import EXPECTED
from steps import BenchError, Place, to_switch

CONNECTIONS = 40
SHARE = 0.3
PAUSE_SECONDS = 4.0
WINDOW_SECONDS = 1.0  # before and after a switch
GENERATOR = Path(__file__).with_name("steady_load.py")
DEPLOY = Path(__file__).resolve().parents[2] / "playbooks" / "deploy.yml"

NAME_THE_RELEASE = '''

@blueprint.after_app_request
def name_the_release(response: Response) -> Response:
    response.headers["X-Release"] = current_app.config["RELEASE_ID"]
    return response
'''
DEATH = '''

import os, signal, threading
threading.Timer({seconds}, lambda: os.kill(os.getppid(), signal.SIGKILL)).start()
'''
# What is added to which file of the shop, and what the deploy then says.
BROKEN = {
    "does not import": ("shop/views.py", "\nimport no_such_module\n", "no_such_module"),
    "health 500": ("shop/health.py", "\n\n@blueprint.before_request\ndef ill() -> None:\n"
                   "    raise RuntimeError\n", "500"),
    "health hangs": ("shop/health.py", "\n\n@blueprint.before_request\ndef slow() -> None:\n"
                     "    import time\n    time.sleep(120)\n", "Failed to pass the health gate"),
    "migration fails": ("migrations/versions/0badc0de0bad_half.py", BAD_REVISION.format(head="e93a6b15d7f8"),
                        "division by zero"),
    # The workers load the app about a second after the start; three seconds of observation follow its gate.
    "dies after its gate": ("shop/health.py", DEATH.format(seconds=6), "Failed the probation"),
}


@dataclass(frozen=True)
class Request:
    """One request, as the generator wrote it down; ``at`` is when it was meant to be sent."""

    at: float
    milliseconds: float
    method: str
    outcome: str
    release: str

    @property
    def failed(self) -> bool:
        return self.outcome != EXPECTED[self.method]

    @property
    def ended(self) -> float:
        return self.at + self.milliseconds / 1000


@dataclass
class Trial:
    """One deploy. ``seconds`` is the whole playbook, ``to_switch`` what of it came before the switch, without the
    import of the app and without watching it."""

    kind: str
    began: float
    ended: float
    seconds: float
    release: str
    phases: dict[str, float]
    to_switch: float
    as_expected: bool
    said: str = ""


def prepare(place: Place) -> None:
    """A shop that says in each answer which release it is, and a health check that gives up soon."""
    with (place.source / "shop" / "health.py").open("a", encoding="utf-8") as stream:
        stream.write(NAME_THE_RELEASE)
    place.variables["flask_apps"]["shop"]["health"] = {"path": "/health/ready", "timeout_seconds": 8}
    place.play()
    place.wait_for_background()


def saturation(place: Place) -> float:
    """Answers per second with all connections asking as fast as they can."""
    with Load(place, 100_000) as load:
        time.sleep(12)
    answered = [request for request in load.requests() if not request.failed]
    first, last = min(one.ended for one in answered), max(one.ended for one in answered)
    # The first seconds open connections; the last ones are what was still under way.
    counted = [one for one in answered if first + 2 <= one.ended <= last - 1]
    return len(counted) / (last - first - 3)


class Load:
    """The generator, during a block."""

    def __init__(self, place: Place, rate: float) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="load-")
        self._path = Path(self._directory.name) / "requests"
        self._command = [sys.executable, str(GENERATOR), place.host.address, "shop.example.com", str(rate),
                         str(CONNECTIONS), str(self._path)]

    def __enter__(self) -> Load:
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE)
        return self

    def __exit__(self, *_error: object) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(90)

    def requests(self) -> list[Request]:
        found = []
        for line in self._path.read_text(encoding="utf-8").splitlines():
            at, milliseconds, method, outcome, release = line.split()
            found.append(Request(float(at), float(milliseconds), method, outcome, release))
        self._directory.cleanup()
        return sorted(found, key=lambda one: one.at)


def plan(count: int, chance: random.Random) -> list[str]:
    """A quarter of the deploys is broken, each kind as often as the others, in a random order; a good one is first."""
    broken = [kind for _round in range(-(-count // 20)) for kind in BROKEN][: count // 4]
    kinds = broken + ["good"] * (count - len(broken) - 1)
    chance.shuffle(kinds)
    return ["good", *kinds]


def deploy(place: Place, number: int, kind: str) -> Trial:
    """Deploy a changed shop, broken in one way or in none."""
    (place.source / "shop" / "static" / "release.txt").write_text(f"{number}\n", encoding="utf-8")
    path, text, expected = BROKEN.get(kind, ("", "", ""))
    file = place.source / (path or "README.md")
    before = file.read_text(encoding="utf-8") if file.exists() else None
    if path:
        file.write_text((before or "") + text, encoding="utf-8")
    began, output, failed = time.time(), "", False
    try:
        output = place.play(DEPLOY, "-e", "app=shop").output
    except BenchError as error:
        output, failed = str(error), True
    finally:
        if path and before is None:
            file.unlink()
        elif before is not None:
            file.write_text(before, encoding="utf-8")
    ended = time.time()
    entry = place.last_activation()
    phases = entry["phases"]
    right = failed and expected in output if path else not failed
    return Trial(kind, began, ended, round(ended - began, 2), entry.get("release") or "", phases,
                 to_switch(ended - began, phases), right, "" if right else output[-1500:])


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 1) if ordered else 0.0


def switch_moments(requests: list[Request]) -> list[float]:
    """When another release than before gave its first answer."""
    moments: list[float] = []
    live = ""
    for one in sorted((one for one in requests if one.release != "-"), key=lambda one: one.ended):
        if live and one.release != live and all(abs(one.ended - moment) > WINDOW_SECONDS for moment in moments):
            moments.append(one.ended)
        live = one.release
    return moments


def judge(trial: Trial, requests: list[Request]) -> dict[str, Any]:
    """What came of one deploy for those who asked meanwhile."""
    during = [one for one in requests if trial.began <= one.at <= trial.ended + PAUSE_SECONDS / 2]
    failed = [one for one in during if one.failed]
    served = {one.release for one in during if one.release != "-"}
    case: dict[str, Any] = {
        **asdict(trial), "requests": len(during), "failed": len(failed),
        "failures": sorted({f"{one.method} {one.outcome}" for one in failed}),
        "releases": sorted(served),
    }
    near = [one.milliseconds for moment in switch_moments(during) for one in during
            if abs(one.at - moment) <= WINDOW_SECONDS]
    case["p99_near_switch_ms"] = percentile(near, 0.99)
    if trial.kind == "dies after its gate":
        last = max((one.ended for one in during if one.release == trial.release), default=0.0)
        back = min((one.ended for one in during if one.release not in ("-", trial.release) and one.at > last),
                   default=0.0)
        case["seconds_back"] = round(back - last, 2) if last and back else None
        case["lost_in_dying_process"] = len(failed)
        # What was inside the process when it died: at most one request per thread.
        case["passed"] = bool(trial.as_expected and last and case["seconds_back"] <= 1 and len(failed) <= CONNECTIONS)
    else:
        unproven = bool(trial.kind != "good" and trial.release in served)
        case["passed"] = trial.as_expected and not failed and not unproven
    del case["began"], case["ended"]
    return case


def run(place: Place, count: int, chance: random.Random,
        say: Callable[[str], None]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """One load during all deploys; returns what was measured of all, and the case of each."""
    most = saturation(place)
    rate = max(10.0, SHARE * most)
    say(f"{most:.0f} answers a second at most; the load is {rate:.0f} requests a second")
    trials = []
    with Load(place, rate) as load:
        time.sleep(10)
        for number, kind in enumerate(plan(count, chance)):
            trial = deploy(place, number, kind)
            trials.append(trial)
            say(f"{number + 1} of {count}: {kind}, {trial.seconds} s {'' if trial.as_expected else trial.said}")
            time.sleep(PAUSE_SECONDS)
        # The load may not end before it has been as long as it has to be.
        time.sleep(max(10.0, 100_000 * count / 20 / rate - (time.time() - trials[0].began)))
    requests = load.requests()
    cases = [judge(trial, requests) for trial in trials]
    quiet = [one.milliseconds for one in requests
             if all(not trial.began - 1 <= one.at <= trial.ended + 1 for trial in trials)]
    lost = sum(case["failed"] for case in cases if case["kind"] != "dies after its gate")
    good = [case for case in cases if case["kind"] == "good"]
    return {
        "saturation_per_second": round(most), "rate_per_second": round(rate), "requests": len(requests),
        "failed": lost, "failed_at_all": sum(one.failed for one in requests),
        "lost_in_dying_processes": sum(case.get("lost_in_dying_process", 0) for case in cases),
        "p50_steady_ms": percentile(quiet, 0.5), "p99_steady_ms": percentile(quiet, 0.99),
        "p99_near_switch_ms": round(statistics.median(case["p99_near_switch_ms"] for case in good), 1),
        "seconds_to_switch_median": round(statistics.median(case["to_switch"] for case in good), 2),
    }, cases

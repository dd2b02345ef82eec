"""Long versions of tests that bin/test has short: the same code, more of it, on a fresh host, with a dated result.

  bin/soak restore [--count 20]       destroy the data directory at random moments under writing, restore, count commits
  bin/soak corruption [--count 100]   damage backups and tables, see each reported with the file's name, mend it

The result is tests/soak/results/TOPIC-DATE.json, also when it ends early; it says how many were run. The exit status
is 0 when all asked for were run and passed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SOAK = Path(__file__).resolve().parent
CHECKOUT = SOAK.parents[1]
sys.path.insert(0, str(SOAK.parent / "hosts"))

import corruption_trials  # noqa: E402
import host as test_hosts  # noqa: E402
import restore_trials  # noqa: E402
from remote import Remote  # noqa: E402

RESULTS = SOAK / "results"
MOMENTS = 4  # that share one writer


def say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S', time.gmtime())} {text}\n")


def converge(name: str) -> None:
    """The roles as the Molecule scenario applies them."""
    inventory = test_hosts.STATE / f"{name}-inventory.json"
    inventory.write_text(json.dumps(test_hosts.inventory([name])), encoding="utf-8")
    command = ["ansible-playbook", "-i", str(inventory), str(CHECKOUT / "molecule/restore/converge.yml"),
               "-e", f"backup_key_escrow_dir={test_hosts.STATE}/backup-keys"]
    done = subprocess.run(command, cwd=CHECKOUT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False)
    inventory.unlink()
    if done.returncode:
        sys.exit(f"soak: Failed to converge {name}:\n{done.stdout[-3000:]}")


def restore(remote: Remote, count: int, chance: random.Random) -> Any:
    """Yields the outcome of each moment."""
    left = count
    while left:
        remote.must("ringstand backup")
        trials = restore_trials.run(remote, min(MOMENTS, left), chance, say)
        yield from restore_trials.as_data(trials)
        left -= len(trials)


def corruption(remote: Remote, count: int, chance: random.Random) -> Any:
    """Yields the outcome of each damage."""
    corruption_trials.prepare(remote)
    for number in range(count):
        yield from corruption_trials.as_data(corruption_trials.run(remote, 1, chance, say, first=number))


TOPICS = {
    "restore": (restore, 20, f"Each moment: restored from the repository as it was then, up to {MOMENTS} moments of "
                "one writer of up to 20 commits a second; the cluster is killed with SIGKILL and its data directory "
                "removed at the last of them, and before each restore. Passed: every acknowledged commit older than "
                "60 s is there, and no hole below the newest."),
    "corruption": (corruption, 100, "Each damage: one file at random; passed when the check ends with another status "
                   "than 0 and names the file, and with 0 once the file is as it was."),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="bin/soak", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("topic", choices=TOPICS)
    parser.add_argument("--count", type=int)
    parser.add_argument("--distribution", default=os.environ.get("TESTHOST_DISTRIBUTION", "debian-13"))
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--keep-host", action="store_true")
    options = parser.parse_args()
    run, default, what = TOPICS[options.topic]
    count = options.count or default
    name = f"soak-{options.topic}-{options.distribution.split('-')[1]}"
    test_hosts.up(name, options.distribution, None, [])
    cases: list[dict[str, Any]] = []
    result = {"topic": options.topic, "what": what, "date": time.strftime("%Y-%m-%d", time.gmtime()),
              "distribution": options.distribution, "seed": options.seed, "asked": count}
    path = RESULTS / f"{options.topic}-{options.distribution}-{result['date']}.json"
    began = time.monotonic()
    try:
        converge(name)
        remote = Remote(name)
        remote.must("while systemctl is-active --quiet ringstand-backup; do sleep 1; done")
        result["versions"] = remote.versions()
        for case in run(remote, count, random.Random(options.seed)):
            cases.append(case)
            record(path, {**result, "seconds": round(time.monotonic() - began)}, cases)
    finally:
        if not options.keep_host:
            test_hosts.remove([name])
    passed = sum(case["passed"] for case in cases)
    say(f"{passed} of {count} passed; {path.relative_to(CHECKOUT)}")
    return 0 if passed == count else 1


def record(path: Path, result: dict[str, Any], cases: list[dict[str, Any]]) -> None:
    RESULTS.mkdir(exist_ok=True)
    passed = sum(case["passed"] for case in cases)
    text = json.dumps({**result, "run": len(cases), "passed": passed, "cases": cases}, indent=1)
    path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())

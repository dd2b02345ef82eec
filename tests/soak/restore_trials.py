"""The data directory is destroyed under writing, restored, and every commit that must be there is looked for.

One writer serves several moments: at each, the repository is copied as it is (by hard links: pgBackRest replaces files
and never writes into one). After the last moment the cluster is killed and its directory removed, and then restored
from each copy in turn: from what there would have been, had the data been lost at that moment.
"""

from __future__ import annotations

import random
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Callable

from remote import Remote

REPOSITORY = "/var/backups/ringstand/pgbackrest"
NOTES = "/var/tmp/moments.notes"
LOST_SECONDS = 60.0  # what may be lost
CYCLE_SECONDS = 30.0  # archive_timeout: a moment falls anywhere into this
WRITER = Path(__file__).with_name("writer.py")


@dataclass(frozen=True)
class Trial:
    """What came of one moment. ``lost_seconds``: age of the oldest commit that is gone, 0 when none is."""

    moment: float
    acknowledged: int
    restored: int
    lost: int
    lost_seconds: float
    restore_seconds: float
    passed: bool
    reason: str = ""


def run(remote: Remote, moments: int, chance: random.Random, say: Callable[[str], None]) -> list[Trial]:
    """Have a writer at work, and restore from random moments at which its first commits are older than a minute."""
    remote.put("/root/writer.py", WRITER.read_text(encoding="utf-8"))
    remote.sql("DROP TABLE IF EXISTS moments; "
               "CREATE TABLE moments (id bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp())")
    remote.must(f"rm -rf {NOTES} {REPOSITORY}.moment-*\n"
                f"systemd-run --quiet --collect --unit=moments-writer python3 /root/writer.py {NOTES}")
    began = time.monotonic()
    offsets = sorted(LOST_SECONDS + 5 + chance.random() * CYCLE_SECONDS for _moment in range(moments))
    times = []
    for number, offset in enumerate(offsets):
        time.sleep(max(0.0, began + offset - time.monotonic()))
        last = number == len(offsets) - 1
        destroy = destroy_script() if last else ""
        times.append(float(remote.must(f"date +%s.%N; {destroy} cp -al {REPOSITORY} {REPOSITORY}.moment-{number}")))
        say(f"moment {number + 1} of {moments}, {offset:.0f} s after the writer began")
    remote.must("systemctl stop moments-writer 2>/dev/null || true")
    notes = [line.split() for line in remote.must(f"cat {NOTES}").splitlines()]
    acknowledged = {int(number): float(at) for number, at in notes if at}
    return [one_moment(remote, number, moment, acknowledged, say) for number, moment in enumerate(times)]


def destroy_script() -> str:
    """Kill every process of the cluster, as a power cut does, and remove its data."""
    return ("systemctl kill --signal=SIGKILL 'postgresql@*-main.service'; "
            "while pgrep -u postgres -x postgres >/dev/null; do sleep 0.05; done; "
            "rm -rf /var/lib/postgresql/*/main;")


def one_moment(remote: Remote, number: int, moment: float, acknowledged: dict[int, float],
               say: Callable[[str], None]) -> Trial:
    remote.must("systemctl stop 'postgresql@*-main.service'; rm -rf /var/lib/postgresql/*/main*\n"
                f"rm -rf {REPOSITORY}; mv {REPOSITORY}.moment-{number} {REPOSITORY}")
    began = time.monotonic()
    done = remote.run("ringstand restore")
    seconds = round(time.monotonic() - began, 1)
    known = {commit: at for commit, at in acknowledged.items() if at <= moment}
    if done.code:
        trial = Trial(moment, len(known), 0, len(known), -1.0, seconds, False, done.output[-1500:])
    else:
        there = {int(line) for line in remote.sql("SELECT id FROM moments").split()}
        lost = {commit: at for commit, at in known.items() if commit not in there}
        age = round(moment - min(lost.values()), 1) if lost else 0.0
        # A hole below the last commit that is there is never right, however young.
        holes = [commit for commit in lost if there and commit < max(there)]
        good = age < LOST_SECONDS and not holes and bool(there)
        reason = "" if good else f"lost {len(lost)} commits, the oldest {age} s old, holes {holes[:5]}"
        trial = Trial(moment, len(known), len(there), len(lost), age, seconds, good, reason)
    say(f"moment {number + 1}: {'passed' if trial.passed else 'FAILED'} {trial.lost} of {trial.acknowledged} commits "
        f"lost, the oldest {trial.lost_seconds} s old; restored in {trial.restore_seconds} s {trial.reason}")
    return trial


def as_data(trials: list[Trial]) -> list[dict[str, object]]:
    return [asdict(trial) for trial in trials]

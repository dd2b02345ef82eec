"""The data directory is destroyed under writing, restored, and every commit that must be there is looked for.

pgbench writes as well, at a fixed rate, and its books must balance after each restore. One writer serves several
moments: at each, the repository is copied as it is (by hard links: pgBackRest replaces files and never writes into
one). After the last moment the cluster is killed and its directory removed, and then restored from each copy in turn:
from what there would have been, had the data been lost at that moment.
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
LOAD_SCALE, LOAD_RATE = 10, 100  # of pgbench: 150 MB, and transactions a second
BALANCE = """SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT coalesce(sum(delta), 0) FROM pgbench_history)
AND (SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT sum(bbalance) FROM pgbench_branches)"""
SERVER_LOG = "/var/log/postgresql/postgresql-*-main.log"
IMMEDIATE = "received immediate shutdown request"
# As a power cut does it, and as an administrator who is in a hurry. As root pg_ctlcluster hands over to systemctl,
# whose stop is an orderly one, whatever the mode: so the server has to say what it was told.
CRASHES = {
    "kill": "systemctl kill --signal=SIGKILL 'postgresql@*-main.service';",
    "immediate": f"""said=$(cat {SERVER_LOG} | grep -c '{IMMEDIATE}' || true)
        pg_ctlcluster --skip-systemctl-redirect $(pg_lsclusters -h | awk '{{print $1}}') main stop -m immediate
        test $(cat {SERVER_LOG} | grep -c '{IMMEDIATE}') -gt $said || {{ echo 'it was no immediate shutdown'; exit 1; }}
        """,
}
GONE = "while pgrep -u postgres -x postgres >/dev/null; do sleep 0.05; done; rm -rf /var/lib/postgresql/*/main;"
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
    crash: str = ""
    reason: str = ""


def prepare(remote: Remote) -> None:
    """The tables of pgbench, anew: its history is a part of its books."""
    remote.must("setpriv --reuid=postgres --regid=postgres --init-groups "
                f"$(ls -d /usr/lib/postgresql/*/bin)/pgbench -iqs {LOAD_SCALE} -h /run/postgresql")


def run(remote: Remote, moments: int, chance: random.Random, say: Callable[[str], None]) -> list[Trial]:
    """Have a writer at work, and restore from random moments at which its first commits are older than a minute."""
    prepare(remote)
    remote.put("/root/writer.py", WRITER.read_text(encoding="utf-8"))
    remote.sql("DROP TABLE IF EXISTS moments; "
               "CREATE TABLE moments (id bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp())")
    remote.must(f"rm -rf {NOTES} {REPOSITORY}.moment-*\n"
                f"systemd-run --quiet --collect --unit=moments-writer python3 /root/writer.py {NOTES}\n"
                "systemd-run --quiet --collect --unit=moments-load --property=User=postgres "
                f"$(ls -d /usr/lib/postgresql/*/bin)/pgbench -n -c 4 -R {LOAD_RATE} -T 3600 -h /run/postgresql")
    crash = chance.choice(list(CRASHES))
    began = time.monotonic()
    offsets = sorted(LOST_SECONDS + 5 + chance.random() * CYCLE_SECONDS for _moment in range(moments))
    times = []
    for number, offset in enumerate(offsets):
        time.sleep(max(0.0, began + offset - time.monotonic()))
        last = number == len(offsets) - 1
        destroy = destroy_script(crash) if last else ""
        times.append(float(remote.must(f"date +%s.%N; {destroy} cp -al {REPOSITORY} {REPOSITORY}.moment-{number}")))
        say(f"moment {number + 1} of {moments}, {offset:.0f} s after the writer began")
    remote.must("systemctl stop moments-writer moments-load 2>/dev/null || true")
    notes = [line.split() for line in remote.must(f"cat {NOTES}").splitlines()]
    acknowledged = {int(number): float(at) for number, at in notes if at}
    return [one_moment(remote, number, moment, acknowledged, crash, say) for number, moment in enumerate(times)]


def destroy_script(crash: str = "kill") -> str:
    """End every process of the cluster, and remove its data."""
    return f"{CRASHES[crash]} {GONE}"


def one_moment(remote: Remote, number: int, moment: float, acknowledged: dict[int, float], crash: str,
               say: Callable[[str], None]) -> Trial:
    remote.must("systemctl stop 'postgresql@*-main.service'; rm -rf /var/lib/postgresql/*/main*\n"
                f"rm -rf {REPOSITORY}; mv {REPOSITORY}.moment-{number} {REPOSITORY}")
    began = time.monotonic()
    done = remote.run("ringstand restore")
    seconds = round(time.monotonic() - began, 1)
    known = {commit: at for commit, at in acknowledged.items() if at <= moment}
    if done.code:
        trial = Trial(moment, len(known), 0, len(known), -1.0, seconds, False, crash, done.output[-1500:])
    else:
        there = {int(line) for line in remote.sql("SELECT id FROM moments").split()}
        lost = {commit: at for commit, at in known.items() if commit not in there}
        age = round(moment - min(lost.values()), 1) if lost else 0.0
        # A hole below the last commit that is there is never right, however young.
        holes = [commit for commit in lost if there and commit < max(there)]
        balanced = remote.sql(BALANCE) == "t"
        good = age < LOST_SECONDS and not holes and bool(there) and balanced
        reason = "" if good else (f"lost {len(lost)} commits, the oldest {age} s old, holes {holes[:5]}, "
                                  f"pgbench's books {'balance' if balanced else 'do not balance'}")
        trial = Trial(moment, len(known), len(there), len(lost), age, seconds, good, crash, reason)
    say(f"moment {number + 1}: {'passed' if trial.passed else 'FAILED'} {trial.lost} of {trial.acknowledged} commits "
        f"lost, the oldest {trial.lost_seconds} s old; restored in {trial.restore_seconds} s {trial.reason}")
    return trial


def as_data(trials: list[Trial]) -> list[dict[str, object]]:
    return [asdict(trial) for trial in trials]

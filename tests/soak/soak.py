"""Long versions of tests that bin/test has short: the same code, more of it, on a fresh host, with a dated result.

  bin/soak restore [--count 20]       destroy the data directory at random moments under writing, restore, count commits
  bin/soak corruption [--count 100]   damage backups and tables, see each reported with the file's name, mend it
  bin/soak speed [--count 3]          backups and restores beside pg_basebackup and plain writing, on the same disk
  bin/soak loss [--place ssh|s3]       lose a whole host, recover it on a fresh one from another host
  bin/soak full [--count 600]         fill the repository's disk for so many seconds under writing, then make room
  bin/soak switch [--count 20]        deploy good and broken releases under a steady load, count every request
  bin/soak pgbench                    the role's settings beside the distribution's, by turns
  bin/soak upgrade                    PostgreSQL 15 to 17 and back, under a live shop, also cut half-way
  bin/soak certbot                    the certificates with certbot 1.21 to 5.8, on Debian 12
  bin/soak power [--count 20]         cut the power in deploys, so that what was not flushed is gone; full disks
  bin/soak vm [--count 22]            the same in an emulated machine, and reboots, clocks, memory

The result is tests/soak/results/TOPIC-DATE.json, also when it ends early; it says how many were run. The exit status
is 0 when all asked for were run and passed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SOAK = Path(__file__).resolve().parent
CHECKOUT = SOAK.parents[1]
sys.path[:0] = [str(SOAK.parent / "hosts"), str(SOAK.parent / "bench")]

import certbot_trials  # noqa: E402
import corruption_trials  # noqa: E402
import database_trials  # noqa: E402
import full_trials  # noqa: E402
import host as test_hosts  # noqa: E402
import loss_trials  # noqa: E402
import restore_trials  # noqa: E402
import speed_trials  # noqa: E402
import switch_trials  # noqa: E402
import upgrade_trials  # noqa: E402
import vm_trials  # noqa: E402
from power_host import PowerHost  # noqa: E402
from remote import Remote  # noqa: E402
from steps import Place  # noqa: E402
from vm import Disk, Machine  # noqa: E402

RESULTS = SOAK / "results"
CLEAN_CYCLES = 20
MOMENTS = 1  # that share one writer: the last of them is the crash itself


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


@contextlib.contextmanager
def host_with_backup(name: str, distribution: str, keep: bool) -> Iterator[Remote]:
    """A fresh host with the roles of the Molecule scenario, after its first backup."""
    test_hosts.up(name, distribution, None, [])
    try:
        converge(name)
        remote = Remote(name)
        remote.must("while systemctl is-active --quiet ringstand-backup; do sleep 1; done")
        yield remote
    finally:
        if not keep:
            test_hosts.remove([name])


def restore(soak: Soak) -> Iterator[dict[str, Any]]:
    """Yields the outcome of each moment."""
    with host_with_backup(soak.name, soak.distribution, soak.keep_host) as remote:
        soak.facts["versions"] = remote.versions()
        left = soak.count
        while left:
            remote.must("ringstand backup")
            trials = restore_trials.run(remote, min(MOMENTS, left), soak.chance, say)
            yield from restore_trials.as_data(trials)
            left -= len(trials)


def corruption(soak: Soak) -> Iterator[dict[str, Any]]:
    """Yields the outcome of each damage."""
    with host_with_backup(soak.name, soak.distribution, soak.keep_host) as remote:
        soak.facts["versions"] = remote.versions()
        corruption_trials.prepare(remote)
        alarms = corruption_trials.clean_cycles(remote, CLEAN_CYCLES, say)
        soak.facts.update(clean_cycles=CLEAN_CYCLES, false_alarms=alarms)
        for number in range(soak.count):
            yield from corruption_trials.as_data(corruption_trials.run(remote, 1, soak.chance, say, first=number))


def speed(soak: Soak) -> Iterator[dict[str, Any]]:
    """Yields the figures of each round."""
    with host_with_backup(soak.name, soak.distribution, soak.keep_host) as remote:
        soak.facts["versions"] = remote.versions()
        soak.facts["megabytes"] = speed_trials.prepare(remote)
        for _round in range(soak.count):
            yield speed_trials.run(remote, say)


def switch(soak: Soak) -> Iterator[dict[str, Any]]:
    """Yields the outcome of each deploy, once the load has ended."""
    with Place(soak.name, soak.distribution) as place:
        switch_trials.prepare(place)
        soak.facts["versions"] = Remote(soak.name).versions()
        measured, cases = switch_trials.run(place, soak.count, soak.chance, say)
        soak.facts["measured"] = measured
        yield from cases


def loss(soak: Soak) -> Iterator[dict[str, Any]]:
    """Yields the outcome of each loss of a host."""
    store = f"{soak.name}-store"
    test_hosts.remove([store])  # one that was kept has the backups of another host of this name
    test_hosts.up(store, soak.distribution, None, [])
    try:
        with Place(soak.name, soak.distribution) as place:
            soak.facts["place"] = soak.place
            yield from loss_trials.run(place, Remote(store), soak.place, soak.count, say)
            soak.facts["versions"] = Remote(soak.name).versions()
    finally:
        if not soak.keep_host:
            test_hosts.remove([store])


def full(soak: Soak) -> Iterator[dict[str, Any]]:
    """Yields what came of a full repository; the count is that of its seconds."""
    with Place(soak.name, soak.distribution) as place:
        yield from full_trials.run(place, soak.count, say)
        soak.facts["versions"] = Remote(soak.name).versions()


def vm(soak: Soak) -> Iterator[dict[str, Any]]:
    """Yields the outcome of each fault in an emulated machine."""
    with Machine(Disk(soak.distribution).ensure()) as machine:
        yield from vm_trials.run(machine, soak.chosen(vm_trials.MACHINE_PLAN), soak.count, soak.chance, say)


def power(soak: Soak) -> Iterator[dict[str, Any]]:
    """Yields the outcome of each fault on a host whose file system loses what was not flushed."""
    with PowerHost(soak.name, Disk(soak.distribution).ensure()) as host:
        yield from vm_trials.run(host, soak.chosen(vm_trials.HOST_PLAN), soak.count, soak.chance, say)


def upgrade(soak: Soak) -> Iterator[dict[str, Any]]:
    """Yields the outcome of each way of an upgrade."""
    with Place(soak.name, soak.distribution) as place:
        for case in upgrade_trials.run(place, soak.count, say):
            soak.facts["versions"] = Remote(soak.name).versions()
            yield case


def certbot(soak: Soak) -> Iterator[dict[str, Any]]:
    """Yields what came of each version of certbot; the count is that of the versions, and one more."""
    plan = tuple((version.certbot,) for version in certbot_trials.VERSIONS)
    chosen = [name for (name,) in soak.chosen(plan)]
    versions = tuple(one for one in certbot_trials.VERSIONS if one.certbot in chosen)
    yield from _on_a_host(soak, lambda remote: certbot_trials.run(certbot_trials.Place(remote), versions, say))


def pgbench(soak: Soak) -> Iterator[dict[str, Any]]:
    """Yields what each kind of load makes of the role's settings and of the distribution's."""
    yield from _on_a_host(soak, lambda remote: database_trials.pgbench(remote, soak.count, say))


def _on_a_host(soak: Soak, trials: Callable[[Remote], Iterator[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    test_hosts.up(soak.name, soak.distribution, None, [])
    try:
        remote = Remote(soak.name)
        for case in trials(remote):
            soak.facts["versions"] = remote.versions()
            yield case
    finally:
        if not soak.keep_host:
            test_hosts.remove([soak.name])


@dataclass
class Soak:
    """What was asked for; ``facts`` go into the result."""

    name: str
    distribution: str
    count: int
    chance: random.Random
    keep_host: bool
    only: list[str] = field(default_factory=list)
    place: str = "sftp"
    facts: dict[str, Any] = field(default_factory=dict)

    def chosen(self, plan: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
        """Those faults of a plan that were asked for, by words of their names."""
        found = tuple(one for one in plan if not self.only or any(word in " ".join(one) for word in self.only))
        if not found:
            names = ", ".join(sorted({" ".join(one).strip() for one in plan}))
            sys.exit(f"soak: Failed to choose {', '.join(self.only)}: the faults are {names}")
        return found


TOPICS = {
    "restore": (restore, 20, "Each moment: under a writer of up to 20 commits a second and pgbench at "
                f"{restore_trials.LOAD_RATE} transactions a second the cluster is killed, or stopped in the mode "
                "immediate, its data directory removed, and restored. Passed: every acknowledged commit older than "
                "60 s is there, no hole below the newest, and pgbench's books balance."),
    "corruption": (corruption, 100, "Each damage: one file at random; passed when the check ends with another status "
                   "than 0 and names the file, and with 0 once the file is as it was. Before them backups and drills "
                   "under pgbench with nothing damaged, of which none may report anything."),
    "speed": (speed, 3, "Each round, one after the other on one disk: plain writing with fdatasync, pg_basebackup, a "
              "full backup by pgBackRest as the role configures it, and its restore, in MB of the cluster a second. "
              "Passed: the backup is not slower than pg_basebackup, the restore not slower than 60 % of plain "
              "writing."),
    "full": (full, 600, "The repository is moved to a disk that is then filled, and pgbench writes 200 transactions a "
             "second. The count is that of seconds until there is room again. Passed: every visit to the site, one a "
             "second, was answered, the trouble was reported meanwhile, and afterwards all WAL was archived, without a "
             "gap or with one that is reported."),
    "loss": (loss, 1, "Each loss: a host with examples/shop is removed a minute after its last visit, and "
             "playbooks/recover.yml makes a fresh one of it from another host (by SFTP or SSH) and the key on the "
             "controller. Passed: the visits in PostgreSQL go on with the next number, those in Redis with one after "
             "the last backup; secrets, uploads and their owner are as before; backups go on; a second run changes "
             "nothing."),
    "switch": (switch, 20, f"Each deploy: by the playbook, a quarter of them broken, with {switch_trials.CONNECTIONS} "
               "keep-alive TLS connections, half POST, in an open loop at 30 % of what the site can answer. Passed: it "
               "ended as it should and no request failed nor was answered by a broken release. Of the one that dies "
               "with the traffic on it: the old one answered within a second of its last answer."),
    "pgbench": (pgbench, 2, f"Each load: pgbench at scale {database_trials.SCALE} with {database_trials.CLIENTS} "
                f"clients for {database_trials.SECONDS} s, with the role's settings and with the distribution's by "
                f"turns, {database_trials.PAIRS} times each, after one that fills the buffers. Passed: the median is "
                "at least that of the distribution."),
    "upgrade": (upgrade, len(upgrade_trials.WAYS), "Each way: from PostgreSQL 15 to 17 by the playbook, under a shop "
                "with a visitor; one that fails, there and back, and some that are stopped or killed while the data is "
                "copied, or once the new cluster serves. Passed: the version is as wanted; the visitor got nothing but "
                "pages and, meanwhile, the maintenance page; visits are counted without a gap from where that database "
                "was left; the same release serves; and after each change of the version a drill has restored the "
                "newest backup of both places."),
    "certbot": (certbot, len(certbot_trials.VERSIONS) + 1, "Each version of certbot, with packages of its time, in the "
                "role's virtual environment, against Pebble: the roles as in the molecule scenario, again without a "
                "change, and all of molecule/certbot/files/scenarios.py: lifetimes of 90, 45 and 6 days with the clock "
                "before and after two thirds, DNS-01 through the plugin rfc2136 and BIND, and what fails. Then the "
                "oldest, the newest and the oldest again on the same certificates. Passed: all of it."),
    "power": (power, 20, "Each fault: in a deploy by the playbook, on one host. " + vm_trials.PASSED),
    "vm": (vm, len(vm_trials.MACHINE_PLAN), "Each fault: in a deploy by the playbook, on one emulated machine. "
           + vm_trials.PASSED),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="bin/soak", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("topic", choices=TOPICS)
    parser.add_argument("--count", type=int)
    parser.add_argument("--distribution", default=os.environ.get("TESTHOST_DISTRIBUTION"),
                        help="debian-13 unless given; of certbot debian-12, whose archive has Pebble")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--keep-host", action="store_true")
    parser.add_argument("--only", action="append", default=[], metavar="WORDS",
                        help="of power, vm and certbot, only faults or versions whose name has these words, such as "
                             "clock; repeatable")
    parser.add_argument("--place", choices=("sftp", "ssh", "s3"), default="sftp", help="of loss, where the backups are")
    options = parser.parse_args()
    run, default, what = TOPICS[options.topic]
    options.distribution = options.distribution or ("debian-12" if options.topic == "certbot" else "debian-13")
    count = options.count or default
    name = f"soak-{options.topic}-{options.distribution.split('-')[1]}"
    cases: list[dict[str, Any]] = []
    result = {"topic": options.topic, "what": what, "date": time.strftime("%Y-%m-%d", time.gmtime()),
              "distribution": options.distribution, "seed": options.seed, "asked": count}
    path = RESULTS / f"{options.topic}-{options.distribution}-{result['date']}.json"
    began = time.monotonic()
    soak = Soak(name, options.distribution, count, random.Random(options.seed), options.keep_host,
                options.only, options.place)
    for case in run(soak):
        cases.append(case)
        record(path, {**result, **soak.facts, "seconds": round(time.monotonic() - began)}, cases)
    passed = sum(case["passed"] for case in cases) - len(soak.facts.get("false_alarms", []))
    say(f"{passed} of {count} passed; {path.relative_to(CHECKOUT)}")
    return 0 if passed == count and cases else 1


def record(path: Path, result: dict[str, Any], cases: list[dict[str, Any]]) -> None:
    RESULTS.mkdir(exist_ok=True)
    passed = sum(case["passed"] for case in cases)
    text = json.dumps({**result, "run": len(cases), "passed": passed, "cases": cases}, indent=1)
    path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())

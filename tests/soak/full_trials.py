"""The disk of the repository is full for some time under writing: site and database go on, and archiving afterwards."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from probe import ask
from remote import Remote
from steps import NAME, Place

REPOSITORY = "/var/backups/ringstand/pgbackrest"
ROOM_MB = 32
PSQL = "runuser -u postgres -- psql -XAtqw -h /run/postgresql"
SMALL = f"""set -e
systemctl stop cron
while systemctl is-active --quiet ringstand-backup; do sleep 0.5; done
mkdir -p /small
size=$(($(du -sm {REPOSITORY} | cut -f1) + {ROOM_MB}))m
mount -t tmpfs -o size=$size,mode=0750,uid=$(id -u postgres),gid=$(id -g postgres) none /small
cp -a {REPOSITORY}/. /small/
mount --bind /small {REPOSITORY}
dd if=/dev/zero of=/small/ballast bs=1M count={ROOM_MB} status=none || true
"""
LARGE = "rm /small/ballast; mount -o remount,size=4g /small"
WRITE = """set -e
runuser -u postgres -- createdb -h /run/postgresql bench 2>/dev/null || true
B=$(ls -d /usr/lib/postgresql/*/bin)
runuser -u postgres -- $B/pgbench -h /run/postgresql -q -i -s 10 bench 2>/dev/null
systemd-run --quiet --collect --unit=soak-writer --uid=postgres \
    $B/pgbench -h /run/postgresql -c 2 -R 200 -T {seconds} bench
"""
ARCHIVER = (
    "SELECT json_build_object('failed', failed_count, 'archived', archived_count, 'waiting', "
    "(SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready')) FROM pg_stat_archiver"
)


class Visitor(threading.Thread):
    """Asks for the site's page, which reads and writes its database, once a second."""

    def __init__(self, place: Place) -> None:
        super().__init__(daemon=True)
        self._place, self._ended = place, threading.Event()
        self.visits, self.failures = 0, list[str]()

    def run(self) -> None:
        while not self._ended.wait(1.0):
            self.visits += 1
            try:
                status = ask(self._place.host.address, NAME, "/").status
                if status != 200:
                    self.failures.append(f"status {status}")
            except OSError as error:
                self.failures.append(str(error))

    def end(self) -> None:
        self._ended.set()
        self.join()


def run(place: Place, seconds: int, say: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """Yield what came of it."""
    remote = Remote(place.name)
    place.play()
    place.wait_for_background()
    remote.must(SMALL)
    remote.must(WRITE.format(seconds=seconds + 60))
    began, visitor = time.monotonic(), Visitor(place)
    visitor.start()
    full = reported = 0.0
    told, most = "", 0
    while time.monotonic() - began < seconds or not full:
        state = archiver(remote)
        most = max(most, state["waiting"])
        if state["failed"] and not full:
            full = time.monotonic() - began
            say(f"the repository is full after {full:.0f} s")
        if full and not reported and time.monotonic() - began > min(seconds - 10, full + 310):
            done = remote.run("ringstand backup --if-due; ringstand backups")
            told = " | ".join(line for line in done.output.splitlines() if line.startswith("NOT GOOD"))
            reported = time.monotonic() - began
            say(f"reported: {told[:300]}")
        if time.monotonic() - began > seconds + 300:
            break
        time.sleep(2)
    pg_wal = remote.must("du -sm /var/lib/postgresql/*/main/pg_wal | cut -f1")
    remote.must(LARGE)
    say(f"there is room again; {state['waiting']} segments wait")
    resumed = wait_until_archived(remote)
    visitor.end()
    remote.must("systemctl stop soak-writer 2>/dev/null || true")
    # The first look after it tells of what has failed since the one before, as it should.
    remote.run("ringstand backup --full")
    after = remote.run("ringstand backup --if-due; ringstand backups")
    wrong = [line for line in after.output.splitlines() if line.startswith("NOT GOOD")]
    gap = [line for line in after.output.splitlines() if "lacks this WAL segment" in line]
    problems = [
        *([] if full else ["the repository was never full"]),
        *([f"{len(visitor.failures)} visits failed: {visitor.failures[:3]}"] if visitor.failures else []),
        *([] if told else ["nothing was reported"]),
        *([] if resumed >= 0 else ["archiving did not go on"]),
        *(wrong if not gap else []),
    ]
    yield {
        "full_after_seconds": round(full), "seconds": round(time.monotonic() - began), "visits": visitor.visits,
        "failed_visits": len(visitor.failures), "most_waiting": most, "pg_wal_mb": int(pg_wal), "reported": told[:600],
        "resumed_seconds": resumed, "gap": gap, "passed": not problems, "reason": problems,
    }


def archiver(remote: Remote) -> dict[str, int]:
    found: dict[str, int] = json.loads(remote.must(f'{PSQL} -c "{ARCHIVER}"'))
    return found


def wait_until_archived(remote: Remote, limit: float = 300) -> float:
    """Seconds until nothing waits any more; -1 when it does not come to that."""
    began = time.monotonic()
    while time.monotonic() - began < limit:
        if archiver(remote)["waiting"] <= 1:
            return round(time.monotonic() - began, 1)
        time.sleep(1)
    return -1.0

"""How fast a cluster is backed up and restored, beside pg_basebackup and plain writing on the same disk."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from remote import Remote

SCALE = 240  # of pgbench: 3.6 GB; the seconds that a backup takes however small it is must not count
TEXT_ROWS = 42_000_000  # of random text, which compresses to half: 3.9 GB
BESIDE = "/var/lib/postgresql/soak"
RESTORE_SHARE = 0.6
WRITE = '''
import os, sys, time
block = os.urandom(64 << 20)
began = time.monotonic()
descriptor = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
for _block in range(int(sys.argv[2]) // 64 + 1):
    os.write(descriptor, block)
os.fdatasync(descriptor)
print(time.monotonic() - began, (int(sys.argv[2]) // 64 + 1) * 64)
os.unlink(sys.argv[1])
'''
AS_OWNER = "setpriv --reuid=postgres --regid=postgres --init-groups env HOME=/nonexistent"


def prepare(remote: Remote) -> int:
    """A cluster of some GB, half of it hard to compress; returns its size in MB."""
    remote.must(f"cd /; {AS_OWNER} $(ls -d /usr/lib/postgresql/*/bin)/pgbench -iqs {SCALE} -h /run/postgresql", 1800)
    fill = f"SELECT n, md5(n::text) || md5((n * 7)::text) AS text FROM generate_series(1, {TEXT_ROWS}) n"
    remote.must(f"{AS_OWNER} psql -Xqw -h /run/postgresql -c 'DROP TABLE IF EXISTS texts' "
                f"-c 'CREATE TABLE texts AS {fill}' -c CHECKPOINT", 1800)
    while remote.run("ls /var/lib/postgresql/*/main/pg_wal/archive_status/*.ready").code == 0:
        time.sleep(2)  # the archiver must not take part
    return int(remote.must("du -sm --exclude=pg_wal /var/lib/postgresql/*/main").split()[0])


def run(remote: Remote, say: Callable[[str], None]) -> dict[str, Any]:
    """One round; all speeds in MB a second."""
    size = int(remote.must("du -sm --exclude=pg_wal /var/lib/postgresql/*/main").split()[0])
    remote.must(f"rm -rf {BESIDE}; install -d -o postgres -g postgres -m 700 {BESIDE}; sync")
    seconds, written = map(float, remote.must(
        f"python3 - {BESIDE}/file {size} <<'END'\n{WRITE}\nEND", 1800).split())
    found = {"raw": written / seconds}
    found["basebackup"] = size / timed(
        remote, f"{AS_OWNER} $(ls -d /usr/lib/postgresql/*/bin)/pg_basebackup -h /run/postgresql -c fast -X none "
        f"--no-manifest -D {BESIDE}/base; sync -f {BESIDE}")
    remote.must(f"rm -rf {BESIDE}/base; sync")
    found["backup"] = size / timed(
        remote, f"{AS_OWNER} pgbackrest --stanza=main --no-expire-auto --type=full backup; sync -f /var/backups")
    found["restore"] = size / timed(
        remote, f"{AS_OWNER} pgbackrest --stanza=main --pg1-path={BESIDE}/restored restore",
        f"install -d -o postgres -g postgres -m 700 {BESIDE}/restored")
    remote.must(f"rm -rf {BESIDE}")
    found["load"] = float(remote.must("cut -d' ' -f1 /proc/loadavg"))  # of the machine that the host is on
    ratios = {"backup_to_basebackup": found["backup"] / found["basebackup"],
              "restore_to_raw": found["restore"] / found["raw"]}
    passed = ratios["backup_to_basebackup"] >= 1 and ratios["restore_to_raw"] >= RESTORE_SHARE
    case = {name: round(value, 2) for name, value in {**found, **ratios}.items()}
    say(" ".join(f"{name} {value}" for name, value in case.items()))
    return {**case, "megabytes": size, "passed": passed}


def timed(remote: Remote, script: str, before: str = "true") -> float:
    """Seconds that a script takes on the host."""
    text = remote.must(f"{before}\ncd /\nbegan=$(date +%s.%N)\n{script}\nended=$(date +%s.%N)\n"
                       "echo; echo $began $ended", 3600)
    began, ended = map(float, text.splitlines()[-1].split())
    return ended - began

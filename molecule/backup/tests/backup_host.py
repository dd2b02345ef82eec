"""What the tests of the backups ask of their host."""

from __future__ import annotations

import json
import time

DIR = "/var/backups/ringstand"


def sql(host, text, database="shop"):
    return host.check_output("runuser -u postgres -- psql -XAtqd %s -c %s", database, text)


def switch(host):
    """Write something and end its segment; returns that."""
    sql(host, "CREATE TABLE IF NOT EXISTS visits (at timestamptz)")
    # Of the insertion, not of the switch: when the timeout was quicker, that one names the next, empty segment.
    segment = sql(host, "INSERT INTO visits VALUES (now()) RETURNING pg_walfile_name(pg_current_wal_insert_lsn())")
    sql(host, "SELECT pg_switch_wal()")
    return segment


def archived(host, segment):
    return host.run("find %s/pgbackrest/archive -name %s | grep -q .", DIR, f"{segment}-*").rc == 0


def backups(host, *options):
    return json.loads(host.run(f"ringstand --json backups {' '.join(options)}").stdout)


def wait_until(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.5)

"""What the tests of the backups ask of their host."""

from __future__ import annotations

import json
import time

DIR = "/var/backups/ringstand"


def sql(host, text, database="shop"):
    return host.check_output("runuser -u postgres -- psql -XAtqd %s -c %s", database, text)


def backups(host, *options):
    return json.loads(host.run(f"ringstand --json backups {' '.join(options)}").stdout)


def wait_until(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.5)

#!/usr/bin/python3
"""Runs on a test host: commits a row every 50 ms and notes each commit that PostgreSQL has acknowledged, until killed.

A server that goes away ends it. What it noted is what a user was told to be safe.
"""

from __future__ import annotations

import subprocess
import sys
import time

INTERVAL_SECONDS = 0.05


def main(path: str) -> None:
    psql = subprocess.Popen(["runuser", "-u", "postgres", "--", "psql", "-XAtqw", "-v", "ON_ERROR_STOP=1",
                             "-h", "/run/postgresql"],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, cwd="/")
    assert psql.stdin and psql.stdout
    with open(path, "w", encoding="utf-8", buffering=1) as notes:
        while True:
            began = time.time()
            psql.stdin.write("INSERT INTO moments DEFAULT VALUES RETURNING id;\n")
            answer = psql.stdout.readline().strip()
            if not answer:
                return
            notes.write(f"{answer} {time.time():.6f}\n")
            time.sleep(max(0.0, INTERVAL_SECONDS - (time.time() - began)))


if __name__ == "__main__":
    main(sys.argv[1])

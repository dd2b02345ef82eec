"""A worker that finishes its job when it is told to stop, and a scheduler that must be alone."""

import fcntl
import os
import signal
import sys
import time
from pathlib import Path

kind = sys.argv[1]
home = Path(os.environ["HOME"])
behaviour = Path(__file__).with_name("behaviour").read_text().strip()


def note(event):
    with open(home / f"{kind}.log", "a") as log:
        log.write(f"{event} {os.environ['RELEASE_ID']} {os.getpid()}\n")


if behaviour == f"{kind} dies":
    sys.exit(f"{kind} of this release is broken")

lock = os.open(home / f"{kind}.lock", os.O_WRONLY | os.O_CREAT)
if kind == "clock":
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        note("second")
stopping = []
signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
note("started")
while not stopping:
    time.sleep(0.02)
time.sleep(0.3)  # the rest of its job
note("finished")

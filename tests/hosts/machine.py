"""The machine underneath: how a command is run as root, and what podman needs here.

On an ordinary machine with cgroup v2 and full capabilities nothing below does anything but add sudo. Two
work-arounds are applied only where they are needed:

- crun refuses a hybrid cgroup hierarchy, so podman runs inside one mount namespace that sees pure cgroup v2. What
  podman mounts lives in that namespace, so a sleeping process holds it open for as long as there are hosts.
- without CAP_SYS_RESOURCE limits cannot be raised, so containers get limits that need no raising.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
STATE = CHECKOUT / ".cache" / "hosts"
SHARED = Path("/run/lock/ringstand-hosts")
CGROUP = Path("/sys/fs/cgroup")
CAP_SYS_RESOURCE = 24
HOLDER = "ringstand-hosts-cgroup"
HOLDER_SCRIPT = (
    f"umount -R {CGROUP} && mount -t cgroup2 cgroup2 {CGROUP} && exec -a {HOLDER} sleep infinity"
)
CONTAINERS_CONF = '[containers]\ndefault_ulimits = ["nofile=20000:20000", "nproc=20000:20000"]\npids_limit = 0\n'


class HostError(Exception):
    """Something a person has to know; printed without a traceback."""


def as_root(argv: list[str]) -> list[str]:
    return argv if os.geteuid() == 0 else ["sudo", "-n", *argv]


def run(argv: list[str], what: str, **options: Any) -> str:
    """Run a command, return its standard output; raise HostError saying what was attempted and why it failed."""
    try:
        done = subprocess.run(argv, text=True, capture_output=True, check=False, **options)
    except FileNotFoundError as error:
        raise HostError(f"Failed to {what}: {error.filename} is not installed; bin/bootstrap installs it") from error
    if done.returncode:
        reason = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()
        raise HostError(f"Failed to {what}: exit code {done.returncode}: " + "\n  ".join(reason[-15:]))
    return done.stdout


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold an flock on a file, creating it; it frees itself when this process ends."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)  # reading is enough: another user may have made it
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def checkout_lock() -> Iterator[None]:
    STATE.mkdir(parents=True, exist_ok=True)
    with lock(STATE / "lock"):
        yield


@contextlib.contextmanager
def shared_lock(name: str) -> Iterator[None]:
    """A lock shared by all checkouts on this machine."""
    if not SHARED.is_dir():
        run(as_root(["install", "-d", "-m", "0777", str(SHARED)]), f"create {SHARED}")
    with lock(SHARED / name):
        yield


def podman(*arguments: str) -> list[str]:
    """The command line that runs podman on this machine."""
    if not shutil.which("podman", path=os.environ.get("PATH", "") + ":/usr/bin:/usr/sbin"):
        raise HostError("Failed to find podman: it is not installed; bin/bootstrap installs it")
    limits = ["env", f"CONTAINERS_CONF={containers_conf()}"] if lacks_capability(CAP_SYS_RESOURCE) else []
    return beside_podman(*limits, "podman", *arguments)


def beside_podman(*command: str) -> list[str]:
    """The command line that runs a command as root where podman runs: what it mounts, podman sees."""
    if is_cgroup2():
        return as_root([*command])
    return as_root(["nsenter", "--mount", f"--target={namespace_holder()}", "--wd=/", *command])


def is_cgroup2() -> bool:
    return (CGROUP / "cgroup.controllers").exists()


def lacks_capability(bit: int) -> bool:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    bounding = next(line.split()[1] for line in status.splitlines() if line.startswith("CapBnd:"))
    return not int(bounding, 16) >> bit & 1


def containers_conf() -> Path:
    path = STATE / "containers.conf"
    if not path.exists() or path.read_text(encoding="utf-8") != CONTAINERS_CONF:
        STATE.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(CONTAINERS_CONF, encoding="utf-8")
        temporary.replace(path)
    return path


def namespace_holder() -> int:
    """The process that holds the mount namespace with pure cgroup v2; started when there is none."""
    holder = find_holder()
    if holder:
        return holder
    STATE.mkdir(parents=True, exist_ok=True)
    with shared_lock("namespace.lock"):
        holder = find_holder()
        if holder:
            return holder
        subprocess.Popen(  # it outlives this process on purpose
            as_root(["unshare", "--mount", "--propagation", "private", "bash", "-c", HOLDER_SCRIPT]),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True, cwd="/",
        )
        for _attempt in range(100):
            time.sleep(0.05)
            holder = find_holder()
            if holder:
                return holder
    raise HostError("Failed to open a mount namespace with cgroup v2: this machine has neither cgroup v2 nor unshare")


def find_holder() -> int | None:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if (entry / "cmdline").read_bytes().split(b"\0")[0] == HOLDER.encode():
                    return int(entry.name)
    return None


def release_namespace() -> None:
    """End the holder; only once no host of any checkout is left."""
    holder = find_holder()
    if holder:
        run(as_root(["kill", str(holder)]), "end the mount namespace")

#!/usr/bin/python3
"""Runs as root in the emulated machine: watches the steps of activations, looks at what they left, uses things up."""

from __future__ import annotations

import base64
import contextlib
import glob
import hashlib
import http.client
import json
import os
import socket
import ssl
import subprocess
import sys
import time

APP = "/srv/shop"
STATE = "/var/lib/ringstand/shop"
PROGRESS = f"{STATE}/activation.jsonl"
NAME = "shop.example.com"
LIMIT_SECONDS = 60


def watch() -> None:
    """Print each line of the progress file as it is written, of activations that begin from now on."""
    position, known = (os.path.getsize(PROGRESS), os.stat(PROGRESS).st_ino) if os.path.exists(PROGRESS) else (0, 0)
    print("watching", flush=True)
    while True:
        if os.path.exists(PROGRESS):
            status = os.stat(PROGRESS)
            if status.st_size < position or status.st_ino != known:
                position, known = 0, status.st_ino
            if status.st_size > position:
                with open(PROGRESS, "rb") as stream:
                    stream.seek(position)
                    text = stream.read()
                text = text[:text.rfind(b"\n") + 1]
                position += len(text)
                sys.stdout.buffer.write(text)
                sys.stdout.flush()
        time.sleep(0.02)


def state() -> dict[str, object]:
    """What serves, what the links and the ledger say, and what lies about."""
    live = linked(f"{APP}/live")
    release = linked(f"{APP}/slots/{live}")
    ledger, damaged = lines_of(f"{STATE}/ledger.jsonl")
    folder = f"{APP}/releases/{release}"
    return {
        "release": release,
        "slot": live,
        "socket": linked("/run/shop/live.sock"),
        "manifest": manifest_id(folder),
        "ledger_live": next((line["live"] for line in reversed(ledger) if "live" in line), None),
        "ledger_last": ledger[-1] if ledger else None,
        "damaged_lines": damaged,
        "answers": sorted({answer("/health/ready") for _time in range(4)}),
        "home": answer("/", body=False),
        "static": ask("/static/release.txt")[1],
        "source": {name: digest(f"{folder}/src/{name}") for name in files_below(f"{folder}/src")
                   if not name.endswith(".pyc")},
        "torn": torn_packages(os.path.realpath(f"{folder}/venv")),
        # Files of the next release may have been published already: they are those of one release or another.
        "torn_static": [name for name in files_below(f"{folder}/src/shop/static")
                        if digest(f"{APP}/static/{name}") not in
                        {digest(path) for path in glob.glob(f"{APP}/releases/*/src/shop/static/{name}")}],
        "failed_units": run("systemctl", "list-units", "--failed", "--plain", "--no-legend").split("\n")[:5],
        "processes": run("systemctl", "list-units", "ringstand-shop*", "--plain", "--no-legend").split("\n"),
        "left": left_behind(),
    }


def left_behind() -> list[str]:
    """What a deploy that ended well has no more use for."""
    found = [path for pattern in (f"{STATE}/request-*", f"{STATE}/incoming-*", f"{STATE}/source-*", f"{STATE}/*.new",
                                  f"{STATE}/cache-in-use", f"{STATE}/unproven.json", f"{APP}/live.*",
                                  f"{APP}/slots/*.*", f"{APP}/static/**/*.new", f"{APP}/static/**/*.ringstand-new",
                                  "/run/shop/live.sock.*", f"{APP}/releases/*/*.new", f"{APP}/venvs/*/*.new")
             for path in glob.glob(pattern, recursive=True)]
    found += [folder for folder in glob.glob(f"{APP}/releases/*") if not manifest_id(folder)]
    found += [folder for folder in glob.glob(f"{APP}/venvs/*") if not os.path.isfile(f"{folder}/.ringstand-complete")]
    return found


def lines_of(path: str) -> tuple[list[dict], int]:
    found, damaged = [], 0
    with open(path, "rb") as stream:
        for line in stream.read().splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                damaged += bool(line.strip())
    return found, damaged


def linked(path: str) -> str:
    return os.path.basename(os.readlink(path)) if os.path.islink(path) else ""


def manifest_id(folder: str) -> str:
    try:
        with open(f"{folder}/manifest.json", encoding="utf-8") as stream:
            return json.load(stream)["id"]
    except (OSError, ValueError, KeyError):
        return ""


def ask(path: str) -> tuple[str, str]:
    """The status and the body; the status says why when there is none."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPConnection(NAME)
    try:
        plain = socket.create_connection(("127.0.0.1", 443), LIMIT_SECONDS)
        connection.sock = context.wrap_socket(plain, server_hostname=NAME)
        connection.request("GET", path)
        response = connection.getresponse()
        return str(response.status), response.read().decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__} {error}", ""
    finally:
        connection.close()


def settle() -> None:
    """Wait for a while until the site answers: after a boot the app starts beside everything else."""
    deadline = time.monotonic() + 4 * LIMIT_SECONDS
    while answer("/health/ready", body=False) != "200" and time.monotonic() < deadline:
        time.sleep(0.5)


def answer(path: str, body: bool = True) -> str:
    """The status, and the release that answered."""
    status, text = ask(path)
    try:
        return f"{status} {json.loads(text)['release']}" if body else status
    except (ValueError, KeyError):
        return f"{status} {text[:100]}"


def run(*command: str) -> str:
    return subprocess.run(command, text=True, errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False).stdout.strip()


def files_below(folder: str) -> list[str]:
    return [os.path.relpath(os.path.join(directory, name), folder)
            for directory, _names, files in os.walk(folder) for name in files]


def digest(path: str) -> str:
    try:
        with open(path, "rb") as stream:
            return hashlib.sha256(stream.read()).hexdigest()[:16]
    except OSError:
        return ""


def torn_packages(venv: str) -> list[str]:
    """The files of a virtual environment that are not what their package says they are."""
    torn = []
    for record in glob.glob(f"{venv}/lib/python*/site-packages/*.dist-info/RECORD"):
        site = os.path.dirname(os.path.dirname(record))
        with open(record, encoding="utf-8") as stream:
            rows = [line.rsplit(",", 2) for line in stream.read().splitlines()]
        if not rows:
            torn.append(record)
        for name, checksum, size in rows:
            path = os.path.join(site, name.strip('"'))
            if checksum.startswith("sha256=") and not same(path, checksum[7:], int(size or -1)):
                torn.append(path)
    # What is compiled has no checksum; an empty file is never right.
    torn += [path for path in glob.glob(f"{venv}/lib/**/*.pyc", recursive=True) if os.path.getsize(path) < 16]
    return torn[:20]


def same(path: str, checksum: str, size: int) -> bool:
    if not os.path.exists(path) or (size >= 0 and os.path.getsize(path) != size):
        return False
    with open(path, "rb") as stream:
        found = hashlib.sha256(stream.read()).digest()
    return base64.urlsafe_b64encode(found).rstrip(b"=").decode() == checksum


def fill_space(leave_mb: int) -> None:
    """Take the space of the file system, but for so much."""
    status = os.statvfs("/srv")
    with open("/ballast", "ab") as stream:
        size = status.f_bavail * status.f_frsize - leave_mb * 2**20
        if size > 0:
            os.posix_fallocate(stream.fileno(), stream.tell(), size)
    if not leave_mb:  # the blocks that are kept for root are taken too: activations run as root
        with open("/ballast.root", "wb") as stream:
            try:
                while True:
                    stream.write(b"x" * 65536)
                    stream.flush()
            except OSError:
                pass


def fill_inodes(leave: int) -> None:
    """Take the inodes of the file system, but for so many."""
    number = os.statvfs("/srv").f_favail - leave
    folder = f"/ballast.d/{time.time():.0f}"
    os.makedirs(folder)
    with contextlib.suppress(OSError):  # others take some too
        for name in range(number):
            os.close(os.open(f"{folder}/{name}", os.O_CREAT | os.O_WRONLY))


def eat_memory(leave_mb: int) -> None:
    """Hold memory until there is only so much of it left for others, until killed."""
    with open("/proc/self/oom_score_adj", "w") as stream:
        stream.write("-1000")
    held = []
    while available_mb() > leave_mb:
        held.append(bytearray(os.urandom(4096) * 1024))
    print("eaten", flush=True)
    while True:
        time.sleep(60)


def available_mb() -> int:
    with open("/proc/meminfo") as stream:
        return next(int(line.split()[1]) // 1024 for line in stream if line.startswith("MemAvailable"))


def kill_for_memory(slot: str) -> None:
    """Have the kernel kill a slot's main process as it does when memory has run out."""
    process = run("systemctl", "show", "--property=MainPID", "--value", f"ringstand-shop@{slot}")
    with open(f"/proc/{process}/oom_score_adj", "w") as stream:
        stream.write("1000")
    with open("/proc/sysrq-trigger", "w") as stream:
        stream.write("f")
    deadline = time.monotonic() + 20
    while os.path.exists(f"/proc/{process}") and time.monotonic() < deadline:
        time.sleep(0.05)
    print("killed" if not os.path.exists(f"/proc/{process}") else "alive")


if __name__ == "__main__":
    verb, *rest = sys.argv[1:]
    if verb == "watch":
        watch()
    elif verb == "state":
        print(json.dumps(state()))
    elif verb == "settle":
        settle()
    elif verb == "kill":
        kill_for_memory(rest[0])
    else:
        {"space": fill_space, "inodes": fill_inodes, "memory": eat_memory}[verb](int(rest[0]))

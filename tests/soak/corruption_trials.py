"""Something of a backup is damaged, the next check must say so and name the file; mended, it must be content again."""

from __future__ import annotations

import random
import shlex
from collections.abc import Callable
from dataclasses import asdict, dataclass

from remote import Remote

BACKUPS = "/var/backups/ringstand"
FULL = f"find {BACKUPS}/pgbackrest/backup/main/2*F/ -type f"
KEY_CONFIG = "/etc/pgbackrest/conf.d/ringstand-key.conf"
ORIGINAL = "/var/tmp/original"
VERIFY = "ringstand backup --verify-only"
BACK_UP = "ringstand backup --full"
# kind, how it is damaged, where its files are found, the command that must notice
KINDS = (
    ("file of a backup", "flip", f"{FULL} ! -name 'backup.manifest*'", VERIFY),
    ("WAL segment", "flip", f"find {BACKUPS}/pgbackrest/archive -type f -path '*-*-*'", VERIFY),
    ("page of a table", "flip page", "", BACK_UP),
    ("WAL segment", "remove", "", VERIFY),
    ("file of a backup", "truncate", "", VERIFY),
    ("key of the repository", "change", f"echo {KEY_CONFIG}", VERIFY),
    ("dump", "flip", f"ls {BACKUPS}/dumps/shop/*.dump", VERIFY),
    ("pack of restic", "flip", f"find {BACKUPS}/restic/data -type f", VERIFY),
    ("WAL segment", "empty", "", VERIFY),
    ("manifest of a backup", "flip", f"{FULL} -name backup.manifest", VERIFY),
    ("dump", "truncate", "", VERIFY),
    ("pack of restic", "remove", "", VERIFY),
    ("file of a backup", "remove", "", VERIFY),
    ("WAL segment", "truncate", "", VERIFY),
    ("dump", "remove", "", VERIFY),
    ("pack of restic", "truncate", "", VERIFY),
    ("file of a backup", "empty", "", VERIFY),
    ("dump", "empty", "", VERIFY),
    ("index of restic", "flip", f"find {BACKUPS}/restic/index -type f", VERIFY),
    ("snapshot of restic", "flip", f"find {BACKUPS}/restic/snapshots -type f", VERIFY),
)
DAMAGE = '''
import os, random, sys
action, path, chance = sys.argv[1], sys.argv[2], random.Random(sys.argv[3])
size = os.path.getsize(path)
def flip(low, high):
    with open(path, "r+b") as stream:
        offset = chance.randrange(low, high)
        stream.seek(offset)
        byte = stream.read(1)[0]
        stream.seek(offset)
        stream.write(bytes([byte ^ chance.randrange(1, 256)]))
if action == "flip":
    flip(0, size)
elif action == "flip page":
    page = 8192 * chance.randrange(size // 8192)
    flip(page + 4096, page + 8192)  # rows, not the header, which holds no data of anybody
elif action == "truncate":
    os.truncate(path, chance.randrange(1, size))
elif action == "empty":
    os.truncate(path, 0)
elif action == "remove":
    os.unlink(path)
elif action == "change":
    text = open(path).read().rstrip("\\n")
    open(path, "w").write(text[:-1] + ("x" if text[-1] != "x" else "y") + "\\n")
'''


@dataclass(frozen=True)
class Trial:
    """One damage. ``code`` and ``named`` are of the check that followed, ``clean_code`` of the one after mending."""

    kind: str
    action: str
    file: str
    code: int
    named: bool
    clean_code: int
    passed: bool
    reason: str = ""


def prepare(remote: Remote) -> None:
    """A database worth keeping, a backup of everything, and a first verification without a fault."""
    psql = "runuser -u postgres -- psql -XAtq -h /run/postgresql"
    remote.must(
        f"{psql} -c 'DROP DATABASE IF EXISTS shop' -c 'CREATE DATABASE shop'\n"
        f"{psql} -d shop -c \"CREATE TABLE ballast AS "
        "SELECT n, md5(n::text) AS text FROM generate_series(1, 50000) n\" -c 'VACUUM (FREEZE, ANALYZE) ballast' "
        "-c CHECKPOINT\n"
        f"{BACK_UP}"
    )


def run(
    remote: Remote, count: int, chance: random.Random, say: Callable[[str], None], first: int = 0
) -> list[Trial]:
    """Damage ``count`` things, one kind after the other from ``first`` on; file, place and value are random."""
    finders = {kind: finder for kind, _action, finder, _command in KINDS if finder}
    trials = []
    for number in range(first, first + count):
        kind, action, _finder, command = KINDS[number % len(KINDS)]
        path = page_file(remote) if action == "flip page" else chosen(remote, finders[kind], chance)
        trial = one(remote, kind, action, path, command, chance)
        trials.append(trial)
        say(f"{number + 1}: {'passed' if trial.passed else 'FAILED'} {action} {kind} {path} {trial.reason}")
    return trials


def clean_cycles(remote: Remote, count: int, say: Callable[[str], None]) -> list[str]:
    """Backups with all their checks while pgbench writes, every fifth followed by a drill; returns the false alarms."""
    pgbench = "$(ls -d /usr/lib/postgresql/*/bin)/pgbench"
    remote.must(f"setpriv --reuid=postgres --regid=postgres --init-groups {pgbench} -iqs 5 -h /run/postgresql\n"
                "systemd-run --quiet --collect --unit=clean-load --property=User=postgres "
                f"{pgbench} -n -c 2 -R 50 -T 7200 -h /run/postgresql")
    alarms = []
    try:
        for number in range(1, count + 1):
            commands = ["ringstand backup"] + (["ringstand drill"] if number % 5 == 0 else [])
            for command in commands:
                done = remote.run(command)
                if done.code:
                    alarms.append(f"cycle {number}, {command}: {done.output[-1000:]}")
            say(f"clean cycle {number} of {count}: {len(alarms)} false alarms so far")
    finally:
        remote.must("systemctl stop clean-load")
    return alarms


def chosen(remote: Remote, finder: str, chance: random.Random) -> str:
    # The very newest may still be being written, by an archiver that is at work.
    return chance.choice(sorted(path for path in remote.must(finder).splitlines() if not path.endswith(".tmp")))


def page_file(remote: Remote) -> str:
    query = "SELECT current_setting('data_directory') || '/' || pg_relation_filepath('ballast')"
    return remote.must(f"runuser -u postgres -- psql -XAtqw -h /run/postgresql -d shop -c {shlex.quote(query)}")


def one(remote: Remote, kind: str, action: str, path: str, command: str, chance: random.Random) -> Trial:
    name = shlex.quote(path)
    damage = f"python3 - {shlex.quote(action)} {name} {chance.random()} <<'END'\n{DAMAGE}\nEND"
    remote.must(f"cp -a {name} {ORIGINAL}\n{damage}")
    found = remote.run(command)
    # In place where there is a file: the cluster has its own open, and another hard link may exist.
    remote.must(f"if [ -e {name} ]; then cat {ORIGINAL} > {name}; else cp -a {ORIGINAL} {name}; fi; rm {ORIGINAL}")
    named = any(word in found.output for word in names_of(path))
    clean = remote.run(command)
    passed = found.code != 0 and named and clean.code == 0
    reason = "" if passed else f"exit {found.code}, then {clean.code}: {found.output[-700:]} // {clean.output[-700:]}"
    return Trial(kind, action, path, found.code, named, clean.code, passed, reason)


def names_of(path: str) -> list[str]:
    """How a report may name a file: by its path, or by the path below the repository or data directory."""
    for below in ("/backup/main/", "/archive/main/", "/restic/", "/dumps/"):
        if below in path:
            return [path, path.split(below, 1)[1]]
    if "/base/" in path:
        return [path, "base/" + path.split("/base/", 1)[1]]
    return [path]


def as_data(trials: list[Trial]) -> list[dict[str, object]]:
    return [asdict(trial) for trial in trials]

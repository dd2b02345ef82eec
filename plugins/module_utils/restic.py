# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every call of restic, which keeps the files that are not in a database.

The password comes from a file, never from an argument or the environment. Of a repository on this host restic keeps no
cache, which would only be another thing that fills the disk.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from .backup_problems import Problem
from .commands import Result, run
from .errors import RingstandError

DAY_SECONDS = 86_400.0
# By itself restic asks a place that does not answer for a quarter of an hour.
REACHED_SECONDS = 90.0
CACHE_DIR = "/var/cache/ringstand-restic"
# "backup" ends with 3 when the snapshot lacks files that could not be read (restic 0.10 and newer).
INCOMPLETE = 3
# restic 0.17 and newer; older ones end with 1 as for anything else.
NO_REPOSITORY = 10
# Everything in these directories is named by the SHA-256 of its own content.
_NAMED_BY_CONTENT = ("data", "index", "keys", "snapshots")


@dataclass(frozen=True)
class Repository:
    """A repository and the file that holds its password.

    ``directory`` is a directory of this host, or with ``remote`` what restic calls a location, such as ``s3:…``;
    ``options`` go before each command of restic, ``environment`` holds no secret.
    """

    directory: str
    password_file: str
    remote: bool = False
    options: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Snapshot:
    """One backup of one set of files. ``name`` is the set's, ``time`` as restic writes it (RFC 3339).

    ``host`` is what the one who made it called itself.
    """

    id: str
    name: str
    time: str
    paths: list[str]
    host: str = ""


def uncached(repository: Repository) -> Repository:
    """The same, of which nothing is kept on this host."""
    return replace(repository, options=[*repository.options, "--no-cache"])


def call(repository: Repository, *arguments: str, timeout_seconds: float = DAY_SECONDS) -> Result:
    """Run a command of restic as root; how it ended is the caller's to judge."""
    cache = [f"--cache-dir={CACHE_DIR}", "--cleanup-cache"] if repository.remote else ["--no-cache"]
    command = ["restic", *cache, "-r", repository.directory, "--password-file", repository.password_file]
    command += repository.options
    return run([*command, *arguments], timeout_seconds=timeout_seconds, environment=dict(repository.environment))


def _reason(result: Result) -> str:
    lines = [line.strip() for line in result.stderr.splitlines() if line.strip()]
    said = [line for line in lines if re.search(r"(?i)fatal|error|wrong|unable|no space", line)] or lines[-3:]
    return " / ".join(said[:4]) or "it gave no reason"


def _must(repository: Repository, verb: str, *arguments: str) -> Result:
    result = call(repository, *arguments)
    if result.rc != 0:
        raise RingstandError(
            f"Failed to {verb} {repository.directory}: {_reason(result)}", rc=result.rc, stderr=result.stderr
        )
    return result


# What is said of one that has not been made yet, and not of one that cannot be reached: sftp, S3, a directory.
_NO_REPOSITORY = re.compile(r"Is there a repository at the following location|repository does not exist")
_UNREACHABLE = re.compile(r"(?i)unable to start the sftp|ssh|connect|timeout|access.?denied|forbidden|host key|lookup")


def exists(repository: Repository) -> bool:
    """Whether something is there that is or was a repository.

    Raises :class:`RingstandError` when a remote one cannot be asked.
    """
    if repository.remote:
        return _exists_there(repository)
    return any(os.path.exists(os.path.join(repository.directory, name)) for name in ("config", "keys", "data"))


def _exists_there(repository: Repository) -> bool:
    result = call(repository, "cat", "config", "--no-lock", timeout_seconds=REACHED_SECONDS)
    if result.rc == 0:
        return True
    if result.rc == NO_REPOSITORY or (_NO_REPOSITORY.search(result.stderr) and not _UNREACHABLE.search(result.stderr)):
        return False
    raise RingstandError(
        f"Failed to read the restic repository {repository.directory}: {_reason(result)}",
        rc=result.rc, stderr=result.stderr,
    )


def ensure(repository: Repository) -> bool:
    """Make the repository when there is none; returns whether it did. What is there is never made anew."""
    if exists(repository):
        return False
    if not repository.remote:
        os.makedirs(repository.directory, mode=0o700, exist_ok=True)
    _must(repository, "make the restic repository", "init")
    return True


def back_up(
    repository: Repository, name: str, paths: Sequence[str], exclude: Sequence[str] = (), host: str = ""
) -> list[Problem]:
    """Take a snapshot of those of ``paths`` that exist, tagged ``name``; returns what it could not read.

    ``host`` is what this one calls itself, by default its name.

    A file that is removed while restic looks for it is no problem: it was on its way out.
    """
    present = [path for path in paths if os.path.lexists(path)]
    if not present:
        return []
    about = [f"--tag={name}", *([f"--host={host}"] if host else []), *(f"--exclude={path}" for path in exclude)]
    result = call(repository, "backup", "--quiet", *about, "--", *present)
    if result.rc == INCOMPLETE:
        errors = [line for line in result.stderr.splitlines() if line.startswith("error:")]
        if errors and all(line.rstrip().endswith("no such file or directory") for line in errors):
            return []
        return [Problem("files", name, f"the snapshot is not complete: {_reason(result)}")]
    if result.rc != 0:
        raise RingstandError(
            f"Failed to back up the files of {name!r}: {_reason(result)}", rc=result.rc, stderr=result.stderr
        )
    return []


def snapshots(repository: Repository) -> list[Snapshot]:
    """What the repository has, oldest first; raises :class:`RingstandError` when it cannot be read."""
    if not exists(repository):
        return []
    text = _must(repository, "read the restic repository", "snapshots", "--json", "--no-lock").stdout
    try:
        found = [
            Snapshot(item["id"], (item.get("tags") or [""])[0], item["time"], list(item["paths"]),
                     str(item.get("hostname") or ""))
            for item in json.loads(text) or []
        ]
        return sorted(found, key=lambda item: seconds(item.time))
    except (ValueError, KeyError, TypeError) as error:
        raise RingstandError(f"Failed to understand restic snapshots: {error!r}") from error


def seconds(time: str) -> float:
    """A snapshot's time, which is that of the zone of its host, as whole seconds since the epoch."""
    zone = re.search(r"[+-]\d\d:\d\d$", time)
    return datetime.fromisoformat(time[:19] + (zone[0] if zone else "+00:00")).timestamp()


def damaged(repository: Repository) -> list[Problem]:
    """The files whose content is not what their name says, found without the password."""
    found = []
    for part in _NAMED_BY_CONTENT:
        for directory, _names, files in os.walk(os.path.join(repository.directory, part)):
            for name in files:
                path = os.path.join(directory, name)
                if re.fullmatch(r"[0-9a-f]{64}", name) and file_sha256(path) != name:
                    found.append(Problem("verify", path, "the file is damaged: its SHA-256 is not its name", True))
    return found


def recorded(repository: Repository) -> dict[str, str]:
    """What is there now and must stay until the next :func:`forget`, as paths with the sum of ``config``."""
    found = {}
    for part in ("index", "snapshots"):
        folder = os.path.join(repository.directory, part)
        found.update({os.path.join(folder, name): "" for name in (os.listdir(folder) if os.path.isdir(folder) else [])})
    config = os.path.join(repository.directory, "config")
    return {**found, **({config: file_sha256(config)} if os.path.exists(config) else {})}


def differing(known: Mapping[str, str], repository: Repository, consistent: bool) -> list[Problem]:
    """What of ``known`` is gone or changed: restic does not miss a snapshot, nor name a lost index or its config.

    An index that is gone from a ``consistent`` repository was written anew, by restic itself.
    """
    now, problems = recorded(repository), []
    for path, digest in sorted(known.items()):
        if path not in now and not (consistent and "/index/" in path):
            problems.append(Problem("verify", path, "the file is missing", True))
        elif now.get(path, digest) != digest:
            problems.append(Problem("verify", path, "the file is not what it was when it was verified", True))
    return problems


def check(repository: Repository, share: str = "") -> list[Problem]:
    """Read everything in the repository and judge it: each damaged file by its path, then what restic itself says.

    With ``share``, such as "2/7", only that part of the data is read; what refers to it is looked at in any case.
    """
    if not exists(repository):
        return []
    problems = [] if share else damaged(repository)
    result = call(repository, "check", f"--read-data-subset={share}" if share else "--read-data")
    if result.rc != 0 or "no errors were found" not in result.stdout + result.stderr:
        missing = set(re.findall(r"\bpack ([0-9a-f]{64}): does not exist", result.stdout + result.stderr))
        paths = [os.path.join(repository.directory, "data", pack[:2], pack) for pack in sorted(missing)]
        problems += [Problem("verify", path, "the file is missing", True) for path in paths]
        if not problems:
            problems.append(Problem("verify", repository.directory, f"restic check says: {_reason(result)}", True))
    return problems


def forget(repository: Repository, days: int, keep: Sequence[str] = ()) -> None:
    """Remove snapshots older than ``days`` before the newest of the same name, and the data that only they used.

    Of a name that would lose one of the snapshots ``keep`` (identifiers) nothing is removed.
    """
    policy = ["--group-by=tags", f"--keep-within={days}d", "--prune"]
    there = snapshots(repository) if keep else []
    held = names_held(there, days, keep)
    if held:
        others = sorted({snapshot.name for snapshot in there} - held)
        if not others:
            return
        policy += [f"--tag={name}" for name in others]
    _must(repository, "remove old snapshots from", "forget", "--quiet", *policy)


def names_held(there: Sequence[Snapshot], days: int, keep: Sequence[str]) -> set[str]:
    """The names of which one of ``keep`` is too old, by a day less than ``days``, for whatever zone it was made in."""
    day = {snapshot.id: datetime.fromisoformat(snapshot.time[:10]) for snapshot in there}
    held = set()
    for snapshot in there:
        newest = max(day[other.id] for other in there if other.name == snapshot.name)
        if snapshot.id in keep and (newest - day[snapshot.id]).days >= days - 1:
            held.add(snapshot.name)
    return held


def unlock(repository: Repository) -> None:
    """Remove locks of processes that have died; only for the holder of the lock of backups and restores."""
    _must(repository, "unlock", "unlock", "--quiet")


def restore(
    repository: Repository, snapshot: str, target: str, include: Sequence[str] = (), verify: bool = False,
    exclude: Sequence[str] = (),
) -> None:
    """Restore a snapshot (an id) below ``target``: only what lies under the paths ``include``, or all but ``exclude``.

    With ``verify`` everything is read from the disk again and compared with the snapshot.
    """
    _must(
        repository, f"restore the snapshot {snapshot} from", "restore", snapshot, f"--target={target}",
        *(f"--include={path}" for path in include), *(f"--exclude={path}" for path in exclude),
        *(["--verify"] if verify else []),
    )


def restored_bytes(repository: Repository, snapshot: str) -> int:
    """What a snapshot takes once it is restored; raises :class:`RingstandError`."""
    answer = _must(repository, "measure a snapshot of", "stats", "--json", "--no-lock", "--mode=restore-size", snapshot)
    try:
        return int(json.loads(answer.stdout)["total_size"])
    except (ValueError, KeyError, TypeError) as error:
        raise RingstandError(f"Failed to understand restic stats: {error!r}") from error


def file_sha256(path: str) -> str:
    """The SHA-256 of a file in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()

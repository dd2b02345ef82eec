# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every call of pgBackRest, and what its words mean.

Its exit status is not enough: ``verify`` ends with 0 on a corrupt repository, and ``backup`` on pages whose checksum is
wrong (seen with 2.45 and 2.55). All commands run as the cluster's owner: a file that root made in the repository stops
the archiving of WAL.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from . import backup_ssh
from .backup_problems import Problem
from .commands import Result, run
from .errors import RingstandError

CONFIG_PATH = "/etc/pgbackrest/pgbackrest.conf"
KEY_CONFIG_PATH = "/etc/pgbackrest/conf.d/ringstand-key.conf"
OWNER = "postgres"
# Not runuser: it opens a session, of which the journal has two lines for every call.
AS_OWNER = ("setpriv", f"--reuid={OWNER}", f"--regid={OWNER}", "--init-groups", "env", "--chdir=/", "HOME=/nonexistent")
# A backup or restore may take as long as it takes; this only ends what hangs for good.
DAY_SECONDS = 86_400.0
SHORT_SECONDS = 300.0
# The first version whose command verify is documented; 2.37 (Ubuntu 22.04) has none.
VERIFY_VERSION = (2, 45)
SHOWN_PROBLEMS = 20
# Codes of the status of a stanza in "info": https://pgbackrest.org/command.html#command-info
MISSING_STANZA = (1, 3)
UNREADABLE = 99
# What pgBackRest ends with when it cannot connect; here it has not been asked at all.
NOT_MOUNTED = 49
# Reasons of "info" that are none of the files': the way to the repository, or who may go it.
_CONNECTION = re.compile(r"\[(?:Service|HostConnect|FileOpen|Protocol)Error\]")


@dataclass(frozen=True)
class Stanza:
    """What pgBackRest calls the backups of one cluster in one repository.

    ``repository`` is where that is, for people or, of the one on this host, its directory. ``config`` is a
    configuration file of its own, empty for the one that the server archives with. ``mounts`` is the directory of
    another host that has to be mounted for it, empty for none.
    """

    name: str
    repository: str
    config: str = ""
    mounts: str = ""


@dataclass(frozen=True)
class Backup:
    """One backup in the repository. Times are seconds since the epoch, sizes are bytes.

    ``kind`` is full, diff or incr; ``error`` tells of pages whose checksum was wrong; ``repository_size`` is what this
    backup itself added to the repository. ``database_id`` is the end of the archive's name: 1 in "17-1".
    """

    label: str
    kind: str
    started: int
    finished: int
    error: bool
    size: int
    repository_size: int
    wal_start: str
    wal_stop: str
    prior: str | None = None
    database_id: int = 1


@dataclass(frozen=True)
class Information:
    """What ``pgbackrest info`` says: ``backups`` oldest first; ``archives`` maps "17-1" to its first and last WAL.

    ``archive`` is the one that WAL goes to now, also while it has none. ``systems`` has the cluster of each archive:
    its system identifier, which a major upgrade changes, and a way back from it brings back.
    """

    exists: bool
    message: str = ""
    backups: list[Backup] = field(default_factory=list)
    archives: dict[str, tuple[str, str]] = field(default_factory=dict)
    archive: str = ""
    systems: dict[str, str] = field(default_factory=dict)

    @property
    def system(self) -> str:
        """The cluster that WAL is taken from now; empty without a stanza."""
        return self.systems.get(self.archive, "")

    @property
    def good(self) -> list[Backup]:
        """Those without an error, oldest first."""
        return [backup for backup in self.backups if not backup.error]


def call(stanza: Stanza, *arguments: str, timeout_seconds: float = SHORT_SECONDS) -> Result:
    """Run a command of pgBackRest as the cluster's owner; its log goes to standard error, its result to output."""
    if stanza.mounts and not backup_ssh.is_mounted():
        return Result(NOT_MOUNTED, "", f"ERROR: {backup_ssh.absence(stanza.mounts)}")
    return run(_command(stanza, *arguments), timeout_seconds=timeout_seconds)


def _command(stanza: Stanza, *arguments: str) -> list[str]:
    command = [*AS_OWNER, "pgbackrest", f"--stanza={stanza.name}"]
    command += [f"--config={stanza.config}"] if stanza.config else []
    logs = [] if any(item.startswith("--log-level-stderr") for item in arguments) else ["--log-level-stderr=warn"]
    return [*command, "--log-level-console=off", *logs, *arguments]


def reason(result: Result) -> str:
    """Why a command failed, from what it wrote."""
    lines = [line for line in (result.stderr or result.stdout).splitlines() if line.strip()]
    errors = [index for index, line in enumerate(lines) if "ERROR:" in line]
    said = lines[errors[0] : errors[0] + 4] if errors else lines[-3:]
    return " ".join(re.sub(r"^\S+ \S+ P\d+ +", "", line).strip() for line in said) or "it gave no reason"


def listing(stanza: Stanza, folder: str) -> dict[str, dict[str, Any]]:
    """The files below ``folder`` of the repository, by their paths there: ``size`` in bytes, ``time`` since the epoch.

    Raises :class:`RingstandError`.
    """
    result = call(stanza, "repo-ls", "--recurse", "--output=json", folder)
    if result.rc != 0:
        raise RingstandError(f"Failed to list {stanza.repository}: {reason(result)}")
    return parse_listing(result.stdout)


def digest(stanza: Stanza, name: str) -> str:
    """SHA-256 of a file of the repository as it is there; raises :class:`RingstandError` when it cannot be read."""
    if stanza.mounts and not backup_ssh.is_mounted():
        raise RingstandError(f"Failed to read {name}: {backup_ssh.absence(stanza.mounts)}")
    try:
        done = subprocess.run(
            _command(stanza, "repo-get", "--raw", name), stdin=subprocess.DEVNULL, capture_output=True,
            timeout=SHORT_SECONDS, check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RingstandError(f"Failed to read {name} in {stanza.repository}: {error}") from error
    if done.returncode != 0:
        said = reason(Result(done.returncode, "", done.stderr.decode(errors="replace")))
        raise RingstandError(f"Failed to read {name} in {stanza.repository}: {said}", rc=done.returncode)
    return hashlib.sha256(done.stdout).hexdigest()


def parse_listing(text: str) -> dict[str, dict[str, Any]]:
    """The files in the output of ``repo-ls --output=json``."""
    return {name: item for name, item in json.loads(text).items() if item["type"] == "file"}


def _must(stanza: Stanza, verb: str, *arguments: str, timeout_seconds: float = SHORT_SECONDS) -> Result:
    result = call(stanza, *arguments, timeout_seconds=timeout_seconds)
    if result.rc != 0:
        raise RingstandError(
            f"Failed to {verb} {stanza.name!r}: {reason(result)}", rc=result.rc, stderr=result.stderr
        )
    return result


def version() -> tuple[int, ...]:
    """The installed version, such as (2, 55, 1); raises :class:`RingstandError` when it is not installed."""
    result = run([*AS_OWNER, "pgbackrest", "version"])
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", result.stdout)
    if result.rc != 0 or not found:
        raise RingstandError(f"Failed to find pgBackRest: {reason(result)}. Install the package pgbackrest")
    return tuple(int(part) for part in found.groups() if part)


def parse_information(text: str, name: str, config: str = "") -> Information:
    """What the text of ``info --output=json`` says about a stanza; ``config`` is the file that was used."""
    try:
        # With the wrong key the message quotes what it took for text, line breaks and all.
        stanzas = [item for item in json.loads(text, strict=False) if item["name"] == name]
        if not stanzas:
            return Information(False, "there is no stanza of this name")
        data = stanzas[0]
        if data["status"]["code"] in MISSING_STANZA:
            return Information(False, str(data["status"]["message"]))
        if data["status"]["code"] == UNREADABLE:
            said = " ".join(str(item["status"]["message"]).partition("\n")[0] for item in data["repo"])
            if _CONNECTION.search(said):
                raise RingstandError(f"Failed to read the backups of {name!r}: {said}")
            raise RingstandError(
                f"Failed to read the backups of {name!r}: {said}. Either these files are damaged, or "
                f"{config or KEY_CONFIG_PATH} does not hold the key that they were made with"
            )
        backups = [_backup(item) for item in data["backup"]]
        archives = {item["id"]: (item["min"], item["max"]) for item in data["archive"] if item.get("min")}
        known = sorted(data.get("db") or [], key=lambda item: int(item["id"]))
        systems = {f"{item['version']}-{item['id']}": str(item.get("system-id", "")) for item in known}
        archive = next(reversed(systems), "")
        return Information(True, str(data["status"]["message"]), backups, archives, archive, systems)
    except (ValueError, KeyError, TypeError) as error:
        raise RingstandError(f"Failed to understand pgbackrest info: {error!r}", stdout=text[:2000]) from error


def _backup(item: dict[str, Any]) -> Backup:
    return Backup(
        label=item["label"],
        kind=item["type"],
        started=int(item["timestamp"]["start"]),
        finished=int(item["timestamp"]["stop"]),
        error=bool(item.get("error")),
        size=int(item["info"]["size"]),
        repository_size=int(item["info"]["repository"]["delta"]),
        wal_start=str(item["archive"]["start"]),
        wal_stop=str(item["archive"]["stop"]),
        prior=item.get("prior"),
        database_id=int(item["database"]["id"]),
    )


def information(stanza: Stanza) -> Information:
    """The backups and the WAL that the repository has; no stanza is an answer, not a failure."""
    answer = _must(stanza, "read the backups of", "info", "--output=json")
    return parse_information(answer.stdout, stanza.name, stanza.config)


def create(stanza: Stanza) -> None:
    """Make the stanza, or leave the one that fits; the cluster has to run."""
    first = call(stanza, "stanza-create")
    if first.rc != 0:
        if _HALF_MADE.search(first.stderr):
            _remove_half(stanza)
        _must(stanza, "create the stanza", "stanza-create")


# What a connection leaves that was cut between the two; pgBackRest then refuses for ever.
_HALF_MADE = re.compile(r"(?:archive|backup)\.info exists but (?:archive|backup)\.info is missing")


def _remove_half(stanza: Stanza) -> None:
    """Remove the info files of a stanza that has nothing else: neither WAL nor a backup."""
    for part in ("archive", "backup"):
        folder = f"{part}/{stanza.name}"
        listed = call(stanza, "repo-ls", "--recurse", "--output=json", folder)
        names = [name for name, item in json.loads(listed.stdout or "{}").items() if item["type"] == "file"]
        if listed.rc != 0 or any(name.removesuffix(".copy") != f"{part}.info" for name in names):
            return
        for name in names:
            _must(stanza, "repair the stanza", "repo-rm", f"{folder}/{name}")


def adopt(stanza: Stanza) -> None:
    """Let a stanza that exists take the cluster, whichever it was made for; what it has stays."""
    if call(stanza, "stanza-create").rc != 0:
        upgrade(stanza)


def upgrade(stanza: Stanza) -> None:
    """Let the stanza know the cluster's new major version, or the one that it went back to, or another cluster.

    The cluster has to run.
    """
    _must(stanza, "upgrade the stanza", "stanza-upgrade")


def lags(there: Information, here: Information) -> bool:
    """Whether a stanza elsewhere knows another cluster than this host's own, which has followed it in an upgrade."""
    return bool(here.system and there.system and there.system != here.system)


def check(stanza: Stanza) -> None:
    """Prove that a WAL segment gets from the cluster into the repository."""
    _must(stanza, "archive WAL of", "check")


def back_up(stanza: Stanza, kind: str) -> tuple[Backup, list[Problem]]:
    """Take a backup of ``kind`` full or diff; returns it and the files in which pages have a wrong checksum.

    Nothing is expired. Raises :class:`RingstandError` when it fails.
    """
    _must(stanza, "back up", "--no-expire-auto", f"--type={kind}", "backup", timeout_seconds=DAY_SECONDS)
    backups = information(stanza).backups
    if not backups:
        raise RingstandError(f"Failed to back up {stanza.name!r}: the repository does not list the new backup")
    return backups[-1], page_problems(stanza, backups[-1])


def page_problems(stanza: Stanza, backup: Backup) -> list[Problem]:
    """The files of the cluster in which a backup found pages with a wrong checksum."""
    if not backup.error:
        return []
    answer = call(stanza, "info", "--output=json", f"--set={backup.label}")
    files = []
    if answer.rc == 0:
        try:
            files = [str(name) for item in json.loads(answer.stdout)[0]["backup"] for name in item["error-list"] or []]
        except (ValueError, KeyError, IndexError, TypeError):
            files = []
    reason = f"the backup {backup.label} found pages with a wrong checksum: the cluster's own data is damaged"
    return [Problem("postgresql", name, reason, True) for name in files or ["a file of the cluster"]]


# "invalid checksum '20261121-120317F/bundle/1'", "file missing '…/pg_data/base/1/112.zst'",
# "invalid result 17-1/0000000100000000/00000001….zst: [29] raised from local-1 protocol: zst error …"
_NAMED = re.compile(r"\b(invalid (?:checksum|size|result)|file missing)\s+'?([^\s':]+)")
_COUNTED = re.compile(r"\b(missing|checksum invalid|size invalid|other): (\d+)")
_NAMED_BACKUP = re.compile(r"\bbackup: (\S+), status: ([^,]+)")


def parse_verify(text: str) -> list[Problem]:
    """The problems in all that ``verify`` wrote, log and result together; each has the file as verify names it."""
    found: dict[str, Problem] = {}
    scope = ""
    for line in text.splitlines():
        named = _NAMED.search(line)
        if named:
            found.setdefault(named[2], Problem("verify", named[2], named[1], True))
            continue
        archive, backup = re.search(r"\barchiveId: ([^\s,]+)", line), _NAMED_BACKUP.search(line)
        if archive or backup:
            scope = (archive or backup)[1]  # type: ignore[index]
        if backup and backup[2] != "valid" and not any(name.startswith(scope) for name in found):
            found[scope] = Problem("verify", scope, f"verify says that it is {backup[2]}", True)
        counts = {what: int(number) for what, number in _COUNTED.findall(line) if int(number)}
        if counts and not any(name.startswith(scope) for name in found):
            said = ", ".join(f"{what} {number}" for what, number in counts.items())
            found[scope] = Problem("verify", scope, f"verify counted: {said}", True)
        if re.search(r"\b(ERROR|WARN):", line):
            said = re.sub(r"^.*?(?:ERROR|WARN): *", "", line)
            found.setdefault(said, Problem("verify", "", said, True))
    return _shortened(list(found.values()))


def _shortened(problems: list[Problem]) -> list[Problem]:
    """One file of the repository can hold a thousand of the cluster, each of which verify names."""
    if len(problems) <= SHOWN_PROBLEMS:
        return problems
    more = f"and {len(problems) - SHOWN_PROBLEMS} files more"
    return [*problems[:SHOWN_PROBLEMS], Problem("verify", "", more, True)]


def verify(stanza: Stanza) -> list[Problem] | None:
    """Read the whole repository and judge it; None when the installed version cannot.

    It does not see a WAL segment that is gone, nor damage in manifests, info and history files: see backup_checksums.
    """
    if version() < VERIFY_VERSION:
        return None
    result = call(stanza, "--log-level-stderr=info", "verify", timeout_seconds=DAY_SECONDS)
    text = f"{result.stderr}\n{result.stdout}"
    problems = parse_verify(text)
    if result.rc != 0 and not problems:
        problems.append(Problem("verify", "", f"verify ended with {result.rc}: {reason(result)}", True))
    if not problems and re.search(r"\bstatus: error\b", text):
        problems.append(Problem("verify", "", "verify says that the repository has an error", True))
    return problems


def expire(stanza: Stanza, full_count: int = 0) -> None:
    """Remove what is older than the retention in the configuration allows, or than ``full_count`` full backups."""
    kept = [f"--repo1-retention-full={full_count}"] if full_count else []
    _must(stanza, "expire backups of", *kept, "expire", timeout_seconds=DAY_SECONDS)


def restore(stanza: Stanza, arguments: Sequence[str] = ()) -> Result:
    """Restore into the (stopped) cluster's data directory with the given options, such as ``--type=time``.

    Raises :class:`RingstandError` when it fails.
    """
    return _must(stanza, "restore", *arguments, "restore", timeout_seconds=DAY_SECONDS)

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A record of the repository's files and their sums, which finds what pgBackRest's own ``verify`` passes over.

Seen with 2.45 and 2.55: ``verify`` says nothing of a WAL segment that is gone, nor of damaged or missing manifests,
info and history files. All files but the info files stay as they were written, so their sums must stay as well. A new
file is recorded only once ``verify`` had nothing against it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from .backup_problems import Problem
from .errors import RingstandError
from .ledger import utc
from .pgbackrest import Backup, Information
from .releases import write_durably
from .restic import file_sha256

SCHEMA = 1
_SUM = "sum/"
_INFO = ("archive.info", "backup.info")
_WAL = re.compile(r"archive/[^/]+/\d+-(\d+)/[0-9A-F]{16}/[0-9A-F]{8}([0-9A-F]{8})([0-9A-F]{8})(-[0-9a-f]{40}|\.).*")
_TIMELINE = re.compile(r"archive/[^/]+/\d+-(\d+)/(?:[0-9A-F]{16}/)?([0-9A-F]{8})(?:[0-9A-F]{16}[-.].*|\.history)")
_LABEL = re.compile(r"backup/[^/]+/(\d{8}-\d{6}F[^/]*)/.*")
# Segments of 16 MB in one "log" of 4 GB: https://www.postgresql.org/docs/17/wal-internals.html
SEGMENTS_PER_LOG = 256


@dataclass(frozen=True)
class Comparison:
    """``files`` are all that are there with their sums; ``problems`` are those that are not as recorded."""

    files: dict[str, str]
    problems: list[Problem]

    def trusted(self, known: Mapping[str, str], suspects: list[Problem]) -> dict[str, str]:
        """The record for next time: what was known stays, new files join unless one of ``suspects`` names them."""
        named = [problem.file for problem in suspects if problem.file]
        bad = {problem.file for problem in self.problems}
        bad |= {f"{_SUM}{name}" for name in bad}
        new = {
            path: digest
            for path, digest in self.files.items()
            if path in known or not (path in bad or any(path.endswith(name) or name in path for name in named))
        }
        # A file that is damaged or missing keeps its recorded sum, so that every run reports it.
        return {**new, **{path: known[path] for path in bad if path in known}}


def load(path: str, repository: str) -> dict[str, str]:
    """The recorded sums; none when there is no record of this repository yet."""
    try:
        with open(path, encoding="utf-8") as stream:
            data = json.load(stream)
        ours = (data["schema"], data["repository"]) == (SCHEMA, repository)
        return dict(data["files"]) if ours else {}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RingstandError(f"Failed to read {path}: {error}. Remove it: the next run makes it anew") from error


def save(path: str, repository: str, files: Mapping[str, str]) -> None:
    """Write the record durably."""
    record = {"schema": SCHEMA, "repository": repository, "files": files}
    write_durably(path, json.dumps(record, sort_keys=True), mode=0o600)


def compare(repository: str, known: Mapping[str, str], information: Information) -> Comparison:
    """Read every file of a repository and compare it with the record.

    A recorded file may be gone when its backup expired, or, WAL, when it is older than the oldest backup.
    """
    files: dict[str, str] = {}
    empty = []
    for path in _paths(repository):
        try:
            digest = file_sha256(os.path.join(repository, path))
        except FileNotFoundError:
            continue
        files[path] = digest
        if os.path.getsize(os.path.join(repository, path)) == 0:
            empty.append(path)
    problems = [Problem("verify", path, "the file is empty", True) for path in empty]
    problems += _changed({path: files[path] for path in files if path not in empty}, known)
    problems += _info_problems(files, known) + _missing(files, known, information)
    return Comparison(files, problems)


def compare_listing(sizes: Mapping[str, str], known: Mapping[str, str], information: Information) -> Comparison:
    """As :func:`compare` with sizes instead of sums, of a repository that is not read as a whole every night.

    Of those that verify passes over both have a sum as well, as ``sum/<path>``.
    """
    sums = {path: digest for path, digest in sizes.items() if path.startswith(_SUM)}
    files = {path: size for path, size in sizes.items() if path not in sums}
    problems = [Problem("verify", path, "the file is empty", True) for path, size in files.items() if size == "0"]
    problems += _changed({path: size for path, size in files.items() if size != "0"}, known)
    problems += _missing(files, {path: size for path, size in known.items() if not path.startswith(_SUM)}, information)
    named = {problem.file for problem in problems}
    plain, before = ({path[len(_SUM):]: digest for path, digest in of.items() if path.startswith(_SUM)}
                     for of in (sizes, known))
    problems += [item for item in _changed(plain, before) + _info_problems(plain, before) if item.file not in named]
    return Comparison(dict(sizes), problems)


def unverified(path: str) -> bool:
    """Whether pgBackRest's verify passes over a file that a restore needs."""
    name = os.path.basename(path).replace(".copy", "")
    return _is_info(path) or name == "backup.manifest" or (name.endswith(".history") and path.startswith("archive/"))


def _changed(files: Mapping[str, str], known: Mapping[str, str]) -> list[Problem]:
    reason = "the file is not what it was when it was verified"
    changed = (path for path in files if not _is_info(path) and known.get(path, files[path]) != files[path])
    return [Problem("verify", path, reason, True) for path in changed]


def _missing(files: Mapping[str, str], known: Mapping[str, str], information: Information) -> list[Problem]:
    gone = (path for path in sorted(known.keys() - files.keys()) if not _expired(path, information))
    return [Problem("verify", path, "the file is missing", True) for path in gone]


def _paths(repository: str) -> Iterator[str]:
    for directory, _names, files in os.walk(repository):
        for name in sorted(files):
            path = os.path.join(directory, name)
            if not name.endswith(".pgbackrest.tmp") and not os.path.islink(path):
                yield os.path.relpath(path, repository)


def _is_info(path: str) -> bool:
    return os.path.basename(path).replace(".copy", "") in _INFO


def _info_problems(files: Mapping[str, str], known: Mapping[str, str]) -> list[Problem]:
    """Each info file has a copy: they change, but never apart from each other."""
    problems = []
    for path in sorted({path[: -len(".copy")] if path.endswith(".copy") else path for path in files if _is_info(path)}):
        pair = (path, f"{path}.copy")
        if all(name in files for name in pair) and files[pair[0]] == files[pair[1]]:
            continue
        changed = [name for name in pair if files.get(name) != known.get(name, files.get(name))] or list(pair)
        for name in changed:
            reason = "it is not the same as its copy" if name in files else "the file is missing"
            problems.append(Problem("verify", name, reason, True))
    return problems


def _expired(path: str, information: Information) -> bool:
    label, wal, timeline = _LABEL.fullmatch(path), _WAL.fullmatch(path), _TIMELINE.fullmatch(path)
    if label:
        return label[1] not in {backup.label for backup in information.backups}
    if timeline:  # restores have left it, and no backup of it is there any more: it goes as a whole
        lines = [backup.wal_start[:8] for backup in information.backups if backup.database_id == int(timeline[1])]
        if timeline[2] < min(lines, default="F"):
            return True
    if wal:
        starts = [backup.wal_start for backup in information.backups if backup.database_id == int(wal[1])]
        return not starts or wal[2] + wal[3] < min(start[8:] for start in starts)
    return False


def gaps(files: Mapping[str, str], information: Information, segments_per_log: int = SEGMENTS_PER_LOG) -> list[Problem]:
    """WAL segments that are missing between the oldest backup's first and the newest: no restore gets past them."""
    archived: dict[int, dict[int, str]] = {}
    for path in files:
        wal = _WAL.fullmatch(path)
        if wal and wal[4] != ".":
            position = int(wal[2], 16) * segments_per_log + int(wal[3], 16)
            archived.setdefault(int(wal[1]), {})[position] = path
    problems = []
    for identity, positions in archived.items():
        starts = [backup.wal_start for backup in information.backups if backup.database_id == identity]
        if not starts:
            continue
        first = min(int(start[8:16], 16) * segments_per_log + int(start[16:], 16) for start in starts)
        for start, end in _ranges(sorted(set(range(first, max(positions))) - positions.keys())):
            names = [f"????????{one // segments_per_log:08X}{one % segments_per_log:08X}" for one in (start, end)]
            which = " to ".join(names[: 1 if start == end else 2])
            what = "this WAL segment" if start == end else f"these {end - start + 1} WAL segments"
            reason = f"the archive lacks {what} (of any timeline): no point in time after it can be restored"
            problems.append(Problem("verify", f"archive: {which}", reason, True))
    return problems


def _ranges(numbers: list[int]) -> list[tuple[int, int]]:
    """Sorted numbers as runs without a hole, each by its first and last."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs


# Kept of backups that have expired, for people.
_OLD_MANIFESTS = "/backup.history/"
_GAP = re.compile(r"archive: \?{8}([0-9A-F]{16})(?: to \?{8}([0-9A-F]{16}))?")
# As the files are called here and by pgBackRest's verify, which leaves the folders above them out.
_A_SEGMENT = re.compile(r"(?:^|/)\d+-(\d+)/[0-9A-F]{16}/[0-9A-F]{8}([0-9A-F]{16})[-.]")
_A_HISTORY = re.compile(r"(?:^|/)\d+-(\d+)/([0-9A-F]{8})\.history$")
_A_BACKUP = re.compile(r"(?:^|/)(\d{8}-\d{6}F)(_[^/]*)?(?:/|$)")


def split(found: list[Problem], information: Information) -> tuple[list[Problem], list[Problem]]:
    """The problems as those that concern what a restore may need from now on, and those that only time can mend.

    The second lie before the newest full backup that has none itself, and go with the retention: they must not keep it
    from removing anything, or they would stay for ever.
    """
    fulls = [backup for backup in information.good if backup.kind == "full"]
    full = next((one for one in reversed(fulls) if not any(_touches(item, one) for item in found)), None)
    needed, ended = [], []
    for item in found:
        # Whoever reads it wants to know what is lost.
        if _OLD_MANIFESTS in item.file:
            ended.append(replace(item, reason=f"{item.reason}; no restore needs it"))
        elif full and _lies_before(item, full):
            lost = f"what needs it, all before {utc(full.finished)}, cannot be restored, and it goes with the retention"
            ended.append(replace(item, reason=f"{item.reason}; {lost}"))
        else:
            needed.append(item)
    return needed, ended


def _segments(problem: Problem, identity: int) -> tuple[str, str]:
    """The first and the last segment of a cluster that a problem is about; empty for none of it."""
    gap, segment = _GAP.fullmatch(problem.file), _A_SEGMENT.search(problem.file)
    if segment and int(segment[1]) == identity:
        return segment[2], segment[2]
    return (gap[1], gap[2] or gap[1]) if gap else ("", "")


def _touches(problem: Problem, full: Backup) -> bool:
    backup, (first, last) = _A_BACKUP.search(problem.file), _segments(problem, full.database_id)
    if backup:
        return backup[1] == full.label and not backup[2]
    return bool(first) and first <= full.wal_stop[8:] and last >= full.wal_start[8:]


def _lies_before(problem: Problem, full: Backup) -> bool:
    backup, last = _A_BACKUP.search(problem.file), _segments(problem, full.database_id)[1]
    if backup:
        return backup[1] < full.label
    archived = _A_SEGMENT.search(problem.file) or _A_HISTORY.search(problem.file)
    if archived and int(archived[1]) != full.database_id:
        return int(archived[1]) < full.database_id
    history = _A_HISTORY.search(problem.file)
    return history[2] < full.wal_start[:8] if history else bool(last) and last < full.wal_start[8:]

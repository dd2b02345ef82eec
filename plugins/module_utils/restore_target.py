# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which backup and which timeline bring a cluster back to a moment, decided from what the repository holds.

pgBackRest's own choice looks at clocks only. After a restore there are two timelines, and by clock alone the newest
backup may lie on the one that was left: PostgreSQL then refuses ("requested timeline is not a child"), or follows the
newest timeline although the moment belongs to an older one. So the choice is made here, and handed over explicitly.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone

from .errors import RingstandError
from .pgbackrest import Backup

LATEST = "latest"
SEGMENT_BYTES = 16 * 1024 * 1024  # PostgreSQL's default (initdb --wal-segsize), the only size the roles make
END_OF_TIME = 253_402_300_799.0  # 9999-12-31T23:59:59Z
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(:\d\d)?(\.\d{1,6})?\s*(Z|UTC|[+-]\d\d(?::?\d\d)?)?", re.IGNORECASE
)


@dataclass(frozen=True)
class Timeline:
    """One timeline: when it began, and where each of its ancestors was left, oldest first.

    Where that is not known exactly, it was after ``after`` and at ``born`` at the latest.
    """

    number: int
    born: float = 0.0
    ancestors: Sequence[tuple[int, int]] = ()
    after: float | None = None


@dataclass(frozen=True)
class Repository:
    """What can be restored: backups, timelines, and the time at which each WAL segment was archived."""

    backups: Sequence[Backup] = ()
    timelines: Sequence[Timeline] = ()
    segments: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Choice:
    """A backup, the timeline to follow from it, the segments to replay in order, and when the last was archived."""

    backup: Backup
    timeline: int
    segments: Sequence[str]
    last_archived: float

    @property
    def end_lsn(self) -> int:
        """Where the last segment ends."""
        return (segment_number(self.segments[-1]) + 1) * SEGMENT_BYTES

    def segments_from(self, position: int) -> Sequence[str]:
        """The segments that hold the WAL from a position (LSN in bytes) on."""
        skipped = position // SEGMENT_BYTES - segment_number(self.segments[0])
        return self.segments[max(skipped, 0):]


def parse_target(text: str, now: float) -> float | None:
    """The moment to restore to in seconds since the epoch; None for ``latest``. Raises :class:`RingstandError`."""
    wanted = text.strip()
    if wanted.lower() == LATEST:
        return None
    found = _TIME.fullmatch(wanted)
    example = iso(int(now))
    if not found:
        raise RingstandError(
            f"Failed to read --to {text!r}: write 'latest' or a time with its zone, such as {example!r}"
        )
    date, minutes, seconds, fraction, zone = found.groups()
    if zone is None:
        clock = f"{date}T{minutes}{seconds or ':00'}{fraction or ''}"
        offset = datetime.fromtimestamp(now).astimezone().strftime("%z")
        local = f"{clock}{offset[:3]}:{offset[3:5]}"
        raise RingstandError(
            f"Failed to read --to {text!r}: it names no zone. Write {clock + 'Z'!r} if that is UTC, "
            f"or {local!r} if it is this host's local time"
        )
    zone = "+00:00" if zone.upper() in ("Z", "UTC") else zone
    digits = zone.replace(":", "").ljust(5, "0")
    micro = (fraction or ".0").ljust(7, "0")
    try:
        moment = datetime.fromisoformat(f"{date}T{minutes}{seconds or ':00'}{micro}{digits[:3]}:{digits[3:]}")
    except ValueError as error:
        raise RingstandError(f"Failed to read --to {text!r}: {error}") from error
    if moment.timestamp() > now:
        raise RingstandError(f"Failed to restore to {text!r}: that is in the future; now is {example}")
    return moment.timestamp()


def iso(seconds: float) -> str:
    """Seconds since the epoch as ISO 8601 in UTC, with a fraction only when there is one."""
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds" if moment.microsecond else "seconds") + "Z"


def lsn(text: str) -> int:
    """A position in the WAL, as PostgreSQL writes it (0/2000028), in bytes."""
    high, low = text.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def segment_number(name: str) -> int:
    """The number of a segment, counted from the beginning of the WAL, whatever its timeline."""
    return int(name[8:16], 16) * (0x100000000 // SEGMENT_BYTES) + int(name[16:24], 16)


def segment_name(timeline: int, number: int) -> str:
    """The name of the file of a segment."""
    high, low = divmod(number, 0x100000000 // SEGMENT_BYTES)
    return f"{timeline:08X}{high:08X}{low:08X}"


def parse_history(text: str) -> list[tuple[int, int]]:
    """The ancestors in a history file: timeline, and where it was left."""
    found = []
    for line in text.splitlines():
        words = line.split("#")[0].split()
        if len(words) >= 2:
            found.append((int(words[0]), lsn(words[1])))
    return found


def choose(repository: Repository, target: float | None, complete: bool = False) -> Choice:
    """The newest backup from which everything up to ``target`` (None: everything) can be replayed.

    ``complete`` tells that nothing was written after what is in the archive, whatever the time of its last segment.
    Raises :class:`RingstandError` when no backup is old enough, WAL is missing, or the archive ends before.
    """
    wanted = "the latest state" if target is None else iso(target)
    if not repository.backups:
        raise RingstandError(f"Failed to restore to {wanted}: the repository holds no backup")
    timeline = _timeline_of(repository, target)
    usable = [backup for backup in repository.backups if _leads_to(backup, timeline)]
    early = [backup for backup in usable if target is None or backup.finished <= target]
    if not early:
        earliest = min(usable or repository.backups, key=lambda backup: backup.finished)
        last = max([*repository.segments.values(), earliest.finished])
        raise RingstandError(
            f"Failed to restore to {wanted}: no backup is that old. Between {iso(earliest.finished)} and {iso(last)} "
            "every moment can be restored"
        )
    # One that found damaged pages only when there is no other: from an older one the WAL repeats the same changes.
    backup = max(early, key=lambda one: (not one.error, one.finished, one.label))
    segments, missing = _walk(repository, backup, timeline)
    archived = repository.segments[segments[-1]] if segments else float(backup.finished)
    if not segments or segment_number(segments[-1]) < segment_number(backup.wal_stop):
        lost = missing or (segment_name(_timeline(backup), segment_number(segments[-1]) + 1) if segments else "")
        raise RingstandError(
            f"Failed to restore to {wanted}: the WAL segment {lost or backup.wal_start}, which the backup "
            f"{backup.label} cannot do without, is not in the archive",
            segment=lost or backup.wal_start,
        )
    if missing and (target is None or target > archived):
        raise RingstandError(
            f"Failed to restore to {wanted}: the WAL segment {missing} is missing in the archive, later ones are not. "
            f"What was before it can be restored: every moment between {iso(backup.finished)} and {iso(archived)}",
            segment=missing,
        )
    current = timeline.number == _timeline_of(repository, None).number
    if target is not None and target > archived and current and not complete:
        raise RingstandError(
            f"Failed to restore to {wanted}: the archive ends at about {iso(archived)}. "
            "To restore everything that was archived, use --to latest"
        )
    return Choice(backup, timeline.number, segments, archived)


def _timeline_of(repository: Repository, target: float | None) -> Timeline:
    """The timeline that was written to at a moment: of those that had begun by then the one that began last.

    Raises :class:`RingstandError` for a moment of which nobody can tell.
    """
    begun = [one for one in repository.timelines if target is None or one.born <= target]
    chosen = max(begun, key=lambda one: one.number, default=Timeline(1))
    for one in repository.timelines:
        if target is not None and one.number > chosen.number and one.after is not None and one.after < target:
            raise RingstandError(
                f"Failed to restore to {iso(target)}: the cluster was restored some time between {iso(one.after)} and "
                f"{iso(one.born)}, and the second repository, which got its WAL later, does not tell whether that was "
                f"before or after this moment. Nothing was changed. Choose {iso(one.after)} or a moment before it for "
                f"what was before that restore, or one from {iso(one.born)} on"
            )
    return chosen


def _timeline(backup: Backup) -> int:
    return int(backup.wal_start[:8], 16)


def _leads_to(backup: Backup, timeline: Timeline) -> bool:
    """Whether a backup was made on the timeline, or on an ancestor before that was left.

    A backup ends by switching to the next segment, so one that ends in the segment of the fork ended after the fork.
    """
    if _timeline(backup) == timeline.number:
        return True
    end = segment_number(backup.wal_stop)
    return any(_timeline(backup) == number and end < left // SEGMENT_BYTES for number, left in timeline.ancestors)


def _walk(repository: Repository, backup: Backup, timeline: Timeline) -> tuple[list[str], str]:
    """The segments that are there without a gap from the backup on, and the first one that is missing before others.

    The second is empty when nothing is missing.
    """
    begins: list[tuple[int, int]] = []  # (timeline, number of its first segment)
    first = 0
    for ancestor, left in timeline.ancestors:
        begins.append((ancestor, first))
        first = left // SEGMENT_BYTES
    begins.append((timeline.number, first))

    own = [segment_number(name) for name in repository.segments if int(name[:8], 16) == timeline.number]

    def present(number: int) -> str:
        owners = [line for line, begin in begins if number >= begin]
        # A timeline that has archived nothing yet begins in the middle of a segment that its ancestor has archived.
        names = [segment_name(line, number) for line in owners if line == owners[-1] or (not own and number == first)]
        return next((name for name in reversed(names) if name in repository.segments), "")

    number = segment_number(backup.wal_start)
    found: list[str] = []
    while present(number):
        found.append(present(number))
        number += 1
    if number < first or any(other > number for other in own):
        return found, segment_name(max(line for line, begin in begins if number >= begin), number)
    return found, ""

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which backup, timeline and WAL a restore takes for a moment, as tables."""

from __future__ import annotations

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import restore_repository
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.pgbackrest import (
    Backup,
    Information,
    Stanza,
    parse_listing,
)
from ansible_collections.ringstand.flask.plugins.module_utils.restore_repository import bounded
from ansible_collections.ringstand.flask.plugins.module_utils.restore_target import (
    SEGMENT_BYTES,
    Repository,
    Timeline,
    choose,
    iso,
    lsn,
    parse_history,
    parse_target,
    segment_name,
    segment_number,
)

NOW = 1795262559.5  # 2026-11-21T12:02:39.5Z


@pytest.mark.parametrize(("text", "expected"), [
    ("latest", None),
    (" Latest ", None),
    ("2026-11-21T12:02:39Z", 1795262559.0),
    ("2026-11-21 12:02:39.25Z", 1795262559.25),
    ("2026-11-21 12:02:39 UTC", 1795262559.0),
    ("2026-11-21T13:02:39+01:00", 1795262559.0),
    ("2026-11-21T13:02:39+01", 1795262559.0),
    ("2026-11-21T07:32:39-0430", 1795262559.0),
    ("2026-11-21 12:02z", 1795262520.0),
])
def test_a_time_is_read(text: str, expected: float | None) -> None:
    assert parse_target(text, NOW) == expected


@pytest.mark.parametrize(("text", "words"), [
    ("2026-11-21 12:02", "names no zone. Write '2026-11-21T12:02:00Z'"),
    ("2026-11-21T12:02:40Z", "in the future; now is 2026-11-21T12:02:39Z"),
    ("yesterday", "write 'latest' or a time with its zone"),
    ("2026-11-21", "write 'latest' or a time with its zone"),
    ("2026-13-21T12:02:40Z", "month must be in"),
    ("2026-11-21T25:02:40Z", "hour must be in"),
    ("2026-11-21T12:02:40Z; rm", "write 'latest'"),
    ("", "write 'latest'"),
])
def test_a_time_is_refused(text: str, words: str) -> None:
    with pytest.raises(RingstandError, match=r"Failed to re\w+") as caught:
        parse_target(text, NOW)
    assert words in caught.value.message


def test_names_of_segments_are_numbers() -> None:
    name = "0000000A00000001000000FF"
    assert segment_number(name) == 0x1FF
    assert segment_name(10, 0x1FF) == name
    assert segment_name(10, 0x200) == "0000000A0000000200000000"
    assert lsn("1/FF000028") // SEGMENT_BYTES == 0x1FF


def test_a_history_is_read() -> None:
    text = "1\t0/7000000\tno recovery target specified\n\n# note\n2\t0/9000100\tbefore 2026-11-21 11:59:00+00\n"
    assert parse_history(text) == [(1, 0x7000000), (2, 0x9000100)]


def test_a_listing_is_read() -> None:
    text = '{".":{"type":"path"},"00000001":{"type":"path"},"00000002.history":{"type":"file","size":64,"time":9}}'
    assert parse_listing(text) == {"00000002.history": {"type": "file", "size": 64, "time": 9}}


def backup(label: str, finished: int, segment: int, timeline: int = 1, error: bool = False) -> Backup:
    name = segment_name(timeline, segment)
    return Backup(label, "full", finished - 1, finished, error, 1, 1, name, name)


def segments(timeline: int, first: int, times: list[int]) -> dict[str, float]:
    return {segment_name(timeline, first + index): float(at) for index, at in enumerate(times)}


PLAIN = Repository(
    [backup("A", 100, 2), backup("B", 200, 5)],
    [Timeline(1)],
    segments(1, 1, [90, 100, 130, 160, 200, 230, 260]),
)
# At 300 restored to 150, which lies in segment 4: what came after on timeline 1 was left. C is the backup after that.
FORKED = Repository(
    [*PLAIN.backups, backup("C", 320, 6, timeline=2)],
    [Timeline(1), Timeline(2, 300.0, ((1, 4 * SEGMENT_BYTES + 500),))],
    {**PLAIN.segments, **segments(2, 4, [310, 315, 320, 350])},
)
# The same before there is any backup of timeline 2.
FRESH_FORK = Repository(PLAIN.backups, FORKED.timelines, {**PLAIN.segments, **segments(2, 4, [310])})
# And before it has archived anything.
SILENT_FORK = Repository(PLAIN.backups, FORKED.timelines, PLAIN.segments)


@pytest.mark.parametrize(("repository", "target", "label", "timeline", "last"), [
    (PLAIN, None, "B", 1, segment_name(1, 7)),
    (PLAIN, 200.0, "B", 1, segment_name(1, 7)),
    (PLAIN, 199.9, "A", 1, segment_name(1, 7)),
    (PLAIN, 260.0, "B", 1, segment_name(1, 7)),
    (FORKED, None, "C", 2, segment_name(2, 7)),
    (FORKED, 310.0, "A", 2, segment_name(2, 7)),
    (FORKED, 250.0, "B", 1, segment_name(1, 7)),
    (FORKED, 280.0, "B", 1, segment_name(1, 7)),
    (FRESH_FORK, None, "A", 2, segment_name(2, 4)),
    (SILENT_FORK, None, "A", 2, segment_name(1, 4)),
])
def test_a_backup_is_chosen(
    repository: Repository, target: float | None, label: str, timeline: int, last: str
) -> None:
    choice = choose(repository, target)
    assert (choice.backup.label, choice.timeline, choice.segments[-1]) == (label, timeline, last)


def test_the_way_changes_timeline_at_the_fork() -> None:
    names = choose(FORKED, 310.0).segments
    assert names == [segment_name(1, 2), segment_name(1, 3), *(segment_name(2, number) for number in (4, 5, 6, 7))]
    assert choose(FORKED, 310.0).end_lsn == 8 * SEGMENT_BYTES
    assert choose(FORKED, 310.0).segments_from(4 * SEGMENT_BYTES + 7)[0] == segment_name(2, 4)


def without(repository: Repository, *names: str) -> Repository:
    kept = {name: at for name, at in repository.segments.items() if name not in names}
    return Repository(repository.backups, repository.timelines, kept)


@pytest.mark.parametrize(("repository", "target", "words"), [
    (Repository(), None, "holds no backup"),
    (PLAIN, 99.0, "no backup is that old. Between 1970-01-01T00:01:40Z and 1970-01-01T00:04:20Z"),
    (PLAIN, 261.0, "the archive ends at about 1970-01-01T00:04:20Z. To restore everything that was archived"),
    (without(PLAIN, segment_name(1, 6)), None, f"{segment_name(1, 6)} is missing in the archive"),
    (without(PLAIN, segment_name(1, 6)), 250.0, "between 1970-01-01T00:03:20Z and 1970-01-01T00:03:20Z"),
    (without(FRESH_FORK, segment_name(1, 3)), None, f"{segment_name(1, 3)} is missing in the archive"),
    (without(FORKED, segment_name(2, 6)), None, f"{segment_name(2, 6)}, which the backup C cannot do without"),
    (without(PLAIN, *PLAIN.segments), None, f"{segment_name(1, 5)}, which the backup B cannot do without"),
])
def test_what_cannot_be_restored_is_refused(repository: Repository, target: float | None, words: str) -> None:
    with pytest.raises(RingstandError, match="Failed to restore") as caught:
        choose(repository, target)
    assert words in caught.value.message


def test_before_a_gap_there_is_a_way() -> None:
    assert choose(without(PLAIN, segment_name(1, 6)), 200.0).segments == [segment_name(1, 5)]


def test_a_complete_archive_has_every_moment_since() -> None:
    assert choose(PLAIN, 290.0, complete=True).segments[-1] == segment_name(1, 7)


def test_a_backup_with_damaged_pages_is_the_last_resort() -> None:
    damaged = Repository([backup("A", 100, 2), backup("B", 200, 5, error=True)], [Timeline(1)], PLAIN.segments)
    assert choose(damaged, None).backup.label == "A"
    assert choose(Repository(damaged.backups[1:], [Timeline(1)], PLAIN.segments), None).backup.label == "B"


def test_times_are_written_as_they_are_read() -> None:
    assert iso(NOW) == "2026-11-21T12:02:39.500000Z"
    assert parse_target(iso(NOW - 1), NOW) == NOW - 1


# What was archived at 10 and 20 was shipped at once; then the way was cut, and all else came at 100.
SHIPPED = {segment_name(1, 3): 10.0, segment_name(1, 4): 20.0, segment_name(1, 5): 101.0, segment_name(2, 4): 102.0}
SECOND = Timeline(2, 100.0, ((1, 4 * SEGMENT_BYTES + 9),))


@pytest.mark.parametrize(("backups", "after", "born"), [
    ([backup("1F", 9, 2)], 20.0, 100.0),
    ([backup("1F", 9, 2), backup("2F", 71, 5, timeline=2)], 20.0, 70.0),
    ([backup("1F", 9, 2), backup("1G", 40, 2)], 40.0, 100.0),
])
def test_when_a_timeline_began_of_which_only_the_shipping_is_known(
    backups: list[Backup], after: float, born: float
) -> None:
    found = bounded(SECOND, backups, SHIPPED)
    assert (found.after, found.born) == (after, born)


def test_a_moment_of_an_unknown_timeline_is_refused() -> None:
    doubtful = bounded(SECOND, [backup("1F", 9, 2)], SHIPPED)
    repository = Repository([backup("1F", 9, 3)], [Timeline(1), doubtful], SHIPPED)
    with pytest.raises(RingstandError, match="between 1970-01-01T00:00:20Z and 1970-01-01T00:01:40Z, .* Choose"):
        choose(repository, 50.0)
    assert [choose(repository, moment).timeline for moment in (20.0, 100.0, None)] == [1, 2, 2]
    known = Repository([backup("1F", 9, 3)], [Timeline(1), Timeline(2, 40.0, SECOND.ancestors)], SHIPPED)
    assert [choose(known, moment).timeline for moment in (39.0, 50.0)] == [1, 2]
    # Nobody needs to know about an older one.
    third = Timeline(3, 45.0, (*SECOND.ancestors, (2, 4 * SEGMENT_BYTES + 99)))
    later = Repository([backup("1F", 9, 3)], [Timeline(1), doubtful, third], SHIPPED)
    assert choose(later, 50.0).timeline == 3


def test_the_first_repository_knows_when_a_timeline_began(monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = Stanza("main", "/here"), Stanza("main", "s3://there", "/offsite.conf")
    text = "1\t0/4000009\tno recovery target specified\n"
    times = {here: 40, there: 100}
    information = Information(True, "", [backup("1F", 9, 3)], {"17-1": ("", "")})
    monkeypatch.setattr(restore_repository.pgbackrest, "information", lambda _stanza: information)

    def listing(stanza: Stanza, folder: str) -> dict[str, dict[str, int]]:
        prefix = "17-1/" if folder == "archive/main" else ""
        return {f"{prefix}00000002.history": {"size": 9, "time": times[stanza]}}

    monkeypatch.setattr(restore_repository.pgbackrest, "listing", listing)
    monkeypatch.setattr(restore_repository, "_call", lambda *_of: text)
    (_first, second) = restore_repository.read(there, "17", here).timelines
    assert (second.born, second.after) == (40.0, None)
    monkeypatch.setattr(restore_repository, "_beginnings", lambda _stanza: {})
    (_first, second) = restore_repository.read(there, "17", here).timelines
    assert (second.born, second.after) == (100.0, 9.0)
    (_first, second) = restore_repository.read(here, "17").timelines
    assert (second.born, second.after) == (40.0, None)

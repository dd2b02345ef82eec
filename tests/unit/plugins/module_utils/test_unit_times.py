"""Which changes count as later than a moment, on real files and with clocks that were set."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils.unit_times import (
    Clocks,
    Moment,
    first_changed,
    is_later,
    worker_starts,
)

T, YEAR = 1_800_000_000.0, 365 * 86400.0

# Each case: the file's time, the wall clock at the moment (as systemd noted it), the wall clock now. The moment was
# 100 s ago by the monotonic clock.
CLOCKS = {
    "changed before": (T - 1, T, T + 100, False),
    "changed after": (T + 50, T, T + 100, True),
    "changed in the same second, before": (T + 0.2, T, T + 100.5, False),
    "changed in the same second, after": (T + 0.7, T, T + 100.5, True),
    "changed just now": (T + 100, T, T + 100, True),
    "stamped by a clock that was ahead until before the moment": (T + 2 * YEAR, T, T + 100, False),
    "clock set back 2 years since, file older": (T - 10, T, T + 100 - 2 * YEAR, False),
    "clock set back 2 years since, file newer by the new clock": (T + 50 - 2 * YEAR, T, T + 100 - 2 * YEAR, True),
    "clock set back 2 years since, file newer by the old clock": (T + 50, T, T + 100 - 2 * YEAR, True),
    "clock set forward 2 years since, file older": (T - 10, T, T + 100 + 2 * YEAR, False),
    "clock set forward 2 years since, file newer by the old clock": (T + 50, T, T + 100 + 2 * YEAR, True),
    "clock set forward 2 years since, file newer by the new clock": (T + 50 + 2 * YEAR, T, T + 100 + 2 * YEAR, True),
    "machine slept an hour since, file older": (T - 1, T, T + 3700, False),
    "machine slept an hour since, file newer": (T + 1800, T, T + 3700, True),
}


@pytest.mark.parametrize("changed, realtime, now, later", CLOCKS.values(), ids=CLOCKS)
def test_is_later(changed: float, realtime: float, now: float, later: bool) -> None:
    assert is_later(changed, Moment(900.0, realtime), Clocks(1000.0, now)) is later


def test_is_later_without_wall_clock() -> None:
    assert is_later(T + 1, Moment(900.0), Clocks(1000.0, T + 100))
    assert not is_later(T - 1, Moment(900.0), Clocks(1000.0, T + 100))


def change_and_ask(act: object, *paths: str) -> object:
    time.sleep(0.02)  # the kernel stamps files by the tick
    moment = Moment(time.monotonic(), float(int(time.time())))
    assert first_changed(paths, moment, Clocks.now()) is None
    time.sleep(0.02)
    act()  # type: ignore[operator]
    return first_changed(paths, moment, Clocks.now())


def test_what_counts_as_a_change(tmp_path: Path) -> None:
    base = tmp_path / "watched"
    (base / "deep").mkdir(parents=True)
    (base / "deep" / "file").write_text("x")
    (base / "gone").write_text("x")
    outside = tmp_path / "outside"
    outside.write_text("x")
    between = tmp_path / "between"
    between.symlink_to("outside")
    (base / "link").symlink_to("../between")
    missing = str(tmp_path / "missing")
    cases = {
        "content": (lambda: (base / "deep" / "file").write_text("y"), base / "deep" / "file"),
        "mode": (lambda: (base / "deep" / "file").chmod(0o600), base / "deep" / "file"),
        "an old time set": (lambda: os.utime(base / "deep" / "file", (1, 1)), base / "deep" / "file"),
        "removal": ((base / "gone").unlink, base),
        "a link's target": (lambda: outside.write_text("y"), base / "link"),
        "a link on the way": (lambda: (between.unlink(), between.symlink_to("watched/deep/file")), base / "link"),
    }
    for name, (act, expected) in cases.items():
        assert change_and_ask(act, missing, str(base)) == str(expected), name
    assert change_and_ask(lambda: (base / "deep" / "file").read_text(), str(base)) is None
    assert change_and_ask(lambda: (base / "deep" / "file").write_text("z"), str(base / "link")) == str(base / "link")


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert change_and_ask(lambda: None, str(tmp_path)) is None


def test_workers_are_the_direct_children() -> None:
    started = time.monotonic()
    sleeper = "import time; time.sleep(30)"
    quitter = [sys.executable, "-c", sleeper, "worker process is shutting down"]
    with subprocess.Popen([sys.executable, "-c", sleeper]) as one, subprocess.Popen(quitter) as two:
        time.sleep(0.2)
        found = [moment.monotonic for moment in worker_starts(os.getpid())]
        one.kill()
        two.kill()
    mine = [moment for moment in found if moment >= started - 0.01]
    assert len(mine) == 1
    assert mine[0] == pytest.approx(started, abs=0.5)

"""The figures of a bench: medians, ratios within a pair, bars."""

from __future__ import annotations

import report
from report import BARE, FIRST, SECOND, Sample


def sample(step: str, pair: int, seconds: float, host_cpu: float = 1.0) -> Sample:
    return Sample(step, pair, seconds, 4.0, host_cpu, 12, 0.5)


# The machine was twice as slow during the second pair.
PAIRS = [sample(BARE, 0, 20, 10), sample(FIRST, 0, 28, 15), sample(SECOND, 0, 6),
         sample(FIRST, 1, 60, 16), sample(SECOND, 1, 12), sample(BARE, 1, 40, 10),
         sample(BARE, 2, 20, 10), sample(FIRST, 2, 32, 14), sample(SECOND, 2, 7)]


def test_ratios_are_taken_within_a_pair():
    assert report.ratios(PAIRS, FIRST) == [1.4, 1.5, 1.6]
    assert report.summary(PAIRS)["steps"][FIRST]["paired_ratio"]["median"] == 1.5


def test_the_host_s_processor_seconds_have_a_ratio_too():
    assert report.summary(PAIRS)["host_cpu_ratio"] == 1.5


def test_seconds_have_a_median_and_extremes():
    assert report.summary(PAIRS)["steps"][SECOND]["seconds"] == {"median": 7, "min": 6, "max": 12}


def test_a_bar_is_met_up_to_its_figure():
    first, second = report.bars(PAIRS)
    assert (first.measured, first.met) == (1.5, True)
    assert (second.measured, second.met) == (7, True)
    slower = [sample(BARE, 0, 20), sample(FIRST, 0, 30.2), sample(SECOND, 0, 8.6)]
    assert [bar.met for bar in report.bars(slower)] == [False, False]


def test_a_run_that_ended_early_is_reported_and_meets_nothing():
    begun = [sample(FIRST, 0, 30)]
    assert "30.0" in report.table(begun)
    assert [(bar.measured, bar.met) for bar in report.bars(begun)] == [(None, False), (None, False)]
    assert report.table([]).splitlines()[1:] == []


def test_a_missed_bar_is_told():
    assert "1.50, at most 1.5: met" in report.table(PAIRS)
    assert "MISSED" in report.table([sample(BARE, 0, 20), sample(FIRST, 0, 31)])

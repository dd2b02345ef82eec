"""The figures of a bench: medians, ratios within a pair, bars."""

from __future__ import annotations

from dataclasses import replace

import report
import steps
from report import BARE, DEPLOY, FIRST, SECOND, Sample


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
    first, second = report.bars(PAIRS)[:2]
    assert (first.measured, first.met) == (1.5, True)
    assert (second.measured, second.met) == (7, True)
    slower = [sample(BARE, 0, 20), sample(FIRST, 0, 30.2), sample(SECOND, 0, 8.6)]
    assert [bar.met for bar in report.bars(slower)[:2]] == [False, False]


def test_a_run_that_ended_early_is_reported_and_meets_nothing():
    begun = [sample(FIRST, 0, 30)]
    assert "30.0" in report.table(begun)
    assert [(bar.measured, bar.met) for bar in report.bars(begun)] == [(None, False)] * 4
    assert report.table([]).splitlines()[1:] == []


def test_a_missed_bar_is_told():
    assert "1.50, at most 1.5: met" in report.table(PAIRS)
    assert "MISSED" in report.table([sample(BARE, 0, 20), sample(FIRST, 0, 31)])


def test_a_deploy_has_to_reach_its_switch_in_time_whatever_it_watches_after_it():
    slow = replace(sample(DEPLOY, 0, 16), to_switch_seconds=5.1)
    met = {bar.what: bar.met for bar in report.bars([slow])}
    assert met[f"seconds to the switch: {DEPLOY}"] is False
    met = {bar.what: bar.met for bar in report.bars([replace(slow, to_switch_seconds=4.9)])}
    assert met[f"seconds to the switch: {DEPLOY}"] is True


def test_of_an_activation_the_start_of_the_app_and_watching_do_not_count():
    phases = {"preflight": 0.1, "import test": 1.0, "gate": 1.0, "observe": 3.0, "probation": 5.0, "processes": 3.0}
    assert steps.to_switch(15.5, phases) == 2.5

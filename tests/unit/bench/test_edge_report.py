"""What the load tools report, the ratios of runs in turns, and the bars."""

from __future__ import annotations

import pytest
from edge_report import Figures, Flood, Load, Match, Round, parse_open_loop, parse_wrk, summary, table

HELLO = Match("hello", "hello", "https://a/", "http://b/", 32, 0.75)
QUERY = Match("query", "query", "https://a/q", "https://b/q", 64, 1.2)
GOOD_FLOOD = Flood(800, 15, 2.5, {"200": 6000, "503": 6000})
WRK = """Running 4s test @ https://shop.example.com/hello
  2 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    20.12ms    5.02ms  80.12ms   80.12%
  4096 requests in 4.00s, 0.98MB read
Requests/sec:   1023.10
"""


def rounds(match: Match, *ratios: float) -> list[Round]:
    return [Round(match.name, [Load(90 * ratio, 0), Load(110 * ratio, 0)], [Load(100, 0)] * 2) for ratio in ratios]


@pytest.mark.parametrize(
    ("more", "per_second", "failed"),
    [
        ("", 1024, 0),
        ("  Non-2xx or 3xx responses: 96\n", 1000, 96),
        ("  Socket errors: connect 0, read 3, write 0, timeout 2\n", 1024, 5),
    ],
)
def test_wrk_counts_good_answers(more: str, per_second: float, failed: int) -> None:
    assert parse_wrk(WRK.replace("Requests/sec", f"{more}Requests/sec")) == Load(per_second, failed)


def test_what_wrk_does_not_say_is_no_figure() -> None:
    with pytest.raises(ValueError, match="unable to connect"):
        parse_wrk("unable to connect to shop.example.com:443 Connection refused")


def test_the_median_of_ratios_is_held_against_the_bar() -> None:
    figures = Figures([*rounds(HELLO, 0.5, 0.8, 0.9), *rounds(QUERY, 1.3)], GOOD_FLOOD)
    assert (figures.ratio(HELLO), figures.per_second(HELLO)) == (pytest.approx(0.8), (pytest.approx(76.5), 100))
    assert figures.met([HELLO, QUERY])
    assert not Figures([*rounds(HELLO, 0.8), *rounds(QUERY, 1.1)], GOOD_FLOOD).met([HELLO, QUERY])
    assert not Figures(rounds(HELLO, 0.8), GOOD_FLOOD).met([HELLO, QUERY]), "what was not measured is not met"
    assert not Figures([*rounds(HELLO, 0.8), *rounds(QUERY, 1.3)]).met([HELLO, QUERY])


@pytest.mark.parametrize("status", ["0 TimeoutError", "500", "502", "504"])
def test_under_too_much_load_only_two_answers_are_good(status: str) -> None:
    report = {"outcomes": {"200": 6000, "503": 6000, status: 1}, "seconds": 15.1, "slowest_seconds": 2.5}
    found = parse_open_loop(report, 800)
    figures = Figures([*rounds(HELLO, 0.8), *rounds(QUERY, 1.3)], found)
    assert found.bad == {status: 1}
    assert not figures.met([HELLO, QUERY])
    assert f"1 × {status}" in table(figures, [HELLO, QUERY])
    assert "MISSED" in table(figures, [HELLO, QUERY])


def test_a_flood_that_was_none_proves_nothing() -> None:
    figures = Figures([*rounds(HELLO, 0.8), *rounds(QUERY, 1.3)], Flood(800, 30, 2.5, {"200": 6000, "503": 6000}))
    assert not figures.met([HELLO, QUERY])
    assert "fell behind" in table(figures, [HELLO, QUERY])


def test_a_run_that_ended_early_has_a_table_too() -> None:
    figures = Figures(rounds(HELLO, 0.7))
    assert "MISSED" in table(figures, [HELLO, QUERY])
    assert "query" not in table(figures, [HELLO, QUERY])
    assert summary(figures, [HELLO, QUERY])["met"] is False

"""Requests per second beside those of a rival, and what the bars say about them."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Match:
    """Two addresses that are asked in turns, and how much more the first has to do."""

    name: str
    what: str
    ours: str
    rival: str
    connections: int
    least: float


@dataclass
class Load:
    """One run of a load tool: good answers per second and what else came."""

    per_second: float
    failed: int


@dataclass
class Round:
    """The site, the rival, the rival, the site: what grows or shrinks with time falls on both alike."""

    match: str
    ours: list[Load]
    rival: list[Load]

    @property
    def ratio(self) -> float:
        return sum(load.per_second for load in self.ours) / sum(load.per_second for load in self.rival)


@dataclass
class Flood:
    """What came of requests sent at twice the rate that the site can answer, whether it had answered or not."""

    rate: int
    seconds: float
    slowest_seconds: float
    outcomes: dict[str, int]

    @property
    def bad(self) -> dict[str, int]:
        """Answers that are neither good nor an invitation to come back. Those that begin with 0 are none at all."""
        return {outcome: count for outcome, count in self.outcomes.items() if outcome not in ("200", "503")}

    @property
    def full_rate(self) -> bool:
        """Whether the load program kept its pace: a flood that was none proves nothing."""
        return sum(self.outcomes.values()) >= 0.9 * self.rate * self.seconds


@dataclass
class Figures:
    rounds: list[Round] = field(default_factory=list)
    flood: Flood | None = None

    def of(self, match: Match) -> list[Round]:
        return [one for one in self.rounds if one.match == match.name]

    def ratio(self, match: Match) -> float | None:
        found = self.of(match)
        return median(one.ratio for one in found) if found else None

    def per_second(self, match: Match) -> tuple[float, float]:
        """Medians of the site and of its rival."""
        found = self.of(match)
        return (median(load.per_second for one in found for load in one.ours),
                median(load.per_second for one in found for load in one.rival))

    def failed(self, match: Match) -> int:
        return sum(load.failed for one in self.of(match) for load in [*one.ours, *one.rival])

    def met(self, matches: list[Match]) -> bool:
        ratios = [(self.ratio(match), match.least) for match in matches]
        return (all(ratio is not None and ratio >= least for ratio, least in ratios)
                and self.flood is not None and not self.flood.bad and self.flood.full_rate)


def parse_wrk(output: str) -> Load:
    """Of wrk's report, good answers per second. Raises ValueError when it is none."""
    found = re.search(r"^\s*(\d+) requests in ([\d.]+)(m?s|m),", output, re.MULTILINE)
    if not found:
        raise ValueError(f"wrk reported nothing: {output.strip()[-500:]}")
    seconds = float(found[2]) * {"ms": 0.001, "s": 1, "m": 60}[found[3]]
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output)
    failed = int(refused[1]) if refused else 0
    return Load((int(found[1]) - failed) / seconds, failed + sum(map(int, errors.groups() if errors else ())))


def parse_open_loop(report: dict[str, Any], rate: int) -> Flood:
    return Flood(rate, report["seconds"], report["slowest_seconds"], report["outcomes"])


def summary(figures: Figures, matches: list[Match]) -> dict[str, Any]:
    """For the JSON file."""
    measured = [match for match in matches if figures.of(match)]
    return {
        "matches": {match.name: {
            **asdict(match), "ratio": figures.ratio(match), "ratios": [one.ratio for one in figures.of(match)],
            "per_second": figures.per_second(match), "failed": figures.failed(match),
        } for match in measured},
        "flood": {**asdict(figures.flood), "bad": figures.flood.bad} if figures.flood else None,
        "met": figures.met(matches),
    }


def table(figures: Figures, matches: list[Match]) -> str:
    lines = [f"{'':<70}{'site/s':>9}{'rival/s':>9}{'ratio':>7}{'least':>7}"]
    for match in (match for match in matches if figures.of(match)):
        (ours, rival), ratio = figures.per_second(match), figures.ratio(match) or 0
        verdict = "" if ratio >= match.least else "  MISSED"
        lines.append(f"{match.what:<70}{ours:>9.0f}{rival:>9.0f}{ratio:>7.2f}{match.least:>7.2f}{verdict}")
        if figures.failed(match):
            lines.append(f"  {figures.failed(match)} requests failed")
    if figures.flood:
        flood = figures.flood
        counts = ", ".join(f"{count} × {outcome}" for outcome, count in sorted(flood.outcomes.items()))
        verdict = "  MISSED" if flood.bad else "" if flood.full_rate else "  MISSED: the load program fell behind"
        lines.append(f"twice saturation, {flood.rate}/s for {flood.seconds:.0f} s: {counts}, the slowest after "
                     f"{flood.slowest_seconds:.1f} s{verdict}")
    return "\n".join(lines)

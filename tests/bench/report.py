"""What was measured as a table, and the ratios that the bars are about."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

BARE = "bare shell install"
FIRST = "first run, with its first deploy"
SECOND = "second run, which changes nothing"
SETTING = "one setting of nginx changed"
ENVIRONMENT = "one value of the app's environment changed"
DEPLOY = "deploy of changed code"
ROLLBACK = "ringstand rollback, on the host"
STEPS = (BARE, FIRST, SECOND, SETTING, ENVIRONMENT, DEPLOY, ROLLBACK)

FIRST_RATIO_MOST = 1.5
# A quarter of what a mix of well-known roles needs for the same second run (34 to 39 s).
SECOND_SECONDS_MOST = 8.5
# Without the app's own start and without the seconds in which it is only watched.
TO_SWITCH_SECONDS_MOST = {DEPLOY: 5.0, ROLLBACK: 1.0}


@dataclass
class Sample:
    """One step once. Processor seconds are user and system together, of the controller's processes and of the host."""

    step: str
    pair: int
    seconds: float
    controller_cpu_seconds: float
    host_cpu_seconds: float
    calls: int
    load: float
    to_switch_seconds: float | None = None


@dataclass
class Bar:
    """A promise, what was measured of it, and whether it holds. Nothing is measured before a whole pair is there."""

    what: str
    most: float
    measured: float | None

    @property
    def met(self) -> bool:
        return self.measured is not None and self.measured <= self.most


def of(samples: list[Sample], step: str) -> list[Sample]:
    return [sample for sample in samples if sample.step == step]


def ratios(samples: list[Sample], step: str, to: str = BARE, field: str = "seconds") -> list[float]:
    """One ratio for each pair in which both were measured: they ran minutes apart, so the machine was much the same."""
    other = {sample.pair: getattr(sample, field) for sample in of(samples, to)}
    return [getattr(sample, field) / other[sample.pair] for sample in of(samples, step) if sample.pair in other]


def cpu_ratios(samples: list[Sample]) -> list[float]:
    """Of the host's processor seconds, first run to bare install: what a busy machine falsifies least."""
    return ratios(samples, FIRST, field="host_cpu_seconds")


def bars(samples: list[Sample]) -> list[Bar]:
    first, second = ratios(samples, FIRST), [sample.seconds for sample in of(samples, SECOND)]
    return [
        Bar("first run / bare shell install", FIRST_RATIO_MOST, median(first) if first else None),
        Bar("seconds of a second run", SECOND_SECONDS_MOST, median(second) if second else None),
        *(Bar(f"seconds to the switch: {step}", most, median(found) if (found := to_switch(samples, step)) else None)
          for step, most in TO_SWITCH_SECONDS_MOST.items()),
    ]


def to_switch(samples: list[Sample], step: str) -> list[float]:
    return [sample.to_switch_seconds for sample in of(samples, step) if sample.to_switch_seconds is not None]


def summary(samples: list[Sample]) -> dict[str, Any]:
    """Medians, extremes and ratios for the JSON file."""
    steps: dict[str, Any] = {}
    for step in STEPS:
        found = of(samples, step)
        if found:
            seconds, paired = [sample.seconds for sample in found], ratios(samples, step)
            steps[step] = {
                "runs": len(found),
                "seconds": {"median": median(seconds), "min": min(seconds), "max": max(seconds)},
                "controller_cpu_seconds": median(sample.controller_cpu_seconds for sample in found),
                "host_cpu_seconds": median(sample.host_cpu_seconds for sample in found),
                "calls": median(sample.calls for sample in found),
                "paired_ratio": {"median": median(paired), "all": paired} if paired else None,
                "to_switch_seconds": median(to_switch(samples, step)) if to_switch(samples, step) else None,
            }
    return {
        "steps": steps,
        "host_cpu_ratio": median(cpu_ratios(samples)) if cpu_ratios(samples) else None,
        "bars": [{**asdict(bar), "met": bar.met} for bar in bars(samples)],
    }


def line(sample: Sample) -> str:
    return (f"{sample.step}: {sample.seconds:.1f} s, {sample.calls} calls, CPU {sample.controller_cpu_seconds:.1f} s "
            f"here and {sample.host_cpu_seconds:.1f} s on the host, load {sample.load:.1f}")


def table(samples: list[Sample]) -> str:
    """For people; also of a run that was ended early."""
    lines = [f"{'':<44}{'seconds':>8}{'min':>7}{'max':>7}{'/ bare':>8}{'CPU here':>10}{'CPU host':>10}{'calls':>7}"]
    for step, found in summary(samples)["steps"].items():
        seconds, paired = found["seconds"], found["paired_ratio"]
        ratio = f"{paired['median']:.2f}" if paired else "-"
        lines.append(f"{step:<44}{seconds['median']:>8.1f}{seconds['min']:>7.1f}{seconds['max']:>7.1f}{ratio:>8}"
                     f"{found['controller_cpu_seconds']:>10.1f}{found['host_cpu_seconds']:>10.1f}{found['calls']:>7g}")
    for bar in bars(samples):
        if bar.measured is not None:
            lines.append(f"{bar.what}: {bar.measured:.2f}, at most {bar.most:g}: {'met' if bar.met else 'MISSED'}")
    return "\n".join(lines)

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What has to run beside the web of a release: its workers and schedulers, and the unit of each."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from . import procfile, release_values
from .apps import SCHEDULER, process_settings
from .layout import AppSettings, Layout
from .releases import read_manifest, write_durably
from .sandbox import sandbox_directives
from .shell_commands import with_exec

_SCHEMA = 1
_RELEASE = re.compile(r"^Environment=\"RELEASE_ID=([^\"]+)\"$", re.MULTILINE)
# systemd.service(5): inside double quotes; '%' begins a specifier, '$' a variable.
_ESCAPED = str.maketrans({"\\": "\\\\", '"': '\\"', "%": "%%", "$": "$$"})


@dataclass(frozen=True)
class Planned:
    """One process of a release: how many of it run, and the text of its template unit."""

    process: str
    kind: str
    count: int
    text: str
    stop_timeout_seconds: float

    @property
    def is_scheduler(self) -> bool:
        """Whether two of it must never run at once, not even for a moment."""
        return self.kind == SCHEDULER


@dataclass(frozen=True)
class Plan:
    """All processes of one release, in the order of their names."""

    app: str
    release: str | None = None
    processes: tuple[Planned, ...] = ()

    def instances(self, layout: Layout) -> dict[str, Planned]:
        """The units that have to run."""
        return {
            layout.process_unit(planned.process, number): planned
            for planned in self.processes
            for number in range(1, planned.count + 1)
        }


def wanted(settings: AppSettings, release: str) -> Plan:
    """What the app's settings, else the release's Procfile, and the numbers that were set by hand ask for."""
    given = settings.processes
    if given is None:
        named = procfile.processes_of(read_manifest(settings.layout, release) or {})
        given = {name: process_settings(name, command) for name, command in named.items()}
    scale = read_scale(settings.layout)
    return Plan(
        settings.name,
        release,
        tuple(_planned(settings, release, name, given[name], scale.get(name)) for name in sorted(given)),
    )


def _planned(
    settings: AppSettings, release: str, name: str, process: Mapping[str, Any], scale: int | None
) -> Planned:
    count = int(process["count"] if scale is None else scale)
    kind = str(process["kind"])
    return Planned(
        process=name,
        kind=kind,
        count=min(count, 1) if kind == SCHEDULER else count,
        text=_unit_text(settings, release, name, process),
        stop_timeout_seconds=process["stop_timeout_seconds"],
    )


def _unit_text(settings: AppSettings, release: str, name: str, process: Mapping[str, Any]) -> str:
    layout = settings.layout
    environment = release_values.environment(settings, release)
    service: list[tuple[str, object]] = [
        ("Type", "exec"),
        ("SyslogIdentifier", f"{settings.name}.{name}"),
        ("User", settings.name),
        ("Group", settings.name),
        ("WorkingDirectory", os.path.join(layout.release_dir(release), "src")),
        ("EnvironmentFile", layout.environment_file),
        *(("Environment", f'"{key}={_escaped(value)}"') for key, value in environment.items()),
        ("ExecStart", f'/bin/sh -c "{str(with_exec(process["command"])).translate(_ESCAPED)}"'),
        # Only the main process is told to stop: it finishes its job with its children, and the rest ends with it.
        ("KillMode", "mixed"),
        ("KillSignal", process["stop_signal"]),
        ("TimeoutStopSec", process["stop_timeout_seconds"]),
        ("SuccessExitStatus", "143"),
        ("Restart", "always"),
        ("RestartSec", "1s"),
        ("OOMPolicy", "continue"),
        ("UMask", "0027"),
        *([("MemoryMax", f"{process['memory_mb']}M")] if process.get("memory_mb") else []),
        *sandbox_directives(settings.outbound_network, [layout.shared_dir]),
    ]
    lines = [
        f"# For one release, made by `ringstand`; `ringstand processes {settings.name}` makes it again.",
        "[Unit]",
        f"Description=Flask app {settings.name}, {process['kind']} {name} %i",
        "After=network.target postgresql.service",
        # Manual starts count against the limit too.
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        *(f"{key}={value}" for key, value in service),
    ]
    return "\n".join(lines) + "\n"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")


def units_on_disk(layout: Layout) -> dict[str, str]:
    """The texts of the template units of the app's processes that are there, by process."""
    prefix, suffix = layout.process_unit("").split("@")[0], "@.service"
    found = {}
    with contextlib.suppress(FileNotFoundError):
        for name in sorted(os.listdir(layout.units_dir)):
            if name.startswith(prefix) and name.endswith(suffix) and len(name) > len(prefix) + len(suffix):
                with contextlib.suppress(OSError), open(os.path.join(layout.units_dir, name), encoding="utf-8") as file:
                    found[name[len(prefix) : -len(suffix)]] = file.read()
    return found


def release_in(text: str) -> str | None:
    """The release whose process a unit runs."""
    found = _RELEASE.search(text)
    return found[1] if found else None


def releases_in_use(layout: Layout) -> set[str]:
    """The releases whose code a process may still run or go back to."""
    named: Iterable[str | None] = [last_good(layout).release, *map(release_in, units_on_disk(layout).values())]
    return {release for release in named if release}


def last_good(layout: Layout) -> Plan:
    """The plan that was last carried out well; an empty one when none was."""
    try:
        with open(layout.process_plan, encoding="utf-8") as stream:
            data = json.load(stream)
        return Plan(layout.app, data["release"], tuple(Planned(**item) for item in data["processes"]))
    except (OSError, ValueError, TypeError, KeyError):
        return Plan(layout.app)


def save(layout: Layout, plan: Plan) -> None:
    """Remember a plan that was carried out well."""
    if plan == last_good(layout):
        return
    data = {"schema": _SCHEMA, "release": plan.release, "processes": [asdict(item) for item in plan.processes]}
    write_durably(layout.process_plan, json.dumps(data, indent=1), mode=0o600)


def read_scale(layout: Layout) -> dict[str, int]:
    """How many of each process an operator wants, as far as it was said by ``ringstand scale``."""
    try:
        with open(layout.process_scale, encoding="utf-8") as stream:
            return {str(name): int(count) for name, count in json.load(stream).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def write_scale(layout: Layout, scale: Mapping[str, int]) -> None:
    """Keep the operator's numbers, over restarts and deploys."""
    write_durably(layout.process_scale, json.dumps(dict(scale), sort_keys=True), mode=0o600)

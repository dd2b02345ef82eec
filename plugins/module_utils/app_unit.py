# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Run one command of an app as a transient systemd unit: its user, its environment file, its sandbox.

systemd reads the environment file, so that no code of ours parses it and no value of it shows in an argument list.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

from .errors import RingstandError
from .sandbox import sandbox_directives

_OUTPUT_LIMIT_BYTES = 1024 * 1024


@dataclass(frozen=True)
class AppUnit:
    """Who runs a command, where, and with what.

    ``environment`` goes into the unit's properties, where ``systemctl show`` prints it: never a secret.
    ``environment_file`` is read by systemd as root, and after it ``overriding_file``, which may be missing.
    ``binds_to`` names a unit whose end also ends the command.
    ``home_visible`` is for an app that lives below ``/home`` or ``/root``, which the sandbox hides otherwise.
    """

    name: str
    user: str
    group: str
    working_dir: str
    environment_file: str | None = None
    overriding_file: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    writable_paths: Sequence[str] = ()
    purpose: str = "run"
    outbound_network: bool = True
    build: bool = False
    binds_to: str | None = None
    home_visible: bool = False


@dataclass(frozen=True)
class Completed:
    """What a command left: its exit status and the tail of what it printed (text, at most ``stdout_limit`` bytes)."""

    rc: int
    stdout: str
    stderr: str
    timed_out: bool = False


def new_unit_name(app: AppUnit) -> str:
    """A name that no other unit has. Dots set the app's name off: no app has one, so that a pattern finds its own."""
    return f"ringstand-{app.purpose}.{app.name}.{uuid.uuid4().hex[:8]}.service"


def activation_pattern(app: str) -> str:
    """The pattern of the units that an activation of ``app`` may have started."""
    return f"ringstand-activation-*.{app}.*.service"


def unit_arguments(
    app: AppUnit, unit_name: str, timeout_seconds: float | None, terminal: bool = False
) -> list[str]:
    """Return the ``systemd-run`` command line, without the command that it is to run.

    Without ``timeout_seconds`` the command may take as long as it takes. With ``terminal`` it has one of its own, which
    leads to the caller's; otherwise the caller's standard streams.
    """
    properties = [
        ("Description", f"{app.purpose} of {app.name}"),
        ("User", app.user),
        ("Group", app.group),
        ("WorkingDirectory", app.working_dir),
        ("RuntimeMaxSec", "infinity" if timeout_seconds is None else f"{timeout_seconds:.0f}s"),
        ("TimeoutStopSec", "10s"),
        ("UMask", "0027"),
        *sandbox_directives(app.outbound_network, app.writable_paths, app.build),
    ]
    if app.build:  # what serves, and what is being installed at the time of a first deploy, goes first
        properties.append(("Nice", "10"))
    if app.home_visible:
        properties.append(("ProtectHome", "read-only"))
    if app.environment_file:
        properties.append(("EnvironmentFile", app.environment_file))
    if app.overriding_file:
        properties.append(("EnvironmentFile", f"-{app.overriding_file}"))
    if app.binds_to:
        properties += [("BindsTo", app.binds_to), ("After", app.binds_to)]
    arguments = ["systemd-run", "--quiet", "--collect", "--wait", "--pty" if terminal else "--pipe"]
    arguments += ["--service-type=exec", f"--unit={unit_name}"]
    arguments += [f"--property={name}={value}" for name, value in properties]
    arguments += [f"--setenv={name}={value}" for name, value in app.environment.items()]
    return arguments


def run_in_unit(
    argv: Sequence[str],
    *,
    app: AppUnit,
    timeout_seconds: float,
    stdout_limit: int = _OUTPUT_LIMIT_BYTES,
    stdin: IO[bytes] | None = None,
) -> Completed:
    """Run ``argv`` to its end and return what came of it; a non-zero exit is a result, not an exception.

    Needs root. Output goes through files, so that a command that prints without end fills no memory: only the last
    ``stdout_limit`` bytes of each stream are returned. Raises :class:`RingstandError` when systemd is not there.
    """
    unit_name = new_unit_name(app)
    command = [*unit_arguments(app, unit_name, timeout_seconds), "--", *argv]
    started = time.monotonic()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            process = subprocess.run(
                command,
                stdin=stdin if stdin is not None else subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                timeout=timeout_seconds + 30,  # systemd ends the unit at RuntimeMaxSec; this catches systemd itself
                check=False,
            )
            rc, timed_out = process.returncode, time.monotonic() - started >= timeout_seconds
        except FileNotFoundError as error:
            raise RingstandError(f"Failed to run {argv[0]!r} for {app.name}: this host has no systemd-run") from error
        except subprocess.TimeoutExpired:
            subprocess.run(["systemctl", "kill", "--signal=KILL", unit_name], check=False, capture_output=True)
            rc, timed_out = 124, True
        return Completed(rc, _tail(out, stdout_limit), _tail(err, stdout_limit), timed_out)


def _tail(stream: IO[bytes], limit: int) -> str:
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - limit))
    return stream.read().decode("utf-8", "replace")

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Install uv from a package index, at the version and with the hashes of a requirements file."""

from __future__ import annotations

import glob
import os
import sysconfig

from . import commands
from .errors import RingstandError

PYTHON = "/usr/bin/python3"
_TIMEOUT_SECONDS = 600.0


def pip_wheel() -> str:
    """The wheel from which ``python3 -m venv`` installs pip on Debian and Ubuntu; empty when there is none."""
    directory = sysconfig.get_config_var("WHEEL_PKG_DIR") or "/usr/share/python-wheels"
    return max(glob.glob(os.path.join(directory, "pip-*.whl")), default="")


def install(directory: str, requirements: str, pip_config: str) -> None:
    """Make or mend a virtual environment and install the requirements into it.

    pip runs out of its wheel where there is one: to unpack and compile it for a single call takes longer than the call.
    Raises RingstandError with the last line that pip printed.
    """
    wheel = pip_wheel()
    _run([PYTHON, "-m", "venv", *(["--without-pip"] if wheel else []), directory], "make a virtual environment for uv")
    _run(
        [
            os.path.join(directory, "bin", "python"),
            *["-m", "pip", "--quiet", "install", "--no-deps", "--only-binary=:all:", "--require-hashes"],
            f"--requirement={requirements}",
        ],
        "install uv",
        {"PIP_CONFIG_FILE": pip_config, **({"PYTHONPATH": wheel} if wheel else {})},
    )


def _run(argv: list[str], action: str, environment: dict[str, str] | None = None) -> None:
    result = commands.run(argv, _TIMEOUT_SECONDS, environment)
    if result.rc != 0:
        said = commands.redact(result.stderr or result.stdout).strip()
        last = said.splitlines()[-1] if said else f"exit status {result.rc}"
        raise RingstandError(f"Failed to {action}: {last}", rc=result.rc, output=said[-4000:])

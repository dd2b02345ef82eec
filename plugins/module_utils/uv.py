# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Install uv from a package index, at the version and with the hashes of a requirements file.

Other programs that are to have a virtual environment of their own are installed in the same way.
"""

from __future__ import annotations

import fcntl
import glob
import os
import re
import shutil
import sysconfig

from . import commands
from .errors import RingstandError
from .layout import UV

PYTHON = "/usr/bin/python3"
# Where the role gunicorn has it, and the files that it writes for it.
DIRECTORY = os.path.dirname(os.path.dirname(UV))
REQUIREMENTS = "/opt/ringstand/uv-requirements.txt"
PIP_CONFIG = "/opt/ringstand/pip.conf"
_TIMEOUT_SECONDS = 600.0


def pip_wheel() -> str:
    """The wheel from which ``python3 -m venv`` installs pip on Debian and Ubuntu; empty when there is none."""
    directory = sysconfig.get_config_var("WHEEL_PKG_DIR") or "/usr/share/python-wheels"
    return max(glob.glob(os.path.join(directory, "pip-*.whl")), default="")


def installed_version(directory: str = DIRECTORY, program: str = "uv") -> str:
    """The version that the installed uv prints, or an empty text."""
    return (commands.run([os.path.join(directory, "bin", program), "--version"]).stdout.split() + ["", ""])[1]


def pinned_version(requirements: str = REQUIREMENTS, program: str = "uv") -> str:
    """The version that the requirements file pins, or an empty text."""
    with open(requirements, encoding="utf-8") as stream:
        found = re.search(rf"^{program}==([^\s;\\]+)", stream.read(), re.MULTILINE)
    return found[1] if found else ""


def ensure() -> None:
    """Install uv as the role pinned it unless it is there; of several that ask at once, one installs it."""
    if not os.path.exists(REQUIREMENTS):
        raise RingstandError(f"Failed to install uv: {REQUIREMENTS} is missing. Run site.yml.")
    with open(REQUIREMENTS, encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if installed_version() != pinned_version():
            install(DIRECTORY, REQUIREMENTS, PIP_CONFIG)


def install(directory: str, requirements: str, pip_config: str, program: str = "uv") -> None:
    """Make or mend a virtual environment and install the requirements into it.

    pip runs out of its wheel where there is one: to unpack and compile it for a single call takes longer than the call.
    Raises RingstandError with the last line that pip printed.
    """
    if os.path.exists(os.path.join(directory, "pyvenv.cfg")) and not installed_version(directory, program):
        shutil.rmtree(directory)  # torn by a power cut: pip would take what is there for complete
    wheel = pip_wheel()
    venv = [PYTHON, "-m", "venv", *(["--without-pip"] if wheel else []), directory]
    _run(venv, f"make a virtual environment for {program}")
    _run(
        [
            os.path.join(directory, "bin", "python"),
            *["-m", "pip", "--quiet", "install", "--no-deps", "--only-binary=:all:", "--require-hashes"],
            f"--requirement={requirements}",
        ],
        f"install {program}",
        {"PIP_CONFIG_FILE": pip_config, **({"PYTHONPATH": wheel} if wheel else {})},
    )


def _run(argv: list[str], action: str, environment: dict[str, str] | None = None) -> None:
    result = commands.run(argv, _TIMEOUT_SECONDS, environment)
    if result.rc != 0:
        said = commands.redact(result.stderr or result.stdout).strip()
        last = said.splitlines()[-1] if said else f"exit status {result.rc}"
        raise RingstandError(f"Failed to {action}: {last}", rc=result.rc, output=said[-4000:])

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which interpreter a source asks for, and which one of this host it gets."""

from __future__ import annotations

import glob
import os
import re
import subprocess

from .errors import RingstandError
from .source_files import read_inside

SYSTEM_PYTHON = "/usr/bin/python3"
PLACES = ("/usr/bin", "/usr/local/bin")
# .python-version is read by pyenv and uv, runtime.txt by Heroku and those that follow it.
FILES = (".python-version", "runtime.txt")
_VERSION = re.compile(r"(?:c?python-?)?(\d+)(?:\.(\d+))?(?:\.\d+)?(?:\.\*|\.x)?", re.IGNORECASE)


def wanted_version(source: str) -> tuple[str, str] | None:
    """The version, as ``3.12``, and the file that asks for it; None when no file does, or for any Python 3.

    Only the minor version counts: the last number of ``3.12.4`` is the distribution's business, which patches it.
    Raises RingstandError for another implementation, and for files that contradict each other.
    """
    found = [(version, name) for name in FILES for version in [_read_version(source, name)] if version]
    versions = {version for version, _name in found}
    if len(versions) > 1:
        said = " and ".join(f"{name} asks for {version}" for version, name in found)
        raise RingstandError(f"Failed to choose a Python: {said}. Make them agree, or remove one of them.")
    return found[0] if found else None


def _read_version(source: str, name: str) -> str:
    if not os.path.isfile(os.path.join(source, name)):
        return ""
    text = read_inside(source, name).decode("utf-8-sig", "replace")
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    first = next((line for line in lines if line), "")
    match = _VERSION.fullmatch(first)
    if first and (not match or match[1] != "3"):
        raise RingstandError(
            f"Failed to choose a Python: {name} asks for {first!r}, which is not a version of CPython 3. "
            "Correct the file, or set the app's python to the path of an interpreter, which goes before it."
        )
    return f"3.{match[2]}" if match and match[2] else ""


def interpreter_version(python: str) -> str:
    """What tells one interpreter from another: its tag, and its version with its build."""
    try:
        done = subprocess.run(
            [python, "-I", "-c", "import sys; print(sys.implementation.cache_tag, sys.version)"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RingstandError(f"Failed to run {python}: {error}. Correct the app's python, or install it.") from error
    if done.returncode != 0:
        raise RingstandError(f"Failed to run {python}: {done.stderr.strip()}. Correct the app's python.")
    return done.stdout.strip()


def installed_versions(places: tuple[str, ...] = PLACES) -> dict[str, str]:
    """The interpreters of this host by version, as ``{"3.12": "/usr/bin/python3.12"}``."""
    found: dict[str, str] = {}
    for place in places:
        for path in sorted(glob.glob(os.path.join(place, "python3.*"))):
            version = os.path.basename(path).removeprefix("python")
            if re.fullmatch(r"3\.\d+", version) and os.access(path, os.X_OK):
                found.setdefault(version, path)
    return found


def choose_python(configured: str, source: str, places: tuple[str, ...] = PLACES) -> str:
    """The interpreter of a release: the configured one, else the one that the source asks for, else the system's.

    Raises RingstandError when the host does not have what the source asks for.
    """
    if configured:
        return configured
    wanted = wanted_version(source)
    if wanted is None:
        return SYSTEM_PYTHON
    version, name = wanted
    found = installed_versions(places)
    if version in found:
        return found[version]
    has = ", ".join(sorted(found)) or "none"
    raise RingstandError(
        f"Failed to choose a Python: {name} asks for {version}, and this host has {has}. Install python{version} "
        f"(apt_packages), or set the app's python to {SYSTEM_PYTHON} to try with that in spite of {name}."
    )

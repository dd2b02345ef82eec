# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What of an app's source the operator should know, and what its first words of failure mean."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator

from .layout import AppSettings

_DRIVERS = ("psycopg", "psycopg2", "pg8000", "asyncpg", "psycopg2cffi")
_UNWRITABLE = re.compile(r"(?:Read-only file system|Permission denied): '([^'\0]+)'")
_NO_DRIVER = re.compile(r"No module named '(psycopg2?|pg8000|asyncpg)'")
_NO_MODULE = re.compile(r"No module named '([\w]+)'")
_NO_VARIABLE = re.compile(r"environ\b.*\n(?:.*\n){0,6}?KeyError: '([A-Za-z_][A-Za-z0-9_]*)'")


def has_module(venv: str, name: str) -> bool:
    """Whether a virtual environment has a top-level module of that name."""
    places = glob.glob(os.path.join(glob.escape(venv), "lib", "python3.*", "site-packages"))
    return any(os.path.exists(os.path.join(place, f"{name}{end}")) for place in places for end in ("", ".py"))


def notices(settings: AppSettings, source: str, venv: str) -> Iterator[str]:
    """What will not have the effect that the source seems to expect of it."""
    if os.path.exists(os.path.join(source, "gunicorn.conf.py")):
        yield (
            "gunicorn.conf.py of the source is not read: gunicorn runs with the settings of the app's keys, such as "
            "workers, threads, timeout_seconds and max_requests."
        )
    if os.path.exists(os.path.join(source, ".env")):
        yield (
            ".env of the source is read by flask commands at most, not by gunicorn, and never goes before the app's "
            "environment: put what the app needs into environment."
        )
    scheme = settings.database_url_scheme
    if scheme.startswith("postgres"):
        wanted = [scheme.partition("+")[2]] if "+" in scheme else list(_DRIVERS)
        if not any(has_module(venv, name) for name in wanted):
            yield (
                f"No driver for {scheme}:// is among the packages: add one to them or to extra_packages, such as "
                f"{_package(wanted[0])}; or set database: false if the app needs no database."
            )


def _package(driver: str) -> str:
    return {"psycopg": '"psycopg[binary]"', "psycopg2": "psycopg2-binary"}.get(driver, driver)


def remedy(output: str, settings: AppSettings, source: str, venv: str) -> str:
    """What to do about an app that does not start, as far as its output tells; empty for everything else."""
    package = _NO_MODULE.search(output)
    if package and os.path.exists(os.path.join(source, "src", package[1])):
        return "The app is in src: set python_path: src."
    driver = _NO_DRIVER.search(output)
    if driver:
        return _driver_remedy(driver[1], settings.database_url_scheme, venv)
    path = _UNWRITABLE.search(output)
    if path:
        inside = os.path.relpath(os.path.join(source, path[1]), source)
        if not inside.startswith(".."):
            # A file is to be made in a folder that is there; else a folder is to be made.
            parent = os.path.dirname(inside)
            wanted = parent if parent and os.path.isdir(os.path.join(source, parent)) else inside.split("/", 1)[0]
            return f"A release is read-only: set writable_dirs: [{wanted}] if the app has to write there."
    variable = _NO_VARIABLE.search(output)
    if variable:
        return f"The app wants a variable of that name: set it in environment ({variable[1]})."
    return ""


def _driver_remedy(driver: str, scheme: str, venv: str) -> str:
    other = next((name for name in _DRIVERS if name != driver and has_module(venv, name)), None)
    if other and scheme.startswith("postgres"):
        return f"The packages have {other}, not {driver}: set database_url_scheme: postgresql+{other}."
    return f"Add a driver to the app's packages, or set extra_packages: [{_package(driver)}]."

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""All apps of this host's databases in maintenance while something is done to those."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

from . import maintenance
from .errors import RingstandError
from .layout import app_names, load_settings


@contextlib.contextmanager
def of_databases(why: str, say: Callable[[str], None]) -> Iterator[list[str]]:
    """Begin it for each app with a database here, and end it for those afterwards, however that went."""
    found = []
    for name in app_names():
        with contextlib.suppress(RingstandError):
            found += [name] if load_settings(name).local_database else []
    with of(found, why, say) as begun:
        yield begun


@contextlib.contextmanager
def of(apps: Sequence[str], why: str, say: Callable[[str], None]) -> Iterator[list[str]]:
    """Begin it for each of these apps that is not in it, and end it for those afterwards, however that went."""
    begun: list[str] = []
    for name in apps:
        try:
            if maintenance.read(name):
                continue
            settings = load_settings(name)
            maintenance.check_served(name)
            maintenance.switch_on(name, why, [], maintenance.own_page(settings.layout))
            begun.append(name)
        except RingstandError as error:  # an app that nobody serves needs none
            say(f"{name} is not in maintenance: {error}")
    if begun:
        say(f"in maintenance: {', '.join(begun)}")
    try:
        yield begun
    finally:
        for name in begun:
            maintenance.switch_off(name)


def end(why: str) -> None:
    """End what :func:`of` has begun for this reason in a process that was killed."""
    for name in app_names():
        found = maintenance.read(name)
        if found and found["by"] == why:
            maintenance.switch_off(name)

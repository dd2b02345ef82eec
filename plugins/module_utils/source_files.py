# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reading a file of a source as root, who could read any file of the host through a link."""

from __future__ import annotations

import os

from .errors import RingstandError


def is_inside(source: str, path: str) -> bool:
    """Whether ``path``, with its links followed, is the source or in it."""
    root = os.path.realpath(source)
    return os.path.commonpath([os.path.realpath(os.path.join(source, path)), root]) == root


def read_inside(source: str, name: str) -> bytes:
    """The content of a file of the source; raises RingstandError when it is a link that leads out of it."""
    if not is_inside(source, name):
        raise RingstandError(f"Failed to read {name}: it is a link that leads out of the source. Put the file there.")
    with open(os.path.join(source, name), "rb") as stream:
        return stream.read()

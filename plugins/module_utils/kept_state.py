# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read what long work has written down of itself, so that a later run finds it."""

from __future__ import annotations

import json
from typing import TypeVar

from .errors import RingstandError

_State = TypeVar("_State")


def read(path: str, kind: type[_State], damaged: str) -> _State | None:
    """The dataclass in a file, or None without one; raises :class:`RingstandError`, which ends with ``damaged``."""
    try:
        with open(path, encoding="utf-8") as stream:
            found = json.load(stream)
        return kind(**{key: found[key] for key in kind.__annotations__})
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise RingstandError(f"Failed to read {path}: {error!r}. {damaged}") from error

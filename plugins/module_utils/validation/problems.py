# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is wrong with the input, collected so that one run names everything."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

SHOWN_LENGTH = 120


@dataclass(frozen=True)
class Problem:
    """One finding: the variable's path, its value as text ("" when secret or absent), the rule and the remedy."""

    path: str
    value: str
    rule: str
    remedy: str

    def __str__(self) -> str:
        subject = f"{self.path} = {self.value}" if self.value else self.path
        return f"{subject}: {self.rule}. {self.remedy}{'' if self.remedy.endswith('?') else '.'}"


def show(value: Any) -> str:
    """``value`` as the user would write it, on one line: less what is in a container or before the @ of a URL."""
    if isinstance(value, (dict, list)) and value:
        return "{…}" if isinstance(value, dict) else "[…]"
    text = re.sub(r"://[^/\s]*@", "://…@", json.dumps(value, ensure_ascii=False, default=str))
    return text if len(text) <= SHOWN_LENGTH else f"{text[:SHOWN_LENGTH]}…"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The one of ``known`` that ``name`` most probably means, or None."""
    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.7)
    return close[0] if close else None


def join(path: str, key: Any) -> str:
    """The path of an item: ``a.b`` for a key, ``a[0]`` for a position."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else str(key)


@dataclass
class Problems:
    """Errors stop the run; notes only tell what will be done with the input."""

    errors: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)

    def add(self, path: str, rule: str, remedy: str, value: Any = None, *, secret: bool = False) -> None:
        """Note an error; ``value`` is quoted unless it is None or ``secret``."""
        shown = "" if secret or value is None else show(value)
        self.errors.append(Problem(path, shown, rule, remedy))

    def note(self, path: str, rule: str, remedy: str, value: Any = None) -> None:
        """Tell something that is accepted but should be known."""
        self.notes.append(Problem(path, "" if value is None else show(value), rule, remedy))

    def message(self) -> str:
        """Every error on a line of its own, under one heading."""
        count = len(self.errors)
        heading = f"Failed to accept the variables: {count} problem{'s' if count != 1 else ''}. Nothing was changed."
        return "\n".join([heading, *(f"- {error}" for error in self.errors)])

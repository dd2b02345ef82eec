# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Carry out changes to ufw that ``firewall.plan_changes`` has found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from . import commands
from .errors import RingstandError
from .firewall import COMMENT
from .firewall_state import read_firewall

Rule = Mapping[str, str]


@dataclass(frozen=True)
class Changes:
    """Rules of port, proto and from to allow and to remove, and whether ufw is switched on or loads its files again."""

    missing: Sequence[Rule] = ()
    stale: Sequence[Rule] = ()
    comment: str = COMMENT
    enable: bool = False
    reload: bool = False

    def in_words(self) -> list[str]:
        """One line each, in the order in which they are made."""
        return [
            *(f"allow {_in_words(rule)}" for rule in self.missing),
            *(f"no longer allow {_in_words(rule)}" for rule in self.stale),
            *(["refuse everything else"] if self.enable else []),
            *(["load the files again"] if self.reload else []),
        ]

    def calls(self) -> list[list[str]]:
        """What ufw is called with. What lets traffic in comes first: who runs this must not be locked out."""
        return [
            *(["allow", *_words(rule), "comment", self.comment] for rule in self.missing),
            *(["delete", "allow", *_words(rule)] for rule in self.stale),
            *([["default", "deny", "incoming"], ["--force", "enable"]] if self.enable else []),
            *([["reload"]] if self.reload else []),
        ]


def apply(changes: Changes) -> None:
    """Make the changes. Raises RingstandError with what ufw said, or when it is not on although it was switched on."""
    for words in changes.calls():
        result = commands.run(["ufw", *words])
        if result.rc != 0:
            raise RingstandError(
                f"Failed to change the firewall: ufw {' '.join(words)}: {(result.stderr or result.stdout).strip()}",
                rc=result.rc,
                stderr=result.stderr,
            )
    if changes.enable:
        state = read_firewall()
        if not (state["enabled"] and state["active"]):
            raise RingstandError("Failed to switch the firewall on: ufw reports no error, but `ufw status` is inactive")


def _in_words(rule: Rule) -> str:
    return f"{rule['port']}/{rule['proto']} from {rule['from']}"


def _words(rule: Rule) -> list[str]:
    return ["proto", rule["proto"], "from", rule["from"], "to", "any", "port", rule["port"]]

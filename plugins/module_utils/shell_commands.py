# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Shell command lines as far as a unit or a Procfile has to understand them: where one command ends."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

_QUOTED = re.compile(r"'[^']*'|\"(?:\\.|[^\"\\])*\"|\\.")
_OPERATOR = re.compile(r"&&|\|\||;|\||(?<![<>])&(?!>)|\n")
_NOT_ALONE = frozenset(
    ("if", "then", "for", "while", "until", "case", "do", "done", "fi", "esac", "!", "{")
    + ("exec", "eval", "wait", "trap", "exit")
)
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")


@dataclass(frozen=True)
class Command:
    """One command as it is written, and the operator before it (empty for the first one)."""

    text: str
    operator: str = ""

    @property
    def words(self) -> list[str]:
        """Its words without quotes; none when its quotes do not match."""
        try:
            return shlex.split(self.text)
        except ValueError:
            return []


def split_commands(line: str) -> list[Command]:
    """The commands of a line, in order. Operators in quotes and redirections such as ``2>&1`` do not part them."""
    commands, begin, operator = [], 0, ""
    for position, end in _operators(line):
        commands.append(Command(line[begin:position].strip(), operator))
        begin, operator = end, line[position:end]
    commands.append(Command(line[begin:].strip(), operator))
    return [command for command in commands if command.text]


def _operators(line: str) -> Iterator[tuple[int, int]]:
    position = 0
    while position < len(line):
        quoted = _QUOTED.match(line, position)
        found = None if quoted else _OPERATOR.match(line, position)
        if found:
            yield found.span()
        position = (quoted or found).end() if quoted or found else position + 1  # type: ignore[union-attr]


def program_words(words: list[str]) -> list[str]:
    """The words of a command without assignments and ``exec``, ``env`` or ``time`` before it."""
    position = 0
    while position < len(words) and (words[position] in ("exec", "env", "time") or _ASSIGNMENT.match(words[position])):
        position += 1
    return words[position:]


def with_exec(line: str) -> str:
    """The line with its last command in place of the shell, so that signals reach that and not a shell before it.

    What cannot stand alone (a pipeline, a command in the background, a group, a loop, a builtin) stays as it is.
    """
    commands = split_commands(line)
    if not commands or line.rstrip().endswith((";", "&")) or not commands[-1].words:
        return line
    last = commands[-1]
    if last.operator in ("||", "|", "&") or any(map(_is_not_alone, commands)):
        return line
    how = "exec env " if _ASSIGNMENT.match(last.words[0]) else "exec "
    return line.rstrip()[: -len(last.text)] + how + last.text


def _is_not_alone(command: Command) -> bool:
    first = command.words[0] if command.words else "("
    return first.startswith("(") or first in _NOT_ALONE

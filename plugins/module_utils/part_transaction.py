# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""File changes of which one refused part does not hold up the others.

What is below ``tree`` is tried in a :class:`Stage` before any of it is changed. Where the host allows none (a container
without the right to mount), it is tried in place and put back.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from . import commands, file_parts, file_transaction, files
from .errors import RingstandError
from .file_nodes import ABSENT, FILE, Node, read_node, remove
from .file_parts import COMMON, NEW, OLD, Decision
from .file_stage import Stage
from .files import Change, Entry

_LINE_LENGTH_MAX = 200


@dataclass(frozen=True)
class Refused:
    """A part that was refused: what the validation said, the line that it named, and whether an old version is kept."""

    part: str
    reason: str
    line: str
    kept: bool

    def as_dict(self) -> dict[str, Any]:
        """For a module's result."""
        return asdict(self)

    def __str__(self) -> str:
        now = "keeps its last good version" if self.kept else "is left out"
        return f"{self.part} {now}: {self.reason}{f' ({self.line})' if self.line else ''}"


@dataclass
class Applied:
    """What was changed, and which parts were not."""

    changes: list[Change] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)


def apply(entries: Sequence[Entry], validate: Sequence[str], tree: str) -> Applied:
    """Bring the host to the entries, less the parts that are refused.

    What is outside ``tree`` comes first, so that the validation finds it. RingstandError, with everything put back,
    when what all parts need is refused or something cannot be written.
    """
    if not files.plan(entries):
        return Applied()
    with file_transaction.only_one_run() as alone:
        compared = files.compare(entries)  # another run may have changed things while this one waited
        inside, outside = _divided(compared, tree)
        done: list[Change] = []
        with file_transaction.signals_raise():
            try:
                for change in outside:
                    done.append(change)
                    file_transaction.place(change, alone)
                with _trial(inside, validate, tree, alone) as refusal:
                    decision = _decide(inside, refusal)
                for change in _chosen(inside, decision.choice):
                    done.append(change)
                    file_transaction.place(change, alone)
                unwanted = [change for change in outside if change.entry.part in decision.reasons]
                failures = file_transaction.restore(unwanted)
                if failures:
                    raise RingstandError(f"Failed to put back what belongs to refused parts: {'; '.join(failures)}")
            except BaseException as error:
                file_transaction.fail_restored(error, file_transaction.restore(done))
    return Applied([change for change in done if change not in unwanted], _refused(inside, decision))


def foresee(entries: Sequence[Entry], validate: Sequence[str], tree: str) -> Applied | None:
    """What :func:`apply` would do, or raise what it would raise; None where that cannot be known."""
    if not os.path.isdir(tree):
        return None
    compared = files.compare(entries, check=True)
    inside, outside = _divided(compared, tree)
    changes = [change for change in compared if change.differences]
    if not changes:
        return Applied()
    try:
        with Stage(tree) as stage:
            if not stage.possible(change.entry.path for change in inside):
                return None
            decision = _decide(inside, _staged(stage, inside, validate))
    except OSError:
        return None  # not as root
    finally:
        _remove_made(outside)
    chosen = {change.entry.path: change for change in _chosen(inside, decision.choice)}
    kept = [change for change in outside if change.entry.part not in decision.reasons]
    return Applied([*kept, *chosen.values()], _refused(inside, decision))


def _divided(compared: Sequence[Change], tree: str) -> tuple[list[Change], list[Change]]:
    inside = [change for change in compared if change.entry.path.startswith(f"{tree.rstrip('/')}/")]
    return inside, [change for change in compared if change not in inside and change.differences]


def _decide(inside: Sequence[Change], refusal: file_parts.Refusal) -> Decision:
    parts = list(dict.fromkeys(change.entry.part for change in inside if change.entry.part))
    existing = {change.entry.part for change in inside if change.before.kind != ABSENT}
    return file_parts.decide(parts, existing, refusal)


def _node(change: Change, choice: Mapping[str, str]) -> Node:
    which = choice[change.entry.part or COMMON]
    return change.after if which == NEW else change.before if which == OLD else Node(ABSENT)


def _chosen(inside: Sequence[Change], choice: Mapping[str, str]) -> list[Change]:
    wanted = [replace(change, after=_node(change, choice)) for change in inside]
    return [change for change in wanted if change.differences]


@contextmanager
def _trial(inside: Sequence[Change], validate: Sequence[str], tree: str, alone: bool) -> Iterator[file_parts.Refusal]:
    with ExitStack() as stack:
        refusal = _in_place(inside, validate, alone)
        with suppress(OSError):  # such as for somebody who is not root
            stage = stack.enter_context(Stage(tree))
            if stage.possible(change.entry.path for change in inside):
                refusal = _staged(stage, inside, validate)
        yield refusal


def _staged(stage: Stage, inside: Sequence[Change], validate: Sequence[str]) -> file_parts.Refusal:
    secrets = file_transaction.secrets_of(inside)

    def refusal(choice: Mapping[str, str]) -> RingstandError | None:
        stage.put([(change.entry.path, _node(change, choice)) for change in inside])
        return _said(validate, secrets, stage.run)

    return refusal


def _in_place(inside: Sequence[Change], validate: Sequence[str], alone: bool) -> file_parts.Refusal:
    secrets = file_transaction.secrets_of(inside)

    def refusal(choice: Mapping[str, str]) -> RingstandError | None:
        done: list[Change] = []
        try:
            for change in _chosen(inside, choice):
                done.append(change)
                file_transaction.place(change, alone)
            return _said(validate, secrets)
        finally:
            failures = file_transaction.restore(done)
            if failures:
                raise RingstandError(f"Failed to put back what was tried: {'; '.join(failures)}")

    return refusal


def _said(
    validate: Sequence[str], secrets: Sequence[str], run: file_transaction.Runner = commands.run
) -> RingstandError | None:
    try:
        file_transaction.validate_all(validate, secrets, run)
    except file_transaction.Interrupted:
        raise
    except RingstandError as error:
        return error
    return None


def _refused(inside: Sequence[Change], decision: Decision) -> list[Refused]:
    found = []
    for part, error in decision.reasons.items():
        reason = " / ".join((error.details.get("stderr") or error.message).splitlines())
        there = any(change.before.kind != ABSENT for change in inside if change.entry.part == part)
        found.append(Refused(part, reason, _line(reason, inside), there and decision.choice[part] == OLD))
    return found


def _line(reason: str, inside: Sequence[Change]) -> str:
    """The line that a message names as FILE:NUMBER, since a refused file is nowhere to be looked at."""
    for change in inside:
        named = re.search(rf"{re.escape(change.entry.path)}:(\d+)", reason)
        if named and change.after.kind == FILE and not change.entry.secret:
            lines = change.after.content.decode(errors="replace").splitlines()
            number = int(named[1])
            return lines[number - 1].strip()[:_LINE_LENGTH_MAX] if 0 < number <= len(lines) else ""
    return ""


def _remove_made(outside: Sequence[Change]) -> None:
    """What a validation made of what was only foreseen: nginx -t makes the logs that it is to write."""
    for change in outside:
        foreseen = change.before.kind == ABSENT and change.after.kind == FILE
        made = read_node(change.entry.path) if foreseen else change.before
        if made.kind == FILE and not made.content:
            remove(change.entry.path, FILE)

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which parts of a configuration go into service when the whole of it is refused."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from .errors import RingstandError

NEW, OLD, OUT = "new", "old", "out"
COMMON = ""  # what belongs to no part, and that all of them need

Choice = dict[str, str]
Refusal = Callable[[Mapping[str, str]], "RingstandError | None"]


@dataclass(frozen=True)
class Decision:
    """For each part NEW, OLD (as it is on the host) or OUT, and why those that are not NEW are not."""

    choice: Choice
    reasons: dict[str, RingstandError]


def decide(parts: Sequence[str], existing: Collection[str], refusal: Refusal) -> Decision:
    """The choice with which most parts are new and none is lost that works.

    ``refusal`` tries a choice and returns why it is refused, or None; ``existing`` are the parts of which something is
    on the host. All new versions together are tried first, then each on top of the old ones: a part that goes against
    another one's working version is the one to blame. When the old ones are refused together, the parts are tried from
    nothing. Raises RingstandError when what all parts need is refused, or would cost a part that works as it is.
    """
    whole = refusal(_all(parts, NEW))
    if whole is None:
        return Decision(_all(parts, NEW), {})
    if not parts:
        raise whole
    choice = _all(parts, OLD)
    if refusal(choice) is None:
        return Decision(choice, _advance(parts, existing, choice, refusal))
    choice = _all(parts, OUT)
    common = refusal(choice)
    if common is not None:
        raise common
    reasons = _advance(parts, existing, choice, refusal)
    for name in [name for name in reasons if name in existing]:
        if refusal({**choice, name: OLD}) is None:
            choice[name] = OLD
    lost = [name for name in reasons if name in existing and choice[name] == OUT]
    if lost and refusal({**_all(parts, OLD), COMMON: OLD}) is None:
        names, error = ", ".join(lost), reasons[lost[0]]
        why = f"neither the new nor the last good version of {names} works with the rest, so nothing was changed"
        raise RingstandError(f"{error.message}; {why}", **error.details)
    return Decision(choice, reasons)


def _all(parts: Sequence[str], which: str) -> Choice:
    return {**dict.fromkeys(parts, which), COMMON: NEW}


def _advance(
    parts: Sequence[str], existing: Collection[str], choice: Choice, refusal: Refusal
) -> dict[str, RingstandError]:
    """Make as many parts of ``choice`` new as go together; returns why the others are refused."""
    reasons: dict[str, RingstandError] = {}
    left = sorted(parts, key=lambda name: name not in existing)  # what was there first stays, in a dispute
    count = len(left) + 1
    while 0 < len(left) < count:  # a part that was refused may need what another one has only now
        count = len(left)
        _try_halves(left, choice, refusal, reasons)
        left = [name for name in left if name in reasons]
    return {name: reasons[name] for name in parts if name in reasons}


def _try_halves(
    names: Sequence[str], choice: Choice, refusal: Refusal, reasons: dict[str, RingstandError]
) -> None:
    wanted = {**choice, **dict.fromkeys(names, NEW)}
    said = refusal(wanted)
    if said is None:
        choice.update(wanted)
        for name in names:
            reasons.pop(name, None)
    elif len(names) == 1:
        reasons[names[0]] = said
    else:
        middle = len(names) // 2
        _try_halves(names[:middle], choice, refusal, reasons)
        _try_halves(names[middle:], choice, refusal, reasons)

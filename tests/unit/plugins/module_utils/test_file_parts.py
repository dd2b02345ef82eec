"""Which parts go ahead when a configuration is refused, as a table of hosts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.file_parts import COMMON, NEW, OLD, OUT, decide

State = Mapping[str, str]
Rule = Callable[[State], str]


def bad(part: str, *versions: str) -> Rule:
    return lambda state: f"{part} is bad" if state[part] in (versions or (NEW,)) else ""


def dispute(*versions: tuple[str, str]) -> Rule:
    """Two versions that cannot be there at once."""
    return lambda state: "twice" if all(state[part] == version for part, version in versions) else ""


def needs(part: str, other: str) -> Rule:
    return lambda state: f"{part} needs {other}" if state[part] == NEW and state[other] != NEW else ""


def old_needs_old_common(part: str) -> Rule:
    return lambda state: f"{part} is too old" if state[part] == OLD and state[COMMON] == NEW else ""


class Host:
    """Refuses a choice by the first rule that says something; a part that is not there yet has no old version."""

    def __init__(self, *rules: Rule, fresh: str = "") -> None:
        self.rules, self.fresh, self.tried = rules, fresh, 0

    def refusal(self, choice: State) -> RingstandError | None:
        self.tried += 1
        state = {part: OUT if part in self.fresh and which == OLD else which for part, which in choice.items()}
        said = next((said for rule in self.rules if (said := rule(state))), "")
        return RingstandError(said) if said else None

    def decide(self, parts: str) -> tuple[str, dict[str, str]]:
        decision = decide(list(parts), set(parts) - set(self.fresh), self.refusal)
        assert decision.choice[COMMON] == NEW
        chosen = "".join({NEW: part.upper(), OLD: part, OUT: "-"}[decision.choice[part]] for part in parts)
        return chosen, {part: error.message for part, error in decision.reasons.items()}


# Upper case is new, lower case what was there; "-" is left out.
@pytest.mark.parametrize(
    ("rules", "fresh", "chosen", "refused"),
    [
        ([], "", "ABCD", ""),
        ([bad("b")], "", "AbCD", "b"),
        ([bad("b")], "b", "AbCD", "b"),
        ([bad("a"), bad("d")], "", "aBCd", "ad"),
        ([bad("a"), bad("b"), bad("c"), bad("d")], "", "abcd", "abcd"),
        # What was there wins over what is new, wherever that stands in the list.
        ([dispute(("a", NEW), ("d", NEW)), dispute(("a", NEW), ("d", OLD))], "a", "aBCD", "a"),
        ([dispute(("d", NEW), ("a", NEW)), dispute(("d", NEW), ("a", OLD))], "d", "ABCd", "d"),
        # An existing one that takes from another what that has in both versions is the one to blame.
        ([dispute(("a", NEW), ("d", NEW)), dispute(("a", NEW), ("d", OLD))], "", "aBCD", "a"),
        # A move of a name from d to a is one step, and goes ahead beside a bad one.
        ([dispute(("a", NEW), ("d", OLD)), bad("b")], "", "AbCD", "b"),
        ([needs("a", "d"), bad("b")], "", "AbCD", "b"),
        # Somebody broke the file of c on the host, and the new one is good.
        ([bad("c", OLD)], "", "ABCD", ""),
        ([bad("c", OLD), bad("b")], "", "AbCD", "b"),
        ([bad("c", OLD), bad("b")], "b", "A-CD", "b"),
        # And here the new one is no better.
        ([bad("c", OLD, NEW)], "", "AB-D", "c"),
        ([bad("c", OLD, NEW), bad("a")], "", "aB-D", "ac"),
        # A change of what all share that no old version goes with.
        ([old_needs_old_common(part) for part in "abcd"], "", "ABCD", ""),
        ([*(old_needs_old_common(part) for part in "abc"), bad("d")], "d", "ABC-", "d"),
        ([*(old_needs_old_common(part) for part in "abc"), bad("d")], "", "ABCd", "d"),
    ],
)
def test_what_goes_ahead(rules: list[Rule], fresh: str, chosen: str, refused: str) -> None:
    found, reasons = Host(*rules, fresh=fresh).decide("abcd")
    assert (found, "".join(reasons)) == (chosen, refused)


def test_each_reason_is_about_its_part() -> None:
    assert Host(bad("a"), bad("c")).decide("abc")[1] == {"a": "a is bad", "c": "c is bad"}


@pytest.mark.parametrize("parts", ["", "ab"])
def test_what_all_need_stops_all(parts: str) -> None:
    host = Host(lambda state: "the rest is bad" if state[COMMON] == NEW else "", *map(bad, parts))
    with pytest.raises(RingstandError, match="the rest is bad"):
        host.decide(parts)


def test_no_part_that_works_is_lost_to_a_change_of_what_all_share() -> None:
    rules: list[Any] = [old_needs_old_common("a"), old_needs_old_common("b"), bad("b")]
    with pytest.raises(RingstandError, match="b is bad; neither the new nor the last good version of b works"):
        Host(*rules).decide("ab")


def test_all_is_well_with_one_trial_and_one_bad_of_many_is_found_with_few() -> None:
    parts = "abcdefghijklmnopqrstuvwxyz"
    good, one_bad = Host(), Host(bad("k"))
    good.decide(parts)
    assert one_bad.decide(parts)[1] == {"k": "k is bad"}
    assert (good.tried, one_bad.tried) == (1, 14)

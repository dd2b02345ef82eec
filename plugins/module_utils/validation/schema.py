# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Types, ranges, choices and known keys of nested input, as a table of fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .problems import Problems, join, nearest

TYPE_NAMES = {
    str: "text",
    int: "an integer",
    float: "a fraction",
    bool: "true or false",
    dict: "a dictionary",
    list: "a list",
}


@dataclass(frozen=True)
class Field:
    """What one value may be. ``elements`` describes the items of a list, ``options`` the keys of a dictionary."""

    types: tuple[type, ...]
    choices: tuple[Any, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    elements: Field | None = None
    options: Mapping[str, Field] | None = None
    required: bool = False
    secret: bool = False


def is_integer(value: Any) -> bool:
    """True for an integer; true and false are none, although Python says so."""
    return isinstance(value, int) and not isinstance(value, bool)


def _has_type(value: Any, types: tuple[type, ...]) -> bool:
    # bool is a subclass of int; "true" is no number here.
    return type(value) in types


def _type_remedy(value: Any, field: Field) -> str:
    if isinstance(value, str) and bool in field.types and value.lower() in ("true", "false", "yes", "no", "on", "off"):
        return "Write true or false without quotes"
    if isinstance(value, str) and int in field.types and value.strip().lstrip("-").isdigit():
        return f"Write {value.strip()} without quotes"
    if str in field.types and not field.choices and isinstance(value, (int, float, bool)):
        return "Put the value in quotes"
    if list in field.types and isinstance(value, (str, int)):
        return "Write a list, even of one item, in brackets"
    return f"Write {_expected(field)}"


def _choice_remedy(value: str, field: Field) -> str:
    close = nearest(value, field.choices)
    return f"Did you mean {close}?" if close else _type_remedy(value, Field(field.types, field.choices))


def _expected(field: Field) -> str:
    names = [TYPE_NAMES[type_] for type_ in field.types]
    if field.choices:
        names = [str(choice) for choice in field.choices] + [name for name in names if name != "text"]
    return " or ".join(names)


def _check_number(value: float, field: Field, path: str, problems: Problems) -> bool:
    low, high = field.minimum, field.maximum
    if (low is None or value >= low) and (high is None or value <= high):
        return True
    limits = f"between {low} and {high}" if high is not None else f"at least {low}"
    problems.add(path, f"the number must be {limits}", "Choose one in that range", value)
    return False


def check_keys(value: Mapping[Any, Any], options: Mapping[str, Field], path: str, problems: Problems) -> None:
    """Refuse unknown keys with the nearest known one, require the required, check the others."""
    for key, item in value.items():
        if key in options:
            check(item, options[key], join(path, key), problems)
            continue
        close = nearest(str(key), options)
        remedy = f"Did you mean '{close}'?" if close else f"Use one of: {', '.join(options)}"
        problems.add(join(path, str(key)), "this key is not known", remedy)
    for key, option in options.items():
        if option.required and value.get(key) in (None, "", [], {}):
            problems.add(join(path, key), "this is required", "Add it")


def check(value: Any, field: Field, path: str, problems: Problems) -> bool:
    """True when ``value`` is as ``field`` says; None stands for the default and is accepted."""
    if value is None:
        return True
    if not _has_type(value, field.types):
        remedy = "Put the value in quotes" if field.secret and field.types == (str,) else _type_remedy(value, field)
        problems.add(path, f"the value must be {_expected(field)}", remedy, value, secret=field.secret)
        return False
    if field.choices and isinstance(value, str) and value not in field.choices:
        problems.add(path, f"the value must be {_expected(field)}", _choice_remedy(value, field), value)
        return False
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _check_number(value, field, path, problems)
    before = len(problems.errors)
    if isinstance(value, dict) and field.options is not None:
        check_keys(value, field.options, path, problems)
    if isinstance(value, list) and field.elements:
        for position, item in enumerate(value):
            if item is None:
                problems.add(join(path, position), "the item is empty", "Remove it or give it a value")
            check(item, field.elements, join(path, position), problems)
    return len(problems.errors) == before

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Planned file changes in the form in which Ansible prints differences, without secrets."""

from __future__ import annotations

import grp
import pwd
from collections.abc import Callable
from typing import Any

from .file_nodes import ABSENT, FILE, LINK, Node
from .files import Change


def describe(change: Change) -> list[dict[str, Any]]:
    """The parts of one change: its content, when that may be shown, and its attributes."""
    path, differences = change.entry.path, change.differences
    parts: list[dict[str, Any]] = []
    if FILE in (change.before.kind, change.after.kind) and ("kind" in differences or "content" in differences):
        reason = _hidden(change)
        if reason:
            parts.append({"prepared": f"{path}: content differs, not shown: {reason}\n"})
        else:
            before, after = (node.content.decode() for node in (change.before, change.after))
            parts.append({"before": before, "after": after, "before_header": path, "after_header": path})
    before, after = (_attributes(node) for node in (change.before, change.after))
    if before != after:
        parts.append({"prepared": f"{path}: {before} -> {after}\n"})
    return parts


def _hidden(change: Change) -> str:
    if change.entry.secret:
        return "it is secret"
    for node in (change.before, change.after):
        if node.kind == FILE and not node.mode & 0o044:
            return "only its owner may read it"
        try:
            text = node.content.decode()
        except UnicodeDecodeError:
            return "it is binary"
        if "\0" in text:
            return "it is binary"
    return ""


def _attributes(node: Node) -> str:
    if node.kind == ABSENT:
        return ABSENT
    owner = f"{_name(node.uid, _user_name)}:{_name(node.gid, _group_name)}"
    return f"link to {node.target} {owner}" if node.kind == LINK else f"{node.kind} {owner} {node.mode:04o}"


def _name(number: int | None, look_up: Callable[[int], str]) -> str:
    if number is None:
        return "(not there yet)"
    try:
        return look_up(number)
    except KeyError:
        return str(number)


def _user_name(number: int) -> str:
    return pwd.getpwuid(number).pw_name


def _group_name(number: int) -> str:
    return grp.getgrgid(number).gr_name

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Many configuration files as one transaction: check all, then change in order, or put everything back."""

from __future__ import annotations

import base64
import binascii
import grp
import os
import pwd
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from . import file_nodes
from .commands import check_command
from .errors import RingstandError
from .file_nodes import ABSENT, DIRECTORY, FILE, LINK, OTHER, Node

PRESENT = "present"
STATES = (PRESENT, ABSENT, DIRECTORY, LINK)
_DEFAULT_MODES = {PRESENT: 0o644, DIRECTORY: 0o755}
_CONTENTS = ("content", "secret_content", "content_base64")
_IDENTIFIER = re.compile(r"[0-9]+")
# Directories that belong to the system: they can be parents, but neither their owner nor their mode is ours.
_SYSTEM_DIRECTORIES = frozenset(
    """
    / /bin /boot /dev /etc /home /lib /lib32 /lib64 /media /mnt /opt /proc /root /run /sbin /srv /sys /tmp /usr /var
    /usr/bin /usr/lib /usr/local /usr/sbin /usr/share /var/cache /var/lib /var/log /var/run /var/spool /var/tmp
    """.split()  # noqa: SIM905
)


@dataclass(frozen=True)
class Entry:
    """One wanted file, directory, link or absence, as checked by ``parse_entry``."""

    path: str
    state: str = PRESENT
    content: bytes = b""
    secret: bool = False
    owner: str = "root"
    group: str = "root"
    mode: int = 0
    target: str = ""
    validate: str = ""
    force: bool = True
    part: str = ""


@dataclass(frozen=True)
class Change:
    """An entry, what is at its path, and what is to be there."""

    entry: Entry
    before: Node
    after: Node

    @property
    def differences(self) -> list[str]:
        """What differs: kind, content, target, owner, group, mode."""
        return self.before.differences(self.after)


def _refuse(path: Any, reason: str) -> RingstandError:
    return RingstandError(f"Failed to check {path!r}: {reason}")


def parse_entry(raw: Mapping[str, Any]) -> Entry:
    """Check one entry without looking at the host.

    Raises RingstandError naming the path, the option, its value and the remedy.
    """
    path = _parse_path(raw.get("path"))
    state = raw.get("state") or PRESENT
    if state not in STATES:
        raise _refuse(path, f"state is {state!r}; use one of {', '.join(STATES)}")
    given = [name for name in _CONTENTS if raw.get(name) is not None]
    if state == PRESENT and len(given) != 1:
        found = f"{' and '.join(given)} are" if given else "none is"
        raise _refuse(path, f"a file needs exactly one of {', '.join(_CONTENTS)}; {found} given")
    for name in (*_CONTENTS, "validate"):
        if state != PRESENT and raw.get(name):
            raise _refuse(path, f"{name} is for files; state is {state!r}")
    target = raw.get("target") or ""
    if (state == LINK) != bool(target):
        raise _refuse(path, "a link needs a target" if state == LINK else f"target is for links; state is {state!r}")
    if "\0" in target:
        raise _refuse(path, "target has a NUL character")
    if raw.get("mode") is not None and state not in _DEFAULT_MODES:
        raise _refuse(path, f"mode is for files and directories; state is {state!r}")
    validate = raw.get("validate") or ""
    if validate:
        check_command(validate, f"validate of {path!r}", placeholder=True)
    force = raw.get("force")
    part = raw.get("part") or ""
    if part and state == DIRECTORY:
        raise _refuse(path, "a directory belongs to no part; parts have files and links")
    return Entry(
        path=path,
        state=state,
        content=_parse_content(path, given[0], raw[given[0]]) if given else b"",
        secret="secret_content" in given,
        owner=_parse_name(path, "owner", raw.get("owner")),
        group=_parse_name(path, "group", raw.get("group")),
        mode=_parse_mode(path, raw.get("mode"), _DEFAULT_MODES.get(state, 0)),
        target=target,
        validate=validate,
        force=True if force is None else bool(force),
        part=part,
    )


def refuse_parts(entries: Iterable[Entry]) -> None:
    """Refuse parts where nothing can tell which of them is to blame."""
    for entry in entries:
        if entry.part:
            raise _refuse(entry.path, f"it belongs to part {entry.part!r}; parts need stage_dir")


def _parse_path(path: Any) -> str:
    if not isinstance(path, str) or not path.startswith("/"):
        raise _refuse(path, "a path must be absolute, such as '/etc/nginx/nginx.conf'")
    if "\0" in path or "\n" in path:
        raise _refuse(path, "a path cannot have a NUL character or a line break")
    components = [part for part in path.split("/") if part]
    if not components:
        raise _refuse(path, "'/' cannot be managed; name a file or directory below it")
    if ".." in components or "." in components:
        raise _refuse(path, "'.' and '..' are not allowed; write the path without them")
    return "/" + "/".join(components)


def _parse_content(path: str, option: str, value: Any) -> bytes:
    if not isinstance(value, str):
        kind = type(value).__name__
        raise _refuse(path, f"{option} must be text, not {kind}; render it with a filter such as to_json")
    try:
        return base64.b64decode(value, validate=True) if option == "content_base64" else value.encode()
    except (binascii.Error, ValueError) as error:
        reason = "is not valid base64" if option == "content_base64" else "cannot be written as UTF-8"
        # The exception's text may quote the content.
        raise _refuse(path, f"{option} {reason}; use content_base64 with the b64encode filter for binary files") from (
            None if option == "secret_content" else error
        )


def _parse_name(path: str, option: str, value: Any) -> str:
    if value is None:
        return "root"
    if not isinstance(value, (str, int)) or isinstance(value, bool) or not re.fullmatch(r"[^\s:\0/]+", str(value)):
        raise _refuse(path, f"{option} is {value!r}; give a name or a numeric id")
    return str(value)


def _parse_mode(path: str, value: Any, default: int) -> int:
    if value is None:
        return default
    if not isinstance(value, str):
        raise _refuse(path, f'mode is the number {value!r}; quote it as an octal string, such as mode: "0640"')
    if not re.fullmatch(r"[0-7]{3,4}", value):
        raise _refuse(path, f'mode is {value!r}; give three or four octal digits, such as "0640"')
    return int(value, 8)


def plan(entries: Iterable[Entry], check: bool = False) -> list[Change]:
    """Compare every entry with the host and return those that differ, in order. See :func:`compare`."""
    return [change for change in compare(entries, check) if change.differences]


def compare(entries: Iterable[Entry], check: bool = False) -> list[Change]:
    """Every entry beside what is on the host, in order. Changes nothing.

    With ``check`` a user, group or parent directory that does not exist (yet) is accepted, because an earlier task that
    check mode did not really run may make it. Raises RingstandError for whatever could not be applied.
    """
    virtual: dict[str, str] = {}  # what earlier entries will have put where
    names: dict[str, str] = {}
    changes = []
    for entry in entries:
        real = os.path.join(os.path.realpath(os.path.dirname(entry.path)), os.path.basename(entry.path))
        if real in names:
            also = "" if names[real] == entry.path else f" (also written {names[real]!r})"
            raise _refuse(entry.path, f"the path is listed twice{also}; remove one of the entries")
        names[real] = entry.path
        try:
            before = file_nodes.read_node(entry.path)
        except OSError as error:
            raise _refuse(entry.path, error.strerror or str(error)) from error
        _check_parent(entry, real, virtual, check)
        after = _wanted(entry, real, before, virtual, check)
        virtual[real] = after.kind
        changes.append(Change(entry, before, after))
    return changes


def _check_parent(entry: Entry, real: str, virtual: Mapping[str, str], check: bool) -> None:
    parent = os.path.dirname(real)
    named = os.path.dirname(entry.path)
    if os.path.islink(named) and not os.path.exists(named):
        raise _refuse(entry.path, f"its directory {named!r} is a link to {os.readlink(named)!r}, which is not there")
    planned = virtual.get(parent)
    if planned in (FILE, LINK) or (planned is None and os.path.lexists(parent) and not os.path.isdir(parent)):
        raise _refuse(entry.path, f"{named!r} is not a directory")
    missing = planned == ABSENT or (planned is None and not os.path.isdir(parent))
    if missing and not check and entry.state != ABSENT:
        raise _refuse(entry.path, f"its directory {named!r} does not exist; list it before, with state: directory")


def _wanted(entry: Entry, real: str, before: Node, virtual: Mapping[str, str], check: bool) -> Node:
    if real in _SYSTEM_DIRECTORIES and entry.state != DIRECTORY:
        raise _refuse(entry.path, "it is a directory of the system and cannot be a file, a link or absent")
    if before.kind == OTHER:
        raise _refuse(entry.path, "a device, pipe or socket is there; remove it first")
    if entry.state == ABSENT:
        if before.kind == DIRECTORY and _remaining(real, virtual):
            raise _refuse(entry.path, f"the directory is not empty ({_remaining(real, virtual)[0]!r}); empty it first")
        return Node(ABSENT)
    if entry.state in (PRESENT, LINK) and before.kind == DIRECTORY:
        raise _refuse(entry.path, f"a directory is there and a {'file' if entry.state == PRESENT else LINK} is wanted")
    if entry.state == DIRECTORY and before.kind != ABSENT and not os.path.isdir(entry.path):
        raise _refuse(entry.path, f"a {before.kind} is there and a directory is wanted; remove it first")
    if not entry.force and before.kind != ABSENT:
        return before
    uid, gid = _user_id(entry, check), _group_id(entry, check)
    if entry.state == PRESENT:
        return Node(FILE, uid, gid, entry.mode, entry.content)
    if entry.state == LINK:
        return Node(LINK, uid, gid, target=entry.target)
    return _wanted_directory(entry, real, before, Node(DIRECTORY, uid, gid, entry.mode))


def _wanted_directory(entry: Entry, real: str, before: Node, wanted: Node) -> Node:
    if before.kind == LINK:
        raise _refuse(entry.path, f"it is a link to a directory; name {os.path.realpath(entry.path)!r} instead")
    if real in _SYSTEM_DIRECTORIES and before.differences(wanted):
        raise _refuse(entry.path, "it is a directory of the system; use force: false to leave its owner and mode")
    return wanted


def _remaining(real: str, virtual: Mapping[str, str]) -> list[str]:
    return sorted(name for name in os.listdir(real) if virtual.get(os.path.join(real, name)) != ABSENT)


def _user_id(entry: Entry, check: bool) -> int | None:
    if _IDENTIFIER.fullmatch(entry.owner):
        return int(entry.owner)
    try:
        return pwd.getpwnam(entry.owner).pw_uid
    except KeyError:
        if check:
            return None
        raise _refuse(entry.path, f"owner {entry.owner!r} is not a user of this host; create it before") from None


def _group_id(entry: Entry, check: bool) -> int | None:
    if _IDENTIFIER.fullmatch(entry.group):
        return int(entry.group)
    try:
        return grp.getgrnam(entry.group).gr_gid
    except KeyError:
        if check:
            return None
        raise _refuse(entry.path, f"group {entry.group!r} is not a group of this host; create it before") from None


def content_kept(change: Change) -> Node:
    """The node to write: a file whose content stays keeps its modification time, so that nothing reloads for a mode."""
    if change.before.kind == FILE and "content" not in change.differences:
        return replace(change.after, modified_ns=change.before.modified_ns)
    return change.after

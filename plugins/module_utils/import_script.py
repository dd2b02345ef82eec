# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A dump in plain SQL, line by line: what it is about, and which of its lines an app's own role can run."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from .errors import RingstandError

_SECTION = re.compile(rb"^-- (?:Data for )?Name: (.+); Type: ([A-Z ]+); Schema: ([^;]+);")
_VERSION = re.compile(rb"^-- Dumped from database version (\d+)")
_NAME = rb'("(?:[^"]|"")+"|[^\s".]+)'
_COPY = re.compile(rb"^COPY (?:" + _NAME + rb"\.)?" + _NAME + rb" (?:\(.*\) )?FROM stdin;$")
_EXTENSION = re.compile(rb'^CREATE EXTENSION (?:IF NOT EXISTS )?("(?:[^"]|"")+"|[^\s;"]+)(?: WITH SCHEMA ([^\s;]+))?')
# That of an extension is there already.
_SCHEMA = re.compile(rb"^CREATE SCHEMA (?!IF NOT EXISTS )")
_OWNER = re.compile(rb"^ALTER .* OWNER TO [^;]+;$")
# Since 2025 pg_dump begins and ends with the first two, and a psql that does not know them stops there; the third comes
# of --create. A server before 17 does not know the setting.
_DROPPED = re.compile(rb"^(?:\\(?:un)?restrict |\\connect |SET transaction_timeout = )")
_COMMAND = re.compile(rb"^\\(!|c|i|ir|include|include_relative|o|out|g|gexec|copy|setenv|w|write|cd|lo_\w+)(?:\s|$)")
_TYPES_LEFT_OUT = (b"ACL", b"DEFAULT ACL", b"EXTENSION", b"PUBLICATION", b"PUBLICATION TABLE", b"SUBSCRIPTION",
                   b"EVENT TRIGGER", b"DATABASE", b"DATABASE PROPERTIES")


@dataclass
class Facts:
    """What a dump is about: its server's major version, extensions with their schemas, and rows by table.

    The number of rows is None where the dump does not tell it.
    """

    version: int | None = None
    extensions: dict[str, str] = field(default_factory=dict)
    tables: dict[str, int | None] = field(default_factory=dict)


class Script:
    """Fed with the lines of a dump; returns those to run, and gathers what it is about in ``facts``."""

    def __init__(self) -> None:
        self.facts = Facts()
        self._copying: str | None = None
        self._left_out = False

    def feed(self, line: bytes) -> bytes | None:
        """The line, or None for one that is not to be run. Raises :class:`RingstandError` for what leads elsewhere."""
        if self._copying is not None:
            if line.rstrip(b"\r\n") == b"\\.":
                self._copying = None
            else:
                self.facts.tables[self._copying] = (self.facts.tables[self._copying] or 0) + 1
            return line
        bare = line.rstrip(b"\r\n")
        section = _SECTION.match(bare)
        if section:
            name, kind = section[1], section[2]
            about_others = kind == b"COMMENT" and name.startswith((b"EXTENSION ", b"SCHEMA public"))
            if kind == b"TABLE DATA":
                table = b".".join((section[3], name)).decode(errors="replace")
                self.facts.tables.setdefault(table, None)
            self._left_out = kind in _TYPES_LEFT_OUT or about_others or (kind, name) == (b"SCHEMA", b"public")
        version = _VERSION.match(bare)
        if version:
            self.facts.version = int(version[1])
        extension = _EXTENSION.match(bare)
        if extension:
            self.facts.extensions[_plain(extension[1])] = _plain(extension[2] or b"")
            return None
        if _DROPPED.match(bare):
            return None
        command = _COMMAND.match(bare)
        if command:
            raise RingstandError(
                f"Failed to import the dump: it has the command \\{command[1].decode()} of psql, which is no SQL. "
                "Dump again with: pg_dump -Fc --no-owner --no-acl DATABASE"
            )
        copy = _COPY.match(bare)
        if copy:
            self._copying = ".".join(_plain(part) for part in copy.groups() if part)
            self.facts.tables[self._copying] = 0
        if self._left_out or _OWNER.match(bare):
            return None
        return _SCHEMA.sub(rb"CREATE SCHEMA IF NOT EXISTS ", line)


def _plain(name: bytes) -> str:
    text = name.decode(errors="replace")
    return text[1:-1].replace('""', '"') if text.startswith('"') else text

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a file or directory that pg_dump wrote is, and its SQL as an app can load it."""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any, cast

from .errors import RingstandError
from .import_script import Facts, Script
from .postgresql_programs import newest_program

ARCHIVE, DIRECTORY, PLAIN = ("archive", "directory", "plain SQL")
_HEAD_BYTES = 4096
_TAIL_BYTES = 4096
_TAR_MAGIC = (257, b"ustar")
_END = b"PostgreSQL database dump complete"
_MAJOR = re.compile(r"^(?:;|--) *Dumped from database version:? (\d+)", re.MULTILINE)
_TOC = re.compile(r"^\d+; \d+ \d+ (.+)$")
# Entries of a dump's table of contents that are nobody's but the cluster's, or made beforehand.
_LEFT_OUT = ("EXTENSION ", "COMMENT - EXTENSION ", "PUBLICATION ", "PUBLICATION TABLE ", "SUBSCRIPTION ",
             "EVENT TRIGGER ", "SCHEMA - public ", "COMMENT - SCHEMA public ", "ACL ", "DEFAULT ACL ", "DATABASE ")


@dataclass(frozen=True)
class Dump:
    """A dump of a database. ``path`` is a file or a directory; ``kind`` is one of those above."""

    path: str
    kind: str
    compressed: bool = False

    def describe(self) -> str:
        """For people."""
        return f"{self.path} ({self.kind}{', gzip' if self.compressed else ''})"


def recognise(path: str) -> Dump:
    """What is at ``path``; raises :class:`RingstandError` for what pg_dump has not written."""
    if os.path.isdir(path):
        if not os.path.isfile(os.path.join(path, "toc.dat")):
            raise RingstandError(f"Failed to import {path}: it has no toc.dat, so it is no dump (pg_dump -Fd)")
        return Dump(path, DIRECTORY)
    try:
        with open(path, "rb") as stream:
            compressed = stream.read(2) == b"\x1f\x8b"
        with _open(path, compressed) as stream:
            head = stream.read(_HEAD_BYTES)
    except (OSError, EOFError) as error:
        raise RingstandError(f"Failed to read {path}: {error}") from error
    if head.startswith(b"PGDMP") or head[_TAR_MAGIC[0] :].startswith(_TAR_MAGIC[1]):
        return Dump(path, ARCHIVE, compressed)
    if b"PostgreSQL database dump" in head:
        return Dump(path, PLAIN, compressed)
    if b"PostgreSQL database cluster dump" in head:
        raise RingstandError(
            f"Failed to import {path}: it is of a whole cluster (pg_dumpall). Dump the one database: pg_dump -Fc"
        )
    raise RingstandError(
        f"Failed to import {path}: pg_dump has not written it. Make one with: pg_dump -Fc --no-owner --no-acl DATABASE"
    )


def examine(dump: Dump) -> Facts:
    """Version, extensions and tables of a dump. Raises :class:`RingstandError` for one that is damaged or cut short."""
    if dump.kind == PLAIN:
        try:
            with _open(dump.path, dump.compressed) as stream:
                script, tail = Script(), b""
                for line in stream:
                    script.feed(line)
                    tail = (tail + line)[-_TAIL_BYTES:]
        except (OSError, EOFError) as error:
            raise RingstandError(f"Failed to read {dump.path}: {error}. It is damaged or cut short") from error
        if _END not in tail:
            raise RingstandError(f"Failed to import {dump.path}: it lacks its last line, so it was cut short")
        return script.facts
    contents = _restore_output(dump, ["--list"])
    version = _MAJOR.search(contents)
    entries = [entry for _line, entry in _entries(contents) if entry.startswith("TABLE DATA ")]
    tables = [".".join(entry.split(" ", 3)[2:]).rpartition(" ")[0] for entry in entries]
    return Facts(int(version[1]) if version else None, _extensions(dump, contents), dict.fromkeys(tables))


def _extensions(dump: Dump, contents: str) -> dict[str, str]:
    lines = [line for line, entry in _entries(contents) if entry.startswith("EXTENSION ")]
    if not lines:
        return {}
    script = Script()
    with _list_file(lines) as path:
        for line in _restore_output(dump, [f"--use-list={path}", "--file=-"]).splitlines(keepends=True):
            script.feed(line.encode())
    return script.facts.extensions


@contextlib.contextmanager
def sql(dump: Dump, script: Script) -> Iterator[Iterator[bytes]]:
    """The dump as lines of SQL for the role that runs it: without owners, privileges and what is made beforehand.

    ``script`` has counted the rows once they are read. Raises :class:`RingstandError` when not all of it can be read,
    which may come at its end.
    """
    if dump.kind == PLAIN:
        try:
            with _open(dump.path, dump.compressed) as stream:
                yield _filtered(stream, script)
        except EOFError as error:
            raise RingstandError(f"Failed to read {dump.path}: {error}") from error
        return
    contents = _restore_output(dump, ["--list"])
    lines = [line for line, entry in _entries(contents) if not f"{entry} ".startswith(_LEFT_OUT)]
    options = ["--no-owner", "--no-acl", "--file=-"]
    with _list_file(lines) as path, _restore(dump, [f"--use-list={path}", *options]) as one:
        yield _filtered(cast(IO[bytes], one.stdout), script)
        _ended(dump, one)


def _filtered(stream: IO[bytes], script: Script) -> Iterator[bytes]:
    return (kept for line in stream for kept in [script.feed(line)] if kept is not None)


def _entries(contents: str) -> list[tuple[str, str]]:
    """The lines of a table of contents, each with what it says after its numbers."""
    return [(line, match[1]) for line in contents.splitlines() for match in [_TOC.match(line)] if match]


def _open(path: str, compressed: bool) -> Any:
    return gzip.open(path, "rb") if compressed else open(path, "rb")


@contextlib.contextmanager
def _list_file(lines: Sequence[str]) -> Iterator[str]:
    with tempfile.NamedTemporaryFile("w", prefix="ringstand-import-", encoding="utf-8") as stream:
        stream.write("\n".join(lines) + "\n")
        stream.flush()
        os.chmod(stream.name, 0o644)
        yield stream.name


@contextlib.contextmanager
def _restore(dump: Dump, arguments: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    command = [newest_program("pg_restore"), *arguments]
    with contextlib.ExitStack() as stack:
        stdin: Any = subprocess.DEVNULL
        if dump.kind == DIRECTORY:
            command.append(dump.path)
        elif dump.compressed:
            stdin = stack.enter_context(_unpacked(dump.path))
        else:
            stdin = stack.enter_context(open(dump.path, "rb"))
        errors = stack.enter_context(tempfile.TemporaryFile())
        # What reads a file from elsewhere has no rights here; a directory it has to open by itself.
        rights: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": []}
        process = subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=errors, cwd="/",
                                   env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
                                   **({} if dump.kind == DIRECTORY or os.geteuid() else rights))
        process.errors = errors  # type: ignore[attr-defined]
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()


@contextlib.contextmanager
def _unpacked(path: str) -> Iterator[IO[bytes]]:
    """pg_restore goes back and forth in an archive, so it gets a file."""
    with tempfile.TemporaryFile(prefix="ringstand-import-", dir="/var/tmp") as stream:
        try:
            with gzip.open(path, "rb") as packed:
                while block := packed.read(1 << 20):
                    stream.write(block)
        except (OSError, EOFError) as error:
            raise RingstandError(f"Failed to read {path}: {error}. It is damaged or cut short") from error
        stream.seek(0)
        yield stream


def _restore_output(dump: Dump, arguments: Sequence[str]) -> str:
    with _restore(dump, arguments) as process:
        output = process.communicate()[0].decode(errors="replace")
        _ended(dump, process)
    return output


def _ended(dump: Dump, process: subprocess.Popen[bytes]) -> None:
    if process.wait() == 0:
        return
    errors = process.errors  # type: ignore[attr-defined]
    errors.seek(0)
    said = " / ".join(line.strip() for line in errors.read().decode(errors="replace").splitlines()[:3])
    newer = "unsupported version" in said
    advice = ". A newer pg_dump wrote it: install that version's postgresql-client here" if newer else ""
    raise RingstandError(f"Failed to read {dump.describe()}: {said or 'pg_restore gave no reason'}{advice}")

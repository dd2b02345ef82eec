# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Apply planned file changes in order; on any failure put everything back as it was."""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from . import commands, files, locks
from .errors import RingstandError
from .file_nodes import ABSENT, DIRECTORY, Node, Staged, put_directory, read_node, remove
from .files import Change, Entry

LOCK_PATH = "/run/ringstand-config-files.lock"
LOCK_WAIT_SECONDS = 120.0
_LOCK_POLL_SECONDS = 0.05
VALIDATE_TIMEOUT_SECONDS = 60.0
Runner = Callable[[Sequence[str], float], commands.Result]
_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


class Interrupted(RingstandError):
    """A signal asked the run to end."""


def apply(entries: Sequence[Entry], validate: Sequence[str]) -> list[Change]:
    """Bring the host to the entries and return what was changed.

    The commands in ``validate`` run once everything is in place and only when something changed. When one of them, a
    file's own validation, or a write fails, or a signal asks to stop, all paths are put back and RingstandError raised.
    One run at a time (as root): others wait.
    """
    if not files.plan(entries):
        return []
    with only_one_run() as alone:
        changes = files.plan(entries)  # another run may have changed things while this one waited
        secrets = secrets_of(changes)
        done: list[Change] = []
        with signals_raise():
            try:
                for change in changes:
                    done.append(change)
                    place(change, alone)
                if changes:
                    validate_all(validate, secrets)
            except BaseException as error:
                fail_restored(error, restore(done))
    return changes


def place(change: Change, alone: bool) -> None:
    """Make one change; ``alone`` when other runs are kept out."""
    entry, after = change.entry, files.content_kept(change)
    try:
        if after.kind == ABSENT:
            remove(entry.path, change.before.kind)
        elif after.kind == DIRECTORY:
            put_directory(entry.path, after)
        else:
            _publish(entry, after, alone)
    except OSError as error:
        verb = "remove" if after.kind == ABSENT else "write"
        hint = "; run with become" if isinstance(error, PermissionError) and os.geteuid() != 0 else ""
        raise RingstandError(f"Failed to {verb} {entry.path!r}: {error.strerror or error}{hint}") from error


def _publish(entry: Entry, node: Node, alone: bool) -> None:
    staged = Staged(entry.path, node)
    try:
        if alone:
            staged.remove_leftovers()
        if entry.validate:
            secrets = [entry.content.decode(errors="replace")] if entry.secret else []
            _validate(entry.validate, repr(entry.path), staged.path, secrets)
        staged.publish()
    finally:
        staged.discard()


def secrets_of(changes: Sequence[Change]) -> list[str]:
    """The contents that no message may show."""
    return [change.entry.content.decode(errors="replace") for change in changes if change.entry.secret]


def validate_all(validate: Sequence[str], secrets: Sequence[str], run: Runner = commands.run) -> None:
    """Run the commands that accept or refuse all that is in place. Raises RingstandError with what the first says."""
    for command in validate:
        _validate(command, "the configuration", command, secrets, run)


def _validate(command: str, what: str, path: str, secrets: Sequence[str], run: Runner = commands.run) -> None:
    argv = [word.replace("%s", path) for word in shlex.split(command)]
    result = run(argv, VALIDATE_TIMEOUT_SECONDS)
    if result.rc == 0:
        return
    stdout, stderr = (commands.redact(text, secrets).strip() for text in (result.stdout, result.stderr))
    said = (stderr or stdout).splitlines()[-5:]
    reason = f"{command!r} ended with {result.rc}" + (f": {' / '.join(said)}" if said else "")
    raise RingstandError(f"Failed to validate {what}: {reason}", rc=result.rc, stdout=stdout, stderr=stderr)


def restore(done: Sequence[Change]) -> list[str]:
    """Put the paths back, last one first, and return what could not be put back."""
    failures = []
    for change in reversed(done):
        path, before = change.entry.path, change.before
        try:
            now = read_node(path)
            if not now.differences(before):
                continue
            if before.kind == ABSENT:
                remove(path, now.kind)
            elif before.kind == DIRECTORY:
                put_directory(path, before)
            else:
                _publish(Entry(path), before, False)
        except (OSError, RingstandError) as error:
            failures.append(f"{path!r}: {error}")
    return failures


def fail_restored(error: BaseException, failures: Sequence[str]) -> NoReturn:
    """Raise the error again, with what became of the paths."""
    outcome = "every file was put back as it was"
    if failures:
        outcome = f"and these could not be put back: {'; '.join(failures)}"
    if isinstance(error, RingstandError):
        raise type(error)(f"{error.message} ({outcome})", restored=not failures, **error.details) from error
    raise error


@contextmanager
def only_one_run() -> Iterator[bool]:
    """Hold the lock; yields False for callers other than root, who have no safe common place for one."""
    if os.geteuid() != 0:
        yield False
        return
    lock = os.open(LOCK_PATH, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        if not locks.acquire(lock, LOCK_WAIT_SECONDS, _LOCK_POLL_SECONDS):
            holder = os.pread(lock, 20, 0).decode(errors="replace").strip()
            raise RingstandError(
                f"Failed to lock {LOCK_PATH!r}: process {holder or 'unknown'} still changes files "
                f"after {LOCK_WAIT_SECONDS:g} s; wait for it or end it"
            )
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        yield True
    finally:
        os.close(lock)


@contextmanager
def signals_raise() -> Iterator[None]:
    """Turn the first signal into an exception, and hold later ones off while files are put back."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise Interrupted(f"Failed to finish: stopped by {signal.Signals(number).name}")

    before = {number: signal.signal(number, interrupt) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

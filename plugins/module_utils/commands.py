# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Short commands without a shell, and their output without secrets."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .errors import RingstandError

_SECRET_WORD_LENGTH = 8
_URL_PASSWORD = re.compile(r"(://[^:/@\s]*):[^@\s]+@")
_ASSIGNMENT = re.compile(
    r"""(?i)((?:password|passwd|secret|token|api_?key)\w*["']?\s*[=:]\s*)(?:"[^"]*"|'[^']*'|\S+)"""
)


@dataclass(frozen=True)
class Result:
    """How a command ended. Text is decoded leniently: the tools are not ours."""

    rc: int
    stdout: str
    stderr: str


def run(argv: Sequence[str], timeout_seconds: float = 60.0, environment: dict[str, str] | None = None) -> Result:
    """Run a command with messages in English and administrators' directories on its PATH.

    rc is 127 for a command that cannot be executed and 124 for one that took longer than ``timeout_seconds``.
    """
    path = os.environ.get("PATH") or "/usr/bin:/bin"
    settings = {**os.environ, "LC_ALL": "C.UTF-8", "PATH": f"{path}:/usr/local/sbin:/usr/sbin:/sbin"}
    settings.update(environment or {})
    try:
        done = subprocess.run(
            list(argv),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_seconds,
            env=settings,
            check=False,
        )
    except OSError as error:
        return Result(127, "", f"{argv[0]}: {error.strerror}")
    except subprocess.TimeoutExpired:
        return Result(124, "", f"{argv[0]} did not end within {timeout_seconds:g} s")
    return Result(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


def check_command(command: str, what: str, placeholder: bool) -> None:
    """Refuse a command that cannot be split, is empty, or has or lacks the ``%s`` that stands for a file."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise RingstandError(f"Failed to check {what}: {command!r} cannot be split into words: {error}") from error
    if not words:
        raise RingstandError(f"Failed to check {what}: the command is empty")
    if placeholder and not any("%s" in word for word in words):
        raise RingstandError(f"Failed to check {what}: {command!r} has no %s to stand for the new file")
    if not placeholder and any("%s" in word for word in words):
        raise RingstandError(f"Failed to check {what}: {command!r} has a %s; use the validate of a file")


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Text without the given secrets, their words of 8 characters and more, and what looks like a password."""
    words = {word for secret in secrets for word in (*secret.splitlines(), *re.split(r"[\s=:;,'\"@/]+", secret))}
    for word in sorted((word.strip() for word in words), key=len, reverse=True):
        if len(word) >= _SECRET_WORD_LENGTH:
            text = text.replace(word, "********")
    return _ASSIGNMENT.sub(r"\1********", _URL_PASSWORD.sub(r"\1:********@", text))

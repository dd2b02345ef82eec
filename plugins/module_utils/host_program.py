# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How modules call ``ringstand``, the program on the host."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any, NoReturn

from .errors import RingstandError

if TYPE_CHECKING:  # the program on the host has no Ansible
    from ansible.module_utils.basic import AnsibleModule

PROGRAM = "/usr/local/bin/ringstand"
# Raised when an argument of the program or a key of its output changes its meaning.
PROTOCOL = 1
# Not a module's to return: Ansible takes a result with ``started`` for that of a task that goes on in the background.
_NOT_RETURNED = ("result", "started")


def _run(arguments: list[str], stdin: str | None) -> tuple[int, dict[str, Any], str]:
    given: dict[str, Any] = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
    try:
        done = subprocess.run([PROGRAM, "--json", *arguments], capture_output=True, text=True, check=False, **given)
    except FileNotFoundError as error:
        raise RingstandError(
            f"Failed to call {PROGRAM}: it is not on this host. Run site.yml, or the role ringstand.flask.cli."
        ) from error
    try:
        return done.returncode, json.loads(done.stdout), done.stderr
    except ValueError:
        raise RingstandError(
            f"Failed to read the answer of {PROGRAM} {arguments[2]}: {done.stderr.strip() or done.stdout.strip()!r}. "
            "If it is of another version than this collection, run site.yml, or the role ringstand.flask.cli.",
            rc=done.returncode,
            stderr=done.stderr,
        ) from None


def call(*arguments: str, stdin: str | None = None) -> dict[str, Any]:
    """Run one command of the program and return its JSON answer; what is secret comes by ``stdin``.

    Raises :class:`RingstandError` when it fails, is missing, or speaks another protocol than this collection.
    """
    rc, answer, stderr = _run(["--protocol", str(PROTOCOL), *arguments], stdin)
    if answer.get("result") == "failed":
        raise RingstandError(answer["reason"], **{"rc": rc, "stderr": stderr, **answer.get("details", {})})
    return answer


def exit_with(module: AnsibleModule, *arguments: str, stdin: str | None = None, **instead: Any) -> None:
    """End a module with what :func:`call` answers, ``instead`` in place of its own keys; its failure is the module's.

    Its problems and notices are warnings.
    """
    try:
        answer = call(*arguments, stdin=stdin)
    except RingstandError as error:
        fail_with(module, error)
    for problem in answer.get("problems") or []:
        module.warn(problem)
    warn_of(module, answer)
    module.exit_json(**{**{key: value for key, value in answer.items() if key not in _NOT_RETURNED}, **instead})


def fail_with(module: AnsibleModule, error: RingstandError) -> NoReturn:
    """End a module with a failure; what was noticed before it is shown once, because all of a failure is shown."""
    warn_of(module, error.details)
    module.fail_json(msg=error.message, **{key: value for key, value in error.details.items() if key != "notices"})
    raise AssertionError  # it has ended


def warn_of(module: AnsibleModule, told: dict[str, Any]) -> None:
    """Show the notices of an activation, which Ansible shows of a result only to those who ask for all of it."""
    for notice in told.get("notices") or []:
        module.warn(notice)


def check_protocol(wanted: int | None) -> None:
    """Raise :class:`RingstandError` unless this program speaks what the caller, if it said so, speaks."""
    if wanted not in (None, PROTOCOL):
        raise RingstandError(
            f"Failed to call {PROGRAM}: it speaks protocol {PROTOCOL}, this collection speaks {wanted}. "
            "Run site.yml, or the role ringstand.flask.cli, to bring both to the same version."
        )

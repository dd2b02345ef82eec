# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A release's Procfile: what it wants to be served, released and run beside the web.

Its ``web`` is never executed. The WSGI target is read from it; everything else in that line is named in a notice with
the key of the app it belongs to.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .shell_commands import Command, program_words, split_commands
from .source_files import read_inside

WSGI = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(\([^\n\0]*\))?")
_LINE = re.compile(r"([A-Za-z0-9_-]+)\s*:\s*(.+)")
_RUNNERS = ("uv", "poetry", "pipenv", "pdm", "rye", "hatch")
_WRAPPERS = ("newrelic-admin", "ddtrace-run", "opentelemetry-instrument")
_DEVELOPMENT = "it starts a development server, which is not for production"
# gunicorn's options that are followed by no value; all others are.
_GUNICORN_FLAGS = frozenset(
    ("-D", "--daemon", "-R", "--enable-stdio-inheritance", "-h", "--help", "-v", "--version", "--reload", "--preload")
    + ("--check-config", "--print-config", "--spew", "--no-sendfile", "--reuse-port", "--capture-output")
    + ("--initgroups", "--log-syslog", "--proxy-protocol", "--disable-redirect-access-to-syslog")
    + ("--do-handshake-on-connect", "--suppress-ragged-eofs", "--strip-header-spaces", "--permit-obsolete-folding")
    + ("--casefold-http-method", "--permit-unconventional-http-method", "--no-control-socket")
    + ("--permit-unconventional-http-version",)
)
# The options whose meaning a key of the app has; of the others none changes what is served.
_GUNICORN_KEYS = {
    "-w": "workers",
    "--workers": "workers",
    "--threads": "threads",
    "-k": "worker_class",
    "--worker-class": "worker_class",
    "-t": "timeout_seconds",
    "--timeout": "timeout_seconds",
    "--graceful-timeout": "graceful_timeout_seconds",
    "--max-requests": "max_requests",
    "-e": "environment",
    "--env": "environment",
    "--chdir": "source.root_directory",
    "--pythonpath": "source.root_directory",
}
_WAITRESS_FLAGS = frozenset({"--call", "--expose-tracebacks", "--no-expose-tracebacks", "--help"})


@dataclass
class Procfile:
    """What a Procfile says. ``wsgi_problem`` is why its web names no WSGI target, empty when it names one."""

    wsgi: str | None = None
    wsgi_problem: str = "the source has no Procfile"
    release_commands: list[str] = field(default_factory=list)
    processes: dict[str, str] = field(default_factory=dict)
    other_commands: list[str] = field(default_factory=list)
    unused_options: list[str] = field(default_factory=list)
    damaged_lines: list[int] = field(default_factory=list)


def read(source: str) -> Procfile:
    """The Procfile of a source; one that says nothing where there is none."""
    if not os.path.isfile(os.path.join(source, "Procfile")):
        return Procfile()
    return parse(read_inside(source, "Procfile").decode("utf-8-sig", "replace"))


def parse(text: str) -> Procfile:
    """What the lines of a Procfile mean here."""
    procfile = Procfile(wsgi_problem="its Procfile has no line web")
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _LINE.fullmatch(line.strip())
        if not found:
            procfile.damaged_lines.append(number)
            continue
        name, command = found[1], found[2].strip()
        if name == "web":
            _read_web(command, procfile)
        elif name == "release":
            procfile.release_commands = [command]
        else:
            procfile.processes[name] = command
    return procfile


def _read_web(line: str, procfile: Procfile) -> None:
    procfile.wsgi_problem = "the line web of its Procfile starts neither gunicorn nor waitress"
    for command in split_commands(line):
        words = _unwrapped(program_words(command.words))
        if words[:2] in (["sh", "-c"], ["bash", "-c"]) and len(words) > 2:
            _read_web(words[2], procfile)
            continue
        program = os.path.basename(words[0]) if words else ""
        if program in ("gunicorn", "waitress-serve") and procfile.wsgi is None:
            target, options = (_of_gunicorn if program == "gunicorn" else _of_waitress)(words[1:])
            procfile.unused_options += options
            if target and WSGI.fullmatch(target):
                procfile.wsgi, procfile.wsgi_problem = target, ""
            else:
                what = f"{target!r}, which is no module:attribute" if target else "no target"
                procfile.wsgi_problem = f"the line web of its Procfile gives {program} {what}"
        elif _is_development_server(program, words):
            procfile.wsgi_problem = f"the line web of its Procfile runs {' '.join(words)!r}: {_DEVELOPMENT}"
        elif program and command.operator != "|":
            procfile.other_commands.append(command.text)


def _unwrapped(words: list[str]) -> list[str]:
    """The words of a command without what only finds or instruments the program."""
    if words[:2] and words[0] in _RUNNERS and words[1:2] == ["run"]:
        rest = words[2:]
        while rest[:1] and rest[0].startswith("-"):
            rest = rest[1:]
        return _unwrapped(rest)
    if words and os.path.basename(words[0]) in _WRAPPERS:
        return _unwrapped(words[2:] if words[1:2] == ["run-program"] else words[1:])
    if len(words) > 2 and re.fullmatch(r"python[\d.]*", os.path.basename(words[0])) and words[1] == "-m":
        return {"waitress": ["waitress-serve"]}.get(words[2], words[2:3]) + words[3:]
    return words


def _is_development_server(program: str, words: list[str]) -> bool:
    return (program == "flask" and "run" in words) or bool(
        re.fullmatch(r"python[\d.]*", program) and any(word.endswith(".py") for word in words[1:])
    )


def _options(words: list[str], flags: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Pairs of option and value; a word that is no option comes with an empty option."""
    waiting = iter(words)
    for word in waiting:
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            yield name, value if equals or name in flags else next(waiting, "")
        elif word.startswith("-") and len(word) > 1:
            name = word[:2]
            yield name, word[2:].lstrip("=") if len(word) > 2 or name in flags else next(waiting, "")
        else:
            yield "", word


def _of_gunicorn(words: list[str]) -> tuple[str, list[str]]:
    """gunicorn's target, with its default attribute, and the options that keys of the app are for."""
    target, unused = "", []
    for option, value in _options(words, _GUNICORN_FLAGS):
        if not option and not target and not re.match(r"[\d&]?[<>]", value):
            target = value
        elif option in _GUNICORN_KEYS:
            unused.append(f"{option} {value} ({_GUNICORN_KEYS[option]})")
    return (f"{target}:application" if re.fullmatch(r"[\w.]+", target) else target), unused


def _of_waitress(words: list[str]) -> tuple[str, list[str]]:
    found = list(_options(words, _WAITRESS_FLAGS))
    target = next((value for option, value in found if not option), "")
    return (f"{target}()" if target and ("--call", "") in found else target), []


def is_migration(command: Command | str) -> bool:
    """Whether a command upgrades the database, which the collection does itself, with its lock and timeouts."""
    words = program_words((Command(command) if isinstance(command, str) else command).words)
    words = _unwrapped(words)
    if words[:1] == ["flask"] and words[1:2] and words[1] in ("--app", "-A"):
        words = [words[0], *words[3:]]
    return words in (["flask", "db", "upgrade"], ["alembic", "upgrade", "head"])


def without_migrations(lines: list[str]) -> list[str]:
    """Command lines less the migrations in them; only chains of ``&&`` and ``;`` are taken apart."""
    left = []
    for line in lines:
        commands = split_commands(line)
        if not any(map(is_migration, commands)) or any(one.operator not in ("", "&&", ";") for one in commands):
            left.append(line)
            continue
        kept = [command.text for command in commands if not is_migration(command)]
        left += [" && ".join(kept)] if kept else []
    return left


def release_commands(given: list[str], procfile: Procfile, migrates: bool) -> list[str]:
    """The app's own release commands, else those of the Procfile, less what the migrations do anyway."""
    if given:
        return given
    return without_migrations(procfile.release_commands) if migrates else procfile.release_commands


def notices(procfile: Procfile, covered: list[str], migrates: bool) -> list[str]:
    """What of a Procfile is not used and where it belongs. ``covered`` are the app's release commands."""
    told = []
    if procfile.damaged_lines:
        told.append(
            f"The Procfile's line {', '.join(map(str, procfile.damaged_lines))} is not of the form 'name: command' and "
            "was left out."
        )
    for command in procfile.other_commands:
        if any(command in line for line in covered) or (migrates and is_migration(command)):
            continue
        where = "Set migrations" if is_migration(command) else "If a release needs it, add it to release_command"
        told.append(f"The Procfile's web is not executed, so that {command!r} did not run. {where}.")
    if procfile.unused_options:
        told.append(
            "The Procfile's web is not executed; options of it that keys of the app stand for are not used: "
            f"{', '.join(procfile.unused_options)}."
        )
    return told


def as_manifest(procfile: Procfile) -> dict[str, Any]:
    """What the manifest of a release keeps of its Procfile."""
    return {"wsgi": procfile.wsgi, "processes": dict(procfile.processes)}


def processes_of(manifest: Mapping[str, Any]) -> dict[str, str]:
    """The processes that a release's Procfile names, from its manifest."""
    return dict((manifest.get("procfile") or {}).get("processes") or {})

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What says which packages a source needs: the file, the files that it refers to, and what cannot be used of it.

Pure reading: the controller looks at a folder with it, the host at the unpacked source of a release.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from .errors import RingstandError
from .source_files import is_inside, read_inside

UV_LOCK, PYLOCK, REQUIREMENTS = "uv.lock", "pylock.toml", "requirements.txt"
# Of other tools; each with the way to a file that is understood.
_FOREIGN = {
    "poetry.lock": "Export it: poetry export --format requirements.txt --output requirements.txt",
    "Pipfile.lock": "Export it: pipenv requirements --hash > requirements.txt",
    "pdm.lock": "Export it: pdm export --prod --output requirements.txt",
    "pyproject.toml": "Lock it: uv lock (and commit uv.lock)",
    "Pipfile": "Export what it means: pipenv requirements --hash > requirements.txt",
    "setup.py": "Lock it: uv pip compile setup.py --output-file requirements.txt --generate-hashes",
    "environment.yml": "Write the packages of conda down as a requirements.txt",
}
_INCLUDE = re.compile(r"(?:-r|-c|--requirements?|--constraints?)(?:\s+|=)?(.+)")
_EDITABLE = re.compile(r"(-e|--editable)(\s|=)")
_COMMENT = re.compile(r"(^|\s)#.*$")
# Packages of uv.lock that come from a folder or a file of the source; "." is the app itself.
_LOCKED_PATH = re.compile(r'source = \{ (?:editable|directory|path) = "([^"]+)" \}')
_URL = re.compile(r"[a-z][a-z0-9+]*://", re.IGNORECASE)
_REQUIREMENT_DEPTH = 20


class DependencyError(RingstandError):
    """A source whose dependencies cannot be installed; ``rule`` says what is wrong, ``remedy`` what to do."""

    def __init__(self, rule: str, remedy: str) -> None:
        super().__init__(f"Failed to read the dependencies: {rule}. {remedy}.")
        self.rule = rule
        self.remedy = remedy


@dataclass(frozen=True)
class Dependencies:
    """``name`` of the file relative to the source, ``parts`` as pairs of a name and the bytes that decide, in order.

    ``local`` tells that a package is built from the source itself.
    """

    name: str
    parts: tuple[tuple[str, bytes], ...]
    local: bool = False

    @property
    def is_uv_lock(self) -> bool:
        """Whether ``uv sync`` installs it; the others are requirements."""
        return self.name == UV_LOCK

    def digest(self) -> str:
        """A hash of everything that decides which packages are installed."""
        digest = hashlib.sha256()
        for name, content in self.parts:
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
        return digest.hexdigest()


def dependency_file(source: str, requirements_path: str = "") -> str:
    """The file that says what to install, relative to the source.

    ``requirements_path`` when it is given, else ``uv.lock`` beside ``pyproject.toml``, ``pylock.toml`` or
    ``requirements.txt``. Raises DependencyError with the way to one of them.
    """
    present = {name for name in (UV_LOCK, PYLOCK, REQUIREMENTS, *_FOREIGN) if os.path.isfile(f"{source}/{name}")}
    if requirements_path:
        if not os.path.isfile(os.path.join(source, requirements_path)):
            raise DependencyError(f"the source has no file {requirements_path}", "Correct requirements_path")
        return requirements_path
    if {UV_LOCK, "pyproject.toml"} <= present:
        return UV_LOCK
    for name in (PYLOCK, REQUIREMENTS):
        if name in present:
            return name
    foreign = next((name for name in _FOREIGN if name in present), None)
    rule = "the source has neither requirements.txt nor pyproject.toml with uv.lock"
    if foreign:
        raise DependencyError(f"{rule}, only {foreign}", _FOREIGN[foreign])
    raise DependencyError(rule, "Add one, or name another file in requirements_path")


def read_dependencies(source: str, requirements_path: str = "") -> Dependencies:
    """Read the file and all that it refers to; raises DependencyError for what cannot be used."""
    name = dependency_file(source, requirements_path)
    if name == UV_LOCK:
        parts = [(part, read_inside(source, part)) for part in (UV_LOCK, "pyproject.toml")]
        paths = sorted(set(_LOCKED_PATH.findall(_text(parts[0][1], UV_LOCK))) - {"."})
        local = [_local_part(source, path, f"a package in {UV_LOCK}") for path in paths]
        return Dependencies(name, (*parts, *local), bool(local))
    if name.endswith(".toml"):
        return Dependencies(name, ((name, read_inside(source, name)),))
    parts = []
    _collect(source, name, parts, [])
    return Dependencies(name, tuple(parts), any(part.startswith("local ") for part, _content in parts))


def _collect(source: str, name: str, parts: list[tuple[str, bytes]], above: list[str]) -> None:
    if name in above or len(above) > _REQUIREMENT_DEPTH:
        raise DependencyError(f"{' -> '.join([*above, name])} include each other", "Remove one of these lines")
    content = read_inside(source, name)
    parts.append((name, content))
    for number, line in _logical_lines(_text(content, name)):
        where = f"line {number} of {name}"
        if _EDITABLE.match(line):
            remedy = "Remove it, the source folder is importable as it is; or write the path alone to have it installed"
            raise DependencyError(f"{where} is an editable install ({line}), and a release is frozen", remedy)
        include = _INCLUDE.fullmatch(line)
        if include:
            _collect(source, _included(source, name, include[1].strip().strip("\"'"), where), parts, [*above, name])
            continue
        path = _local_path(source, name, line)
        if path is not None:
            parts.append(_local_part(source, path, where))


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with a continuation joined to one, without comments; each with the number of its first line."""
    start, joined = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        start = start if joined else number
        joined += _COMMENT.sub("", line)
        if joined.endswith("\\"):
            joined = joined[:-1] + " "
            continue
        if joined.strip():
            yield start, joined.strip()
        joined = ""
    if joined.strip():
        yield start, joined.strip()


def _included(source: str, name: str, wanted: str, where: str) -> str:
    """The path of an included file, relative to the source; it is relative to the file that names it."""
    if _URL.match(wanted):
        rule = f"{where} includes {wanted.partition('?')[0]}, whose content may change unseen"
        raise DependencyError(rule, "Put that file into the source")
    path = os.path.normpath(os.path.join(os.path.dirname(name), wanted))
    if path.startswith(("/", "..")):
        raise DependencyError(f"{where} includes {wanted}, which is outside the source", "Put it into the source")
    if not os.path.isfile(os.path.join(source, path)):
        raise DependencyError(f"{where} includes {wanted}, which the source lacks", "Commit it or remove the line")
    return path


def _local_path(source: str, name: str, line: str) -> str | None:
    """The path of a requirement that is a folder or file on disk, as the source names it; None for all others."""
    target = line.partition(" @ ")[2].strip() if " @ " in line else line
    target = target.partition(" ;")[0].partition(" --hash")[0].strip()
    if target.startswith("file:"):
        return target.removeprefix("file:").removeprefix("//")
    if _URL.search(target) or target.startswith("-"):
        return None
    target = target.partition("[")[0] if not target.startswith("[") else target
    looks_local = target in (".", "..") or target.startswith(("./", "../", "/")) or target.endswith((".whl", ".tar.gz"))
    if not looks_local:
        return None
    beside = os.path.normpath(os.path.join(os.path.dirname(name), target))
    return target if os.path.exists(os.path.join(source, target)) else beside


def _local_part(source: str, path: str, where: str) -> tuple[str, bytes]:
    normal = os.path.normpath(path)
    full = os.path.join(source, normal)
    if normal.startswith(("/", "..")) or not is_inside(source, normal):
        raise DependencyError(f"{where} names {path}, which is outside the source", "Put it into the source")
    if os.path.isfile(full):
        return f"local {normal}", read_inside(source, normal)
    if not os.path.isdir(full):
        raise DependencyError(f"{where} names {path}, which the source lacks", "Commit it or remove the line")
    return f"local {normal}", _tree_digest(full)


def _tree_digest(directory: str) -> bytes:
    digest = hashlib.sha256()
    for parent, names, files in os.walk(directory):
        names.sort()
        for name in sorted(files):
            path = os.path.join(parent, name)
            if os.path.islink(path) or not os.path.isfile(path):
                continue
            with open(path, "rb") as stream:
                content = stream.read()
            digest.update(f"{os.path.relpath(path, directory)}\0{len(content)}\0".encode() + content)
    return digest.digest()


def _text(content: bytes, name: str) -> str:
    """Text as pip and uv read it: UTF-8, or what a byte order mark says (PowerShell writes UTF-16)."""
    is_utf_16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        return content.decode("utf-16" if is_utf_16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise DependencyError(f"{name} is not UTF-8 ({error.reason})", "Save it as UTF-8") from error

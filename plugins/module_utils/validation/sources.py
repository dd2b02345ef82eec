# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where an app's code comes from; directories and archives are looked at on this machine."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from .problems import Problems, join

KINDS = ("git", "path", "archive")
GIT_URL = re.compile(r"(https?|ssh|git|file)://\S+|[\w.-]+@[\w.-]+:\S+|/\S+")
URL_PASSWORD = re.compile(r"[a-z+]+://[^/@\s]*:[^/@\s]+@")
# https://git-scm.com/docs/git-check-ref-format, and a leading dash, which git would take as an option.
BAD_REF = re.compile(r"^-|\.\.|[\s~^:?*\[\\\x00-\x1f\x7f]|@\{|\.lock$|/$|^/|//|\.$")
_TOP_LEVEL = "/ /bin /boot /dev /etc /home /lib /lib64 /media /mnt /opt /proc /root /run /sbin /srv /sys /tmp /usr /var"
SYSTEM_DIRS = frozenset(_TOP_LEVEL.split())
# What the host unpacks with tar.
ARCHIVES = (".tar.gz", ".tgz", ".tar", ".tar.xz", ".tar.bz2", ".tar.zst")


def check_absolute_path(value: Any, path: str, problems: Problems) -> bool:
    """True for an absolute path that is not the system's own top-level directory."""
    if not isinstance(value, str):
        return False
    if not value.startswith("/"):
        problems.add(path, "the path is not absolute", 'Begin it with "/", or with "{{ inventory_dir }}/"', value)
    elif "\0" in value or "\n" in value:
        problems.add(path, "the path holds a NUL or a line break", "Correct it", value)
    elif os.path.normpath(value) in SYSTEM_DIRS:
        problems.add(path, "the path is a directory of the system", "Name one of its own", value)
    else:
        return True
    return False


def check_relative_dir(value: Any, path: str, problems: Problems) -> bool:
    """True for a path inside a source tree."""
    if not isinstance(value, str):
        return False
    if value.startswith("/") or ".." in value.split("/") or not value.strip("./"):
        problems.add(path, "the directory is not inside the source", "Write it relative to the source's root", value)
        return False
    return True


def _check_dependencies(directory: str, path: str, problems: Problems) -> None:
    """One of the two supported forms: requirements.txt, or pyproject.toml with uv.lock."""
    requirements = os.path.join(directory, "requirements.txt")
    project, lock = (os.path.exists(os.path.join(directory, name)) for name in ("pyproject.toml", "uv.lock"))
    if lock and project:
        return
    if not os.path.exists(requirements):
        remedy = "Add a requirements.txt, or lock the pyproject.toml with: uv lock" if project else "Add one"
        problems.add(path, "the source has neither requirements.txt nor pyproject.toml with uv.lock", remedy, directory)
        return
    with open(requirements, "rb") as file:
        lines = file.read().splitlines(keepends=True)
    for number, line in enumerate(lines, 1):
        where = f"line {number} of its requirements.txt"
        if line.endswith(b"\r\n"):
            problems.add(path, f"{where} ends as on Windows (CRLF)", "Convert the file, with: dos2unix", directory)
            return
        if re.match(rb"\s*(-e|--editable)\b", line):
            problems.add(path, f"{where} is an editable install", "Name a released or a local package", directory)


def _check_git(source: Mapping[str, Any], path: str, problems: Problems) -> None:
    url, version = source.get("git"), source.get("version")
    if isinstance(url, str):
        if URL_PASSWORD.match(url):
            rule = "the URL holds a password, which git would store and show"
            problems.add(join(path, "git"), rule, "Use a deploy key or a credential helper")
        elif not GIT_URL.fullmatch(url):
            remedy = "Write https://…, ssh://…, user@host:path, or an absolute path"
            problems.add(join(path, "git"), "this is not the address of a repository", remedy, url)
    if isinstance(version, str) and (not version or BAD_REF.search(version)):
        remedy = "Name a tag, a branch or a commit"
        problems.add(join(path, "version"), "this cannot be a revision", remedy, version)


def _check_local(source: Mapping[str, Any], path: str, problems: Problems) -> None:
    directory, archive = source.get("path"), source.get("archive")
    if directory is not None and check_absolute_path(directory, join(path, "path"), problems):
        if not os.path.isdir(directory):
            rule = "the directory does not exist on this machine"
            problems.add(join(path, "path"), rule, "Correct the path", directory)
        else:
            _check_dependencies(directory, join(path, "path"), problems)
    if archive is not None and check_absolute_path(archive, join(path, "archive"), problems):
        here = join(path, "archive")
        if not archive.endswith(ARCHIVES):
            problems.add(here, "this is not a known kind of archive", f"Make it one of: {', '.join(ARCHIVES)}", archive)
        elif not os.path.isfile(archive):
            problems.add(here, "the file does not exist on this machine", "Correct the path", archive)


def check_source(source: Mapping[str, Any], path: str, problems: Problems) -> None:
    """Exactly one kind of source, and that one usable."""
    given = [kind for kind in KINDS if source.get(kind) is not None]
    if len(given) != 1:
        rule = f"the source names {'both ' + ' and '.join(given) if given else 'nothing to fetch'}"
        problems.add(path, rule, f"Give exactly one of: {', '.join(KINDS)}")
    if source.get("version") is not None and "git" not in given:
        problems.add(join(path, "version"), "only a git source has a version", "Remove it")
    _check_git(source, path, problems)
    _check_local(source, path, problems)

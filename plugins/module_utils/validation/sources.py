# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where an app's code comes from; directories and archives are looked at on this machine."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from ..dependencies import DependencyError, read_dependencies
from ..errors import RingstandError
from ..python_version import wanted_version
from .problems import Problems, join

KINDS = ("git", "path", "archive")
GIT_URL = re.compile(r"(https?|ssh|git|file)://\S+|[\w.-]+@[\w.-]+:\S+|/\S+")
URL_PASSWORD = re.compile(r"[a-z+]+://[^/@\s]*:[^/@\s]+@")
# https://git-scm.com/docs/git-check-ref-format, and a leading dash, which git would take as an option.
BAD_REF = re.compile(r"^-|\.\.|[\s~^:?*\[\\\x00-\x1f\x7f]|@\{|\.lock$|/$|^/|//|\.$")
_TOP_LEVEL = "/ /bin /boot /dev /etc /home /lib /lib64 /media /mnt /opt /proc /root /run /sbin /srv /sys /tmp /usr /var"
SYSTEM_DIRS = frozenset(_TOP_LEVEL.split())
ARCHIVES = (".zip", ".tar.gz", ".tgz", ".tar", ".tar.xz", ".tar.bz2", ".tar.zst")


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


def _check_folder(directory: str, app: Mapping[str, Any], path: str, problems: Problems) -> None:
    """What the host would refuse of a folder on this machine."""
    requirements_path = app.get("requirements_path")
    try:
        read_dependencies(directory, requirements_path if isinstance(requirements_path, str) else "")
        if not app.get("python"):
            wanted_version(directory)
    except DependencyError as error:
        problems.add(path, error.rule, error.remedy, directory)
    except RingstandError as error:
        rule, _stop, remedy = error.message.partition(". ")
        problems.add(path, rule, remedy.rstrip("."), directory)


def _check_deploy_key(key: Any, url: Any, path: str, problems: Problems) -> None:
    if not check_absolute_path(key, path, problems):
        return
    if isinstance(url, str) and re.match(r"(https?|git|file)://|/", url):
        problems.add(path, "the address of the repository does not use SSH", "Write it as git@host:path", url)
    elif not os.path.isfile(key):
        problems.add(path, "the file does not exist on this machine", "Correct the path", key)
    else:
        with open(key, "rb") as file:
            is_vaulted = file.read(14) == b"$ANSIBLE_VAULT"
        if not is_vaulted and os.stat(key).st_mode & 0o077:
            problems.add(path, "others than its owner may read the key, and ssh refuses it", "Run: chmod 600", key)


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
    if source.get("deploy_key_path") is not None:
        _check_deploy_key(source["deploy_key_path"], url, join(path, "deploy_key_path"), problems)


def app_folder(source: Mapping[str, Any]) -> str | None:
    """The app's folder of a source that is a folder on this machine, when it is there."""
    path, root_directory = source.get("path"), source.get("root_directory") or ""
    if not isinstance(path, str) or not isinstance(root_directory, str):
        return None
    folder = os.path.normpath(os.path.join(path, root_directory))
    return folder if path and os.path.isdir(folder) else None


def _check_local(source: Mapping[str, Any], app: Mapping[str, Any], path: str, problems: Problems) -> None:
    directory, archive, folder = source.get("path"), source.get("archive"), app_folder(source)
    if directory is not None and check_absolute_path(directory, join(path, "path"), problems):
        if not os.path.isdir(directory):
            rule = "the directory does not exist on this machine"
            problems.add(join(path, "path"), rule, "Correct the path", directory)
        elif folder is None:
            rule = "the source has no such folder"
            problems.add(join(path, "root_directory"), rule, "Correct it", source.get("root_directory"))
        else:
            _check_folder(folder, app, join(path, "path"), problems)
    if archive is not None and check_absolute_path(archive, join(path, "archive"), problems):
        here = join(path, "archive")
        if not archive.endswith(ARCHIVES):
            problems.add(here, "this is not a known kind of archive", f"Make it one of: {', '.join(ARCHIVES)}", archive)
        elif not os.path.isfile(archive):
            problems.add(here, "the file does not exist on this machine", "Correct the path", archive)


def check_source(source: Mapping[str, Any], app: Mapping[str, Any], path: str, problems: Problems) -> None:
    """Exactly one kind of source, and that one usable with ``requirements_path`` and ``python`` of the app."""
    given = [kind for kind in KINDS if source.get(kind) is not None]
    if len(given) != 1:
        rule = f"the source names {'both ' + ' and '.join(given) if given else 'nothing to fetch'}"
        problems.add(path, rule, f"Give exactly one of: {', '.join(KINDS)}")
    if source.get("version") is not None and "git" not in given:
        problems.add(join(path, "version"), "only a git source has a version", "Remove it")
    for key in ("deploy_key_path", "submodules"):
        if source.get(key) is not None and "git" not in given:
            problems.add(join(path, key), f"only a git source has {key}", "Remove it")
    if source.get("root_directory") is not None:
        inside = check_relative_dir(source["root_directory"], join(path, "root_directory"), problems)
        source = source if inside else {**source, "root_directory": None}
    _check_git(source, path, problems)
    _check_local(source, app, path, problems)

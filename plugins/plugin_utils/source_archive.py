# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Find, name and pack the source of a release on the controller: a revision of git, a folder, or an archive.

Hosts need neither git nor a key for it, and every host of a deploy gets the same bytes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible.errors import AnsibleError
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.plugin_utils.archive_source import archive_hash, pack_archive
from ansible_collections.ringstand.flask.plugins.plugin_utils.git_source import (
    Repository,
    pack_revision,
    resolve_revision,
    run_git,
)
from ansible_collections.ringstand.flask.plugins.plugin_utils.source_tar import pack_files

_LEFT_OUT = {
    ".git",
    ".hg",
    ".svn",
    ".venv",
    "venv",
    "__pycache__",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".tox",
}
_PATHS = ("path", "archive", "deploy_key_path")


@dataclass(frozen=True)
class ResolvedSource:
    """A source with a name that no longer moves: ``sha`` is a commit, or a hash of all files and their modes."""

    sha: str
    version: str


def absolute(source: Mapping[str, Any], base_dir: str) -> dict[str, Any]:
    """The keys of a source that are set, with paths relative to ``base_dir`` made absolute."""
    found = {key: str(value) for key, value in source.items() if value and not isinstance(value, bool)}
    found.update((key, os.path.join(base_dir, found[key])) for key in _PATHS if key in found)
    return {**found, **{key: value for key, value in source.items() if isinstance(value, bool)}}


def use_vaulted_key(source: dict[str, Any], loader: Any) -> None:
    """Let a deploy key that is a vaulted file be read from a decrypted copy, which the loader removes at the end."""
    if source.get("deploy_key_path"):
        try:
            source["deploy_key_path"] = loader.get_real_file(source["deploy_key_path"])
        except AnsibleError as error:
            raise RingstandError(f"Failed to read source.deploy_key_path: {error.message}") from error


def resolve(source: Mapping[str, Any]) -> ResolvedSource:
    """Give the source its final name, without packing it.

    ``source`` has git and version, or path, or archive; a version beside the latter two is only a label.
    Raises :class:`RingstandError` when it does not exist or is ambiguous.
    """
    if source.get("git"):
        return ResolvedSource(resolve_revision(_repository(source)), source["version"])
    digest = _tree_hash(_folder(source)) if source.get("path") else archive_hash(source["archive"])
    return ResolvedSource(digest, source.get("version") or digest[:12])


def pack(source: Mapping[str, Any], resolved: ResolvedSource, target: str) -> None:
    """Write the source to the tar archive ``target``."""
    if source.get("git"):
        pack_revision(_repository(source), resolved.sha, target)
    elif source.get("path"):
        folder = _folder(source)
        try:
            pack_files(folder, _source_files(folder), target)
        except RingstandError as error:
            raise RingstandError(f"Failed to pack source.path {folder!r}: {error.message}", **error.details) from error
    else:
        pack_archive(source["archive"], source.get("root_directory", ""), target)


def _repository(source: Mapping[str, Any]) -> Repository:
    return Repository(
        source["git"],
        source["version"],
        source.get("deploy_key_path", ""),
        source.get("submodules"),
        source.get("root_directory", ""),
    )


def _folder(source: Mapping[str, Any]) -> str:
    return os.path.normpath(os.path.join(source["path"], source.get("root_directory", "")))


def _tracked_files(path: str) -> list[str] | None:
    """What git would commit of a folder, or None when the folder is not in a work tree."""
    listed = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "."]
    try:
        done = run_git(["-C", path, *listed])
    except FileNotFoundError:
        return None
    if done.returncode != 0:
        return None
    names = [name for name in done.stdout.split("\0") if name and os.path.lexists(os.path.join(path, name))]
    inner = [name for name in names if os.path.isdir(os.path.join(path, name)) and not os.path.islink(f"{path}/{name}")]
    # A submodule, or a repository in the repository: git names the folder alone.
    for folder in inner:
        names.remove(folder)
        base = folder.rstrip("/")
        names += [f"{base}/{name}" for name in _source_files(os.path.join(path, base))]
    return sorted(names)


def _source_files(path: str) -> list[str]:
    """The files of a folder that belong to a release, relative to it and sorted."""
    if not os.path.isdir(path):
        raise RingstandError(f"Failed to read source.path {path!r}: it is not a folder on the controller")
    tracked = _tracked_files(path)
    if tracked:
        return tracked
    found = []
    for directory, names, files in os.walk(path):
        links = [name for name in names if os.path.islink(os.path.join(directory, name))]
        names[:] = sorted(name for name in names if name not in _LEFT_OUT and name not in links)
        found += [os.path.relpath(os.path.join(directory, name), path) for name in files + links]
    return sorted(found)


def _tree_hash(path: str) -> str:
    digest = hashlib.sha256()
    for name in _source_files(path):
        full = os.path.join(path, name)
        link = os.path.islink(full)
        content = os.readlink(full).encode() if link else _read(full)
        kind = "link" if link else "x" if os.access(full, os.X_OK) else "-"
        digest.update(f"{name}\0{kind}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except OSError as error:
        raise RingstandError(f"Failed to read {path!r} on the controller: {error.strerror}") from error

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Find, name and pack the source of a release on the controller: a revision of git, a folder, or an archive.

Hosts need neither git nor a key for it, and every host of a deploy gets the same bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.systemd import redact

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
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
_TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
_GIT_TIMEOUT_SECONDS = 600


@dataclass(frozen=True)
class ResolvedSource:
    """A source with a name that no longer moves: ``sha`` is a commit, or a hash of all files and their modes."""

    sha: str
    version: str


def absolute(source: Mapping[str, Any], base_dir: str) -> dict[str, str]:
    """The keys of a source that are set, as text, with paths relative to ``base_dir`` made absolute."""
    found = {key: str(value) for key, value in source.items() if value}
    return {key: os.path.join(base_dir, text) if key in ("path", "archive") else text for key, text in found.items()}


def resolve(source: dict[str, str]) -> ResolvedSource:
    """Give the source its final name, without packing it.

    ``source`` has git and version, or path, or archive; a version beside the latter two is only a label.
    Raises :class:`RingstandError` when it does not exist or is ambiguous.
    """
    if source.get("git"):
        sha = resolve_revision(source["git"], source["version"])
        return ResolvedSource(sha, source["version"])
    digest = _tree_hash(source["path"]) if source.get("path") else _file_hash(source["archive"])
    return ResolvedSource(digest, source.get("version") or digest[:12])


def pack(source: dict[str, str], resolved: ResolvedSource, target: str) -> None:
    """Write the source to the tar archive ``target``."""
    if source.get("git"):
        _pack_revision(source["git"], source["version"], resolved.sha, target)
    elif source.get("path"):
        _pack_tree(source["path"], target)
    else:
        shutil.copyfile(source["archive"], target)


def _git(*arguments: str, cwd: str | None = None) -> str:
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}  # a password prompt would hang an unattended run
    environment.setdefault("GIT_SSH_COMMAND", "ssh -o BatchMode=yes")
    done = subprocess.run(
        ["git", *arguments],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_GIT_TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise RingstandError(f"git {arguments[0]} says: {redact(done.stderr.strip())}", rc=done.returncode)
    return done.stdout


def resolve_revision(repository: str, version: str) -> str:
    """Return the commit that a branch, a tag or a full commit id means in a remote repository."""
    if _COMMIT.fullmatch(version):
        return version
    shown = redact(repository)
    try:
        listing = _git("ls-remote", "--", repository, f"refs/heads/{version}", f"refs/tags/{version}*")
    except RingstandError as error:
        raise RingstandError(f"Failed to resolve {version!r} in {shown}: {error.message}", **error.details) from error
    refs = {ref: sha for sha, ref in (line.split("\t") for line in listing.splitlines())}
    branch, tag = refs.get(f"refs/heads/{version}"), refs.get(f"refs/tags/{version}")
    peeled = refs.get(f"refs/tags/{version}^{{}}", tag)  # an annotated tag is an object of its own
    if branch and peeled and branch != peeled:
        raise RingstandError(
            f"Failed to resolve {version!r} in {shown}: it is a branch ({branch[:12]}) and a tag ({peeled[:12]}). "
            "Name the commit instead."
        )
    if not branch and not peeled:
        raise RingstandError(
            f"Failed to resolve {version!r} in {shown}: there is no branch or tag of that name. "
            "Name one, or the full id of a commit (a short id cannot be looked up from outside)."
        )
    return str(peeled or branch)


def _pack_revision(repository: str, version: str, sha: str, target: str) -> None:
    with tempfile.TemporaryDirectory(prefix="ringstand-") as work:
        try:
            _git("init", "--quiet", "--bare", work)
            try:
                _git("fetch", "--quiet", "--depth=1", "--", repository, sha, cwd=work)
            except RingstandError:  # some servers hand out branches and tags only
                _git("fetch", "--quiet", "--tags", "--", repository, "+refs/heads/*:refs/heads/*", cwd=work)
            _git("archive", "--format=tar.gz", f"--output={os.path.abspath(target)}", sha, cwd=work)
        except RingstandError as error:
            raise RingstandError(
                f"Failed to fetch {version!r} ({sha[:12]}) from {redact(repository)}: {error.message}", **error.details
            ) from error


def _tracked_files(path: str) -> list[str] | None:
    """What git would commit of a folder, or None when the folder is not in a work tree."""
    try:
        listing = _git("-C", path, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", ".")
    except (RingstandError, FileNotFoundError):
        return None
    return sorted(name for name in listing.split("\0") if name and os.path.lexists(os.path.join(path, name)))


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


def _pack_tree(path: str, target: str) -> None:
    with gzip.open(target, "wb", compresslevel=6) as stream, tarfile.open(fileobj=stream, mode="w|") as archive:
        for name in _source_files(path):
            archive.add(os.path.join(path, name), arcname=f"./{name}", recursive=False)


def _file_hash(path: str) -> str:
    if not path.endswith(_TAR_SUFFIXES):
        raise RingstandError(
            f"Failed to read source.archive {path!r}: it is not one of {', '.join(_TAR_SUFFIXES)}. Pack it as tar."
        )
    return hashlib.sha256(_read(path)).hexdigest()


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except OSError as error:
        raise RingstandError(f"Failed to read {path!r} on the controller: {error.strerror}") from error

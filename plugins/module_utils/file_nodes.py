# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is at a path (a node), and putting a node there in one step.

Every operation goes through a descriptor of the parent directory that was opened one component at a time. A symbolic
link on the way is followed only when root or the caller made it, so a user who can write somewhere along a path cannot
point a write of root's at another place.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from dataclasses import dataclass, replace

ABSENT, FILE, LINK, DIRECTORY, OTHER = "absent", "file", "link", "directory", "other"
LARGEST_FILE_BYTES = 64 * 1024 * 1024
_MARK = ".ringstand-"
_LINKS_MAX = 40


@dataclass(frozen=True)
class Node:
    """Something at a path. ``uid`` and ``gid`` are None for a user or group that does not exist yet."""

    kind: str
    uid: int | None = None
    gid: int | None = None
    mode: int = 0
    content: bytes = b""
    target: str = ""
    modified_ns: int = 0

    def differences(self, other: Node) -> list[str]:
        """Which of kind, content, target, owner, group and mode are not the same."""
        if self.kind != other.kind:
            return ["kind"]
        if self.kind == ABSENT:
            return []
        compared = {"owner": self.uid != other.uid, "group": self.gid != other.gid}
        if self.kind == LINK:
            compared["target"] = self.target != other.target
        else:
            compared["mode"] = self.mode != other.mode
        if self.kind == FILE:
            compared["content"] = self.content != other.content
        return sorted(name for name, differs in compared.items() if differs)


def open_directory(path: str) -> int:
    """A descriptor of the directory, reached without following a link that another user made.

    Raises FileNotFoundError, NotADirectoryError, or PermissionError for such a link.
    """
    return _walk("/", path.strip("/").split("/"), _LINKS_MAX)


def _walk(base: str, components: list[str], links_left: int) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    current = os.open(base, flags)
    try:
        for position, name in enumerate(components):
            if name in ("", "."):
                continue
            found = os.lstat(name, dir_fd=current)
            if stat.S_ISLNK(found.st_mode):
                if found.st_uid not in (0, os.geteuid()):
                    raise PermissionError(
                        f"the directory on the way named {name!r} is a symbolic link made by user id {found.st_uid}"
                    )
                if links_left == 0:
                    raise OSError("too many symbolic links on the way")
                target = os.readlink(name, dir_fd=current)
                start = "/" if target.startswith("/") else f"/proc/self/fd/{current}"
                return _walk(start, target.split("/") + components[position + 1 :], links_left - 1)
            following = os.open(name, flags | os.O_NOFOLLOW, dir_fd=current)
            os.close(current)
            current = following
        result, current = current, -1
        return result
    finally:
        if current >= 0:
            os.close(current)


def read_node(path: str) -> Node:
    """What is at the path now. A missing parent directory means absent.

    A link made by root or the caller that leads to a directory is read as a link; see ``resolve_directory``.
    """
    parent, name = os.path.split(path)
    try:
        directory = open_directory(parent)
    except FileNotFoundError:
        return Node(ABSENT)
    try:
        return _read_at(directory, name)
    finally:
        os.close(directory)


def _read_at(directory: int, name: str) -> Node:
    try:
        found = os.lstat(name, dir_fd=directory)
    except FileNotFoundError:
        return Node(ABSENT)
    meta = Node(OTHER, found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode), modified_ns=found.st_mtime_ns)
    if stat.S_ISLNK(found.st_mode):
        return replace(meta, kind=LINK, target=os.readlink(name, dir_fd=directory))
    if stat.S_ISDIR(found.st_mode):
        return replace(meta, kind=DIRECTORY)
    if not stat.S_ISREG(found.st_mode):
        return meta
    if found.st_size > LARGEST_FILE_BYTES:
        raise OSError(f"a file of {found.st_size} bytes is there; up to {LARGEST_FILE_BYTES} are handled")
    with os.fdopen(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory), "rb") as handle:
        return replace(meta, kind=FILE, content=handle.read())


class Staged:
    """A new file or link under a temporary name beside its final one, until it is published or discarded."""

    def __init__(self, path: str, node: Node) -> None:
        parent, self._name = os.path.split(path)
        self._directory = open_directory(parent)
        stem, extension = os.path.splitext(self._name)
        # Hidden, so that no include pattern picks it up; the extension stays, because some validators look at it.
        self._prefix = f".{stem[:150]}{_MARK}"
        self._temporary = f"{self._prefix}{secrets.token_hex(6)}{extension[:40]}"
        self.path = os.path.join(parent, self._temporary)
        try:
            self._create(node)
        except BaseException:
            self.discard()
            raise

    def _create(self, node: Node) -> None:
        uid, gid = -1 if node.uid is None else node.uid, -1 if node.gid is None else node.gid
        if node.kind == LINK:
            os.symlink(node.target, self._temporary, dir_fd=self._directory)
            os.chown(self._temporary, uid, gid, dir_fd=self._directory, follow_symlinks=False)
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(self._temporary, flags, 0o600, dir_fd=self._directory), "wb") as handle:
            handle.write(node.content)
            handle.flush()
            # Owner first: chown clears set-user-id bits, and the mode must not be open to the wrong owner.
            os.fchown(handle.fileno(), uid, gid)
            os.fchmod(handle.fileno(), node.mode)
            if node.modified_ns:
                os.utime(handle.fileno(), ns=(node.modified_ns, node.modified_ns))
            os.fsync(handle.fileno())

    def publish(self) -> None:
        """Replace what is at the final name in one step, durably."""
        os.rename(self._temporary, self._name, src_dir_fd=self._directory, dst_dir_fd=self._directory)
        os.fsync(self._directory)
        self._close()

    def remove_leftovers(self) -> None:
        """Remove what killed runs left beside the file. Only for a caller that keeps other runs out."""
        for name in os.listdir(self._directory):
            if name.startswith(self._prefix) and name != self._temporary:
                os.unlink(name, dir_fd=self._directory)

    def discard(self) -> None:
        """Remove the temporary file, if it is still there."""
        if self._directory >= 0:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._temporary, dir_fd=self._directory)
            self._close()

    def _close(self) -> None:
        os.close(self._directory)
        self._directory = -1


def put_directory(path: str, node: Node) -> None:
    """Make the directory if it is missing and give it its owner and mode."""
    parent, name = os.path.split(path)
    directory = open_directory(parent)
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=directory)
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        made = os.open(name, flags, dir_fd=directory)
        try:
            os.fchown(made, -1 if node.uid is None else node.uid, -1 if node.gid is None else node.gid)
            os.fchmod(made, node.mode)
        finally:
            os.close(made)
        os.fsync(directory)
    finally:
        os.close(directory)


def remove(path: str, kind: str) -> None:
    """Remove a file, a link or an empty directory."""
    parent, name = os.path.split(path)
    directory = open_directory(parent)
    try:
        if kind == DIRECTORY:
            os.rmdir(name, dir_fd=directory)
        else:
            os.unlink(name, dir_fd=directory)
        os.fsync(directory)
    finally:
        os.close(directory)

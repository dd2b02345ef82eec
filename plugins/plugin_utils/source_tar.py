# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The tar archive in which a source travels to its hosts, and what must not be in one."""

from __future__ import annotations

import gzip
import os
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError

# Such a file stands for another one and is below 1024 bytes: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
LFS_POINTER = b"version https://git-lfs.github.com/spec/v1"
_POINTER_BYTES_MAX = 1024


def is_pointer(size: int, beginning: bytes) -> bool:
    """Whether a file only stands for one that Git LFS keeps."""
    return size < _POINTER_BYTES_MAX and beginning.startswith(LFS_POINTER)


def refuse_pointers(names: Iterable[str]) -> None:
    """Raise RingstandError when there is a file that Git LFS keeps elsewhere."""
    for name in names:
        raise RingstandError(
            f"{name} is kept by Git LFS, and only its pointer is here. Run `git lfs pull` in a clone and deploy that "
            "with source.path, or keep such files elsewhere."
        )


@contextmanager
def tar_writer(target: str) -> Iterator[tarfile.TarFile]:
    """A compressed tar archive to write to."""
    with gzip.open(target, "wb", compresslevel=6) as stream, tarfile.open(fileobj=stream, mode="w|") as archive:
        yield archive


def pack_files(root: str, names: Iterable[str], target: str) -> None:
    """Write the files of a folder, named relative to it, to a tar archive."""
    with tar_writer(target) as archive:
        for name in names:
            path = os.path.join(root, name)
            if os.path.isfile(path) and not os.path.islink(path) and os.path.getsize(path) < _POINTER_BYTES_MAX:
                with open(path, "rb") as stream:
                    refuse_pointers([name] if is_pointer(0, stream.read()) else [])
            archive.add(path, arcname=f"./{name}", recursive=False)

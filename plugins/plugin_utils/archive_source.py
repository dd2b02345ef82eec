# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A tar or zip archive on the controller: read with suspicion, and packed anew for the hosts."""

from __future__ import annotations

import calendar
import hashlib
import io
import os
import shutil
import stat
import subprocess
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO

from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.validation.sources import ARCHIVES
from ansible_collections.ringstand.flask.plugins.plugin_utils.source_tar import is_pointer, refuse_pointers, tar_writer

# What macOS puts beside the files of a zip archive.
_JUNK = ("__MACOSX",)
_SECONDS_MAX = 2**32


@dataclass(frozen=True)
class Member:
    """One file or link of an archive; ``link`` is empty for a file, and what it points to is relative to it.

    ``modified`` is in seconds since the epoch.
    """

    name: str
    modified: int
    is_executable: bool
    size: int
    link: str
    open: Callable[[], IO[bytes] | None]


def archive_hash(path: str) -> str:
    """A hash of an archive's bytes; raises RingstandError for a file that is no archive by its name."""
    if not path.endswith(ARCHIVES):
        raise RingstandError(f"Failed to read source.archive {path!r}: it is not one of {', '.join(ARCHIVES)}.")
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as stream:
            for block in iter(lambda: stream.read(1024 * 1024), b""):
                digest.update(block)
    except OSError as error:
        raise RingstandError(f"Failed to read {path!r} on the controller: {error.strerror}") from error
    return digest.hexdigest()


def pack_archive(path: str, root_directory: str, target: str) -> None:
    """Write an archive's files to the tar archive ``target``, less a single folder at its top.

    Raises RingstandError for a name or link that leads out of the archive, and for what is neither file nor link.
    """
    try:
        with ExitStack() as opened:
            files = [member for member in _members(path, opened) if member.name.split("/")[0] not in _JUNK]
            tops = {member.name.split("/")[0] for member in files}
            strip = f"{tops.pop()}/" if len(tops) == 1 and all("/" in member.name for member in files) else ""
            strip += f"{os.path.normpath(root_directory)}/" if root_directory else ""
            chosen = [member for member in files if member.name.startswith(strip)]
            if not chosen:
                if root_directory:
                    raise RingstandError(f"it has no folder {root_directory!r}. Correct source.root_directory.")
                raise RingstandError("it has no file.")
            with tar_writer(target) as archive:
                for member in chosen:
                    _add(archive, member, member.name.removeprefix(strip))
    except RingstandError as error:
        raise RingstandError(f"Failed to read source.archive {path!r}: {error.message}") from error
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError) as error:
        raise RingstandError(f"Failed to read source.archive {path!r}: {error}. Make it anew.") from error


def _add(archive: tarfile.TarFile, member: Member, name: str) -> None:
    info = tarfile.TarInfo(f"./{name}")
    info.mtime = member.modified
    info.mode = 0o755 if member.is_executable else 0o644
    if member.link:
        info.type, info.linkname = tarfile.SYMTYPE, member.link
        archive.addfile(info)
        return
    with member.open() or io.BytesIO() as stream:
        content = stream.read()
    refuse_pointers([name] if is_pointer(len(content), content) else [])
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def _safe(name: str, link: str = "") -> str:
    """The name, normal and relative; refuses what would be written, or would lead, outside."""
    normal = os.path.normpath(name.replace("\\", "/"))
    leads = os.path.normpath(os.path.join(os.path.dirname(normal), link)) if link else normal
    if "\0" in name or normal.startswith("/") or ".." in name.replace("\\", "/").split("/"):
        raise RingstandError(f"the name {name!r} leads out of the archive. Do not trust it.")
    if link.startswith("/") or leads.split("/")[0] == "..":
        raise RingstandError(f"the link {name!r} leads out of the archive, to {link!r}. Do not trust it.")
    return normal


def _members(path: str, opened: ExitStack) -> list[Member]:
    """The files and links; what they are read from stays open as long as ``opened``."""
    if path.endswith(".zip"):
        archive = opened.enter_context(zipfile.ZipFile(path))
        return [_zip_member(archive, info) for info in archive.infolist() if not info.is_dir()]
    tar = opened.enter_context(tarfile.open(fileobj=_tar_stream(path, opened), mode="r:*"))  # noqa: SIM115
    return [_tar_member(tar, info) for info in tar.getmembers() if not _is_folder(info)]


def _is_folder(info: tarfile.TarInfo) -> bool:
    if info.isdir():
        _safe(info.name)
    return info.isdir()


def _tar_stream(path: str, opened: ExitStack) -> IO[bytes]:
    if not path.endswith(".zst"):
        return opened.enter_context(open(path, "rb"))  # noqa: SIM115
    if shutil.which("zstd") is None:
        raise RingstandError("this machine has no zstd to decompress it. Install it, or pack the source as .tar.gz.")
    plain = opened.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
    subprocess.run(["zstd", "-dcq", "--", path], stdout=plain, check=False)
    plain.seek(0)
    return plain


def _tar_member(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    name = _safe(info.name, info.linkname if info.issym() else "")
    if info.islnk():
        _safe(info.linkname)  # the other file's name, from the root of the archive
    elif not (info.isfile() or info.issym()):
        raise RingstandError(f"{info.name!r} is neither a file nor a link. Leave it out.")

    def stream() -> IO[bytes] | None:
        return archive.extractfile(info)

    link = info.linkname if info.issym() else ""
    return Member(name, _seconds(info.mtime), bool(info.mode & stat.S_IXUSR), info.size, link, stream)


def _zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    mode = info.external_attr >> 16
    link = archive.read(info).decode() if stat.S_ISLNK(mode) else ""

    def stream() -> IO[bytes]:
        return archive.open(info)

    name, is_executable = _safe(info.filename, link), bool(mode & stat.S_IXUSR)
    return Member(name, _zip_seconds(info), is_executable, info.file_size, link, stream)


def _zip_seconds(info: zipfile.ZipInfo) -> int:
    """The time of a member, which has no zone, as if it were UTC; a date that does not exist is none."""
    try:
        return calendar.timegm((*info.date_time, 0, 0, 0))
    except ValueError:
        return 0


def _seconds(modified: float) -> int:
    """A time that every tar can set: archives may have any number there."""
    return int(modified) if 0 <= modified <= _SECONDS_MAX else 0

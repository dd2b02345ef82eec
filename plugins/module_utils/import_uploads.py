# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Uploads that an app brings along: unpacked aside as the app's own user, and moved to their place at the end."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import Any

from .errors import RingstandError
from .layout import Layout

_ASIDE = ".ringstand-import"
_MEDIA = "media"


@dataclass(frozen=True)
class Uploads:
    """A tar archive (compressed or not) or a directory, and the folder below the app's ``shared`` that it goes into."""

    app: str
    path: str
    target: str

    @property
    def aside(self) -> str:
        return os.path.join(Layout(self.app).shared_dir, _ASIDE)


def find(app: str, path: str, into: str) -> Uploads:
    """Check both ends; raises :class:`RingstandError`. Without ``into`` they go to ``media`` if there is one."""
    shared = Layout(app).shared_dir
    if not os.path.isdir(shared):
        raise RingstandError(f"Failed to import uploads: {shared} does not exist. Run site.yml first")
    if not os.path.isabs(path) or not os.path.exists(path):
        raise RingstandError(f"Failed to import the uploads {path!r}: it is not there. Name it from / on")
    folder = into or (_MEDIA if os.path.isdir(os.path.join(shared, _MEDIA)) else ".")
    target = os.path.normpath(os.path.join(shared, folder))
    if target != shared and not target.startswith(f"{shared}/"):
        raise RingstandError(f"Failed to import uploads into {into!r}: name a folder of {shared}")
    return Uploads(app, path, target)


def unpack(uploads: Uploads) -> list[str]:
    """Unpack them aside; returns their topmost names. Raises :class:`RingstandError` when one of them is there already.

    All of it is done with the app's rights: nothing that an archive holds gets out of what the app can write to.
    """
    remove(uploads)
    _as_app(uploads.app, ["mkdir", "-m", "0700", uploads.aside], "make a directory for the uploads")
    extract = ["tar", "--extract", "--file=-", "--no-same-owner", "--no-same-permissions"]
    extract.append(f"--directory={uploads.aside}")
    try:
        if os.path.isdir(uploads.path):
            packer = subprocess.Popen(["tar", "--create", "--file=-", f"--directory={uploads.path}", "."],
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            _as_app(uploads.app, extract, "copy the uploads", packer.stdout)
            said = packer.communicate()[1].decode(errors="replace").strip()
            if packer.returncode != 0:
                raise RingstandError(f"Failed to read the uploads {uploads.path}: {said}")
        else:
            with open(uploads.path, "rb", buffering=0) as stream:  # what tar gets begins where this one stands
                _as_app(uploads.app, [*extract, *_compression(stream)], "unpack the uploads", stream)
        names = sorted(os.listdir(uploads.aside))
        there = [name for name in names if os.path.lexists(os.path.join(uploads.target, name))]
        if there:
            raise RingstandError(
                f"Failed to import the uploads: {', '.join(there[:5])} is in {uploads.target} already, and nothing is "
                "written over. Nothing was changed. Move it away, or choose another folder with --uploads-into"
            )
        if not names:
            raise RingstandError(f"Failed to import the uploads: {uploads.path} is empty. Nothing was changed")
    except BaseException:
        remove(uploads)
        raise
    return names


def _compression(stream: Any) -> list[str]:
    """tar cannot look ahead in what comes by a pipe, so it is told."""
    magic = stream.read(6)
    stream.seek(0)
    kinds = {b"\x1f\x8b": "--gzip", b"BZh": "--bzip2", b"\xfd7zXZ": "--xz", b"\x28\xb5\x2f\xfd": "--zstd"}
    return [option for start, option in kinds.items() if magic.startswith(start)]


def take_over(uploads: Uploads, names: list[str]) -> None:
    """Move what was unpacked to its place."""
    _as_app(uploads.app, ["mkdir", "-p", uploads.target], f"make {uploads.target}")
    places = [os.path.join(uploads.aside, name) for name in names]
    move = ["mv", "--no-clobber", f"--target-directory={uploads.target}", "--", *places]
    _as_app(uploads.app, move, "move the uploads")
    remove(uploads)


def remove(uploads: Uploads) -> None:
    """Remove what is unpacked aside, also by a run that was killed."""
    if os.path.lexists(uploads.aside):
        _as_app(uploads.app, ["rm", "-rf", uploads.aside], "remove what an earlier import has left")


def _as_app(app: str, command: list[str], what: str, stdin: Any = None) -> None:
    done = subprocess.run(
        command, user=app, group=app, extra_groups=[], cwd="/", umask=0o027, stdin=stdin or subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"}, check=False,
    )
    if done.returncode != 0:
        said = " / ".join(done.stderr.decode(errors="replace").splitlines()[:3])
        raise RingstandError(f"Failed to {what}: {said or 'it gave no reason'}", rc=done.returncode)

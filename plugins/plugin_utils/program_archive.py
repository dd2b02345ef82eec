# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Pack ``ringstand``, the program for hosts, from this collection's ``module_utils``."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from pathlib import Path

# Python compiles what is in an archive anew at each start, which takes longer than most of what the program does. So
# the first start as root unpacks and compiles it, into a folder whose name follows from what is in it.
_MAIN = """import os
import sys

CACHE_DIR = {cache_dir!r}
PLACE = os.path.join(CACHE_DIR, "program-{digest}")


def unpack():
    import compileall
    import shutil
    import tempfile
    import zipfile

    os.makedirs(CACHE_DIR, mode=0o755, exist_ok=True)
    new = tempfile.mkdtemp(prefix="program-new-", dir=CACHE_DIR)
    try:
        with zipfile.ZipFile(sys.path[0]) as archive:
            archive.extractall(new)
        compileall.compile_dir(new, quiet=2, workers=1)
        os.chmod(new, 0o755)
        os.sync()  # else a power cut can leave the name with empty files
        os.rename(new, PLACE)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    for name in os.listdir(CACHE_DIR):
        old = os.path.join(CACHE_DIR, name)
        # Not what may still run: a program imports some of its files late.
        if name.startswith("program-") and os.stat(PLACE).st_mtime - os.stat(old).st_mtime > {keep_seconds}:
            os.rename(old, old + ".old")  # half of it must not pass for all of it
            shutil.rmtree(old + ".old", ignore_errors=True)


if os.geteuid() == 0:
    try:
        if not os.path.isdir(PLACE):
            unpack()
        if os.stat(PLACE).st_uid == 0:
            sys.path.insert(0, PLACE)
    except OSError:  # a full disk, or another start that was first: the archive itself does as well
        pass

from ringstand.program import main

sys.exit(main())
"""
_CACHE_DIR = "/var/cache/ringstand-program"
_KEEP_SECONDS = 2 * 24 * 3600
# The same as the syntax tree says, which takes twenty times as long; a test compares both.
_RELATIVE = re.compile(r"^ *from \.(\w*) import (?:\(([^)]*)\)|([^\n]*))", re.MULTILINE)
_EPOCH = (1980, 1, 1, 0, 0, 0)


def imported_modules(directory: Path, first: str) -> set[str]:
    """The names of the modules in ``directory`` that ``first`` imports by relative imports, itself included."""
    found: set[str] = set()
    waiting = [first]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        for module, in_brackets, in_line in _RELATIVE.findall((directory / f"{name}.py").read_text()):
            waiting += [module] if module else re.findall(r"\w+", in_brackets or in_line)
    return found


def build(directory: Path) -> bytes:
    """Return an executable zip archive: the same bytes for the same sources, whoever builds it.

    Nothing is compressed, because versions of zlib differ in what they write.
    """
    archive = io.BytesIO()
    files = {"ringstand/__init__.py": ""}
    for name in sorted(imported_modules(directory, "program")):
        files[f"ringstand/{name}.py"] = (directory / f"{name}.py").read_text()
    digest = hashlib.sha256("\0".join(part for item in files.items() for part in item).encode()).hexdigest()[:16]
    files["__main__.py"] = _MAIN.format(cache_dir=_CACHE_DIR, digest=digest, keep_seconds=_KEEP_SECONDS)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as stream:
        for path, text in files.items():
            stream.writestr(zipfile.ZipInfo(path, _EPOCH), text)
    return b"#!/usr/bin/python3 -I\n" + archive.getvalue()

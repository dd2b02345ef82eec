# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Pack ``ringstand``, the program for hosts, from this collection's ``module_utils``."""

from __future__ import annotations

import ast
import io
import zipfile
from pathlib import Path

_MAIN = "import sys\n\nfrom ringstand.program import main\n\nsys.exit(main())\n"
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
        for node in ast.walk(ast.parse((directory / f"{name}.py").read_text())):
            if isinstance(node, ast.ImportFrom) and node.level == 1:
                waiting += [node.module] if node.module else [alias.name for alias in node.names]
    return found


def build(directory: Path) -> bytes:
    """Return an executable zip archive: the same bytes for the same sources, whoever builds it.

    Nothing is compressed, because versions of zlib differ in what they write.
    """
    archive = io.BytesIO()
    files = {"__main__.py": _MAIN, "ringstand/__init__.py": ""}
    for name in sorted(imported_modules(directory, "program")):
        files[f"ringstand/{name}.py"] = (directory / f"{name}.py").read_text()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as stream:
        for path, text in files.items():
            stream.writestr(zipfile.ZipInfo(path, _EPOCH), text)
    return b"#!/usr/bin/python3 -I\n" + archive.getvalue()

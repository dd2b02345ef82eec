"""What the program for hosts is packed from, and how it starts."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.ringstand.flask.plugins.plugin_utils import program_archive

MODULES = Path(__file__).resolve().parents[3] / "plugins" / "module_utils"


def by_syntax(name: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse((MODULES / f"{name}.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            found |= {node.module} if node.module else {alias.name for alias in node.names}
    return found


def test_every_module_that_is_imported_is_packed() -> None:
    packed = program_archive.imported_modules(MODULES, "program")
    assert "activation" in packed
    wanted, waiting = set(), ["program"]
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            waiting += by_syntax(name)
    assert packed == wanted


@pytest.mark.skipif(os.geteuid() != 0, reason="only root keeps a compiled copy")
def test_the_first_start_compiles_and_the_others_use_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setattr(program_archive, "_CACHE_DIR", str(cache))
    program = tmp_path / "ringstand"
    program.write_bytes(program_archive.build(MODULES))

    def start() -> str:
        command = [sys.executable, "-I", program, "version"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    old = cache / "program-0ld"
    old.mkdir(parents=True)
    os.utime(old, (0, 0))
    assert start() == start()
    (place,) = cache.iterdir()
    assert list(place.glob("ringstand/__pycache__/program.*.pyc"))
    # What is there is what runs; and without a place for it the archive itself runs.
    copied = place / "ringstand" / "program.py"
    copied.write_text("import sys\ndef main():\n    sys.stdout.write('from the copy')\n")
    assert start() == "from the copy"
    monkeypatch.setattr(program_archive, "_CACHE_DIR", "/proc/nothing")
    program.write_bytes(program_archive.build(MODULES))
    assert start().startswith("ringstand protocol")

"""Folders of a source that become links into shared: the script, run here as it is run in its unit."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ansible_collections.ringstand.flask.plugins.module_utils.writable_dirs import _SCRIPT


def link(target: Path, path: Path) -> None:
    subprocess.run(["/bin/sh", "-euc", _SCRIPT, "sh", str(target), str(path)], check=True)


def test_what_the_source_has_is_copied_once_and_then_left_to_the_app(tmp_path: Path) -> None:
    shared = tmp_path / "shared/app/logs"
    for number, content in enumerate(("first", "second")):
        source = tmp_path / str(number) / "app/logs"
        source.mkdir(parents=True)
        (source / "seed").write_text(content)
        (source / f"new-{number}").touch()
        link(shared, source)
        assert source.is_symlink()
        assert source.resolve() == shared
    assert (shared / "seed").read_text() == "first"
    assert (shared / "new-1").exists()


def test_a_folder_that_the_source_lacks_is_made(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    for _again in range(2):
        link(tmp_path / "shared/instance/cache", tmp_path / "src/instance/cache")
    (tmp_path / "src/instance/cache/file").touch()
    assert (tmp_path / "shared/instance/cache/file").exists()
    assert sorted(path.name for path in (tmp_path / "shared/instance/cache").iterdir()) == ["file"]

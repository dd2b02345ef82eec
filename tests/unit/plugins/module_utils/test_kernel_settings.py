"""Which file rules a kernel setting at boot, and what it is now."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils.kernel_settings import read

NAME = "net.core.somaxconn"


@pytest.mark.parametrize(
    ("files", "ruler"),
    [
        ({}, ""),
        ({"etc/50-ours.conf": "net.core.somaxconn = 4096"}, "etc/50-ours.conf"),
        ({"etc/50-ours.conf": f"{NAME}=1", "usr/90-theirs.conf": "-net/core/somaxconn = 2"}, "usr/90-theirs.conf"),
        ({"etc/50-ours.conf": f"{NAME}=1", "usr/10-theirs.conf": f"{NAME}=2"}, "etc/50-ours.conf"),
        ({"etc/50-ours.conf": f"{NAME}=1", "usr/50-ours.conf": f"{NAME}=2"}, "etc/50-ours.conf"),
        ({"etc/50-ours.conf": f"# {NAME}=1\n; {NAME}=2\nvm.swappiness=1"}, ""),
    ],
)
def test_the_last_file_by_name_rules(tmp_path: Path, files: dict[str, str], ruler: str) -> None:
    for directory in ("etc", "usr", "proc/net/core"):
        (tmp_path / directory).mkdir(parents=True)
    (tmp_path / "proc/net/core/somaxconn").write_text("128\n")
    for path, text in files.items():
        (tmp_path / path).write_text(f"{text}\n")
    directories = [str(tmp_path / "etc"), str(tmp_path / "usr")]
    found = read([NAME, "vm.not_here"], directories, str(tmp_path / "proc"))
    assert found == {NAME: {"value": "128", "path": str(tmp_path / ruler) if ruler else ""}}

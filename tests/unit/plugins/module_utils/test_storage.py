from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import storage


@pytest.mark.parametrize(
    ("disk", "rotational", "flags", "expected"),
    [
        ("sda", "1", "fpu vme", "hdd"),
        ("sda", "0", "fpu vme", "ssd"),
        ("nvme0n1", "0", "fpu vme", "ssd"),
        ("vda", "1", "fpu vme", "ssd"),
        ("xvda", "1", "fpu vme", "ssd"),
        ("sda", "1", "fpu hypervisor vme", "ssd"),
        ("", "", "fpu vme", "ssd"),
    ],
)
@pytest.mark.parametrize("partition", [True, False])
def test_kind(tmp_path: Path, disk: str, rotational: str, flags: str, expected: str, partition: bool) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\n")
    (tmp_path / "sys/dev/block").mkdir(parents=True)
    if disk:
        device = tmp_path / "sys/devices/pci/block" / disk
        (device / "queue").mkdir(parents=True)
        (device / "queue/rotational").write_text(f"{rotational}\n")
        node = device / f"{disk}1" if partition else device
        node.mkdir(exist_ok=True)
        (tmp_path / "sys/dev/block/8:1").symlink_to(node)
    assert storage.kind(os.makedev(8, 1), str(tmp_path)) == expected


def test_a_directory_that_is_not_there_yet(tmp_path: Path) -> None:
    assert storage.read(str(tmp_path / "a/b"))["size_mb"] > 0

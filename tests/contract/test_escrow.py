# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The escrowed keys lie beside the inventory, where Ansible takes every file for a part of it: as names of hosts."""

from __future__ import annotations

import re
from pathlib import Path

from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader

ROLE = Path(__file__).resolve().parents[2] / "roles" / "backup"


def test_a_key_beside_the_inventory_is_no_host(tmp_path: Path) -> None:
    template = re.search(r'escrow_path: "(.*)"', (ROLE / "tasks" / "main.yml").read_text(encoding="utf-8"))
    assert template
    name = re.sub(r"\{\{ inventory_hostname \}\}", "vm1", template[1]).rsplit("/", 1)[1]
    (tmp_path / "hosts.yml").write_text("all: {hosts: {vm1: }}\n", encoding="utf-8")
    (tmp_path / "backup-keys").mkdir()
    (tmp_path / "backup-keys" / name).write_text("a-key-that-must-not-show\n", encoding="utf-8")
    inventory = InventoryManager(DataLoader(), sources=[str(tmp_path)])
    assert list(inventory.hosts) == ["vm1"]

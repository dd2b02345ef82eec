# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Evaluates a role's expressions and templates with Ansible's own engine, without a host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROLES_DIR = Path(__file__).resolve().parents[2] / "roles"


class Role:
    """A role with its defaults and vars, under the variables given."""

    def __init__(self, name: str, **variables: Any) -> None:
        folder = ROLES_DIR / name
        self.variables: dict[str, Any] = {"ansible_search_path": [str(folder)], "role_path": str(folder)}
        loader = DataLoader()
        for part in ("defaults/main.yml", "vars/main.yml"):
            if (folder / part).exists():
                self.variables.update(loader.load_from_file(str(folder / part), trusted_as_template=True) or {})
        self.variables.update(variables)
        self.templar = Templar(loader, variables=self.variables)

    def value(self, expression: str) -> Any:
        """What ``{{ expression }}`` is in one of the role's tasks."""
        return self.templar.template(trust_as_template("{{ " + expression + " }}"))

    def template(self, name: str) -> str:
        """One of the role's templates, rendered."""
        return self.value(f"lookup('ansible.builtin.template', '{name}')")

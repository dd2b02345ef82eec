# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The controller's side of the module validate, which has no other: nothing is sent to the host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.ringstand.flask.plugins.module_utils.apps import plain
from ansible_collections.ringstand.flask.plugins.module_utils.validation.problems import Problems, join
from ansible_collections.ringstand.flask.plugins.module_utils.validation.roles import check_role, role_variables
from ansible_collections.ringstand.flask.plugins.module_utils.validation.site import SITE_VARIABLES, check_site

ROLES_DIR = Path(__file__).resolve().parents[2] / "roles"


class ActionModule(ActionBase):
    """Checks variables and fails with everything that is wrong with them."""

    _requires_connection = False
    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Check the variables of one role, or of a whole site when no role is named."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        _validated, arguments = self.validate_argument_spec({"role": {"type": "str"}})
        role = arguments["role"]
        facts = plain((variables.get("ansible_facts") or {}).get("ringstand") or {})
        problems = Problems()
        values = self._values(variables, role_variables(role) if role else SITE_VARIABLES, problems)
        found = check_role(role, values, facts) if role else check_site(values, variables, self._known(), facts)
        # What could not be evaluated counts as absent, which is no second problem.
        paths = {problem.path for problem in problems.errors}
        problems.errors += [problem for problem in found.errors if problem.path not in paths]
        if found.notes:
            result["warnings"] = [str(note) for note in found.notes]
        if problems.errors:
            return {**result, "failed": True, "msg": problems.message()}
        return {**result, "changed": False}

    def _known(self) -> set[str]:
        """The variables in the argument specs of this collection's roles."""
        names: set[str] = set()
        for path in ROLES_DIR.glob("*/meta/argument_specs.yml"):
            specs = self._loader.load_from_file(str(path))["argument_specs"]
            names.update(name for spec in specs.values() for name in spec.get("options", {}))
        return names

    def _values(self, variables: Mapping[str, Any], names: Iterable[str], problems: Problems) -> dict[str, Any]:
        """The values of those of ``names`` that are set."""
        return {name: self._evaluate(variables[name], name, problems) for name in names if name in variables}

    def _evaluate(self, value: Any, path: str, problems: Problems) -> Any:
        """``value`` without templates; what cannot be evaluated is a problem at its own path and becomes None."""
        try:
            return plain(self._templar.template(value))
        except AnsibleError as error:
            if isinstance(value, Mapping):
                return {key: self._evaluate(item, join(path, str(key)), problems) for key, item in value.items()}
            if isinstance(value, list):
                return [self._evaluate(item, join(path, number), problems) for number, item in enumerate(value)]
            reason = str(error.message).rstrip(".")
            problems.add(path, f"the value cannot be evaluated: {reason}", "Correct it or define what it refers to")
            return None

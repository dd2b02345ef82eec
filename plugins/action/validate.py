# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The controller's side of the module validate, which has no other: nothing is sent to the host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase
from ansible_collections.ringstand.flask.plugins.module_utils.apps import normalise, plain
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.validation.certbot import (
    PATH,
    SOURCE,
    TEXT,
    VIRTUAL_ENVIRONMENT,
)
from ansible_collections.ringstand.flask.plugins.module_utils.validation.problems import Problems, join
from ansible_collections.ringstand.flask.plugins.module_utils.validation.roles import check_role, role_variables
from ansible_collections.ringstand.flask.plugins.module_utils.validation.site import (
    DERIVED_VARIABLES,
    SITE_VARIABLES,
    check_site,
)
from ansible_collections.ringstand.flask.plugins.plugin_utils.source_archive import absolute, resolve, use_vaulted_key

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
        self._skipped: set[str] = set()
        self._facts_known = bool(facts)
        problems = Problems()
        values = self._values(variables, role_variables(role) if role else SITE_VARIABLES, problems)
        self._read_requirements(values, problems)
        if role:
            found = check_role(role, values, facts)
        else:
            specs = self._specs()
            self._check_types(specs, variables, problems)
            found = check_site(values, variables, specs, facts)
            self._refuse_derived(variables, found)
            if not problems.errors and not found.errors:
                self._check_sources(variables, facts, found)
        # What could not be evaluated counts as absent, which is no second problem.
        paths = {problem.path for problem in problems.errors} | self._skipped
        problems.errors += [problem for problem in found.errors if problem.path not in paths]
        if found.notes:
            result["warnings"] = [str(note) for note in found.notes]
        if problems.errors:
            return {**result, "failed": True, "msg": problems.message()}
        return {**result, "changed": False}

    def _check_sources(self, variables: Mapping[str, Any], facts: Mapping[str, Any], problems: Problems) -> None:
        """What this run will deploy has to be there now, and not only minutes later, when its turn comes."""
        if "apps_with_release" not in facts or not variables.get("gunicorn_first_deploy_enabled", True):
            return
        values = self._values(variables, ("flask_apps", "flask_app_overrides"), problems)
        for name, app in normalise(values.get("flask_apps") or {}, values.get("flask_app_overrides") or {}).items():
            if name not in facts["apps_with_release"]:
                try:
                    source = absolute(app["source"], self._loader.get_basedir())
                    use_vaulted_key(source, self._loader)
                    resolve(source)
                except RingstandError as error:
                    problems.add(f"flask_apps.{name}.source", error.message.rstrip("."), "This run would deploy it")

    def _read_requirements(self, values: dict[str, Any], problems: Problems) -> None:
        """The text of certbot's requirements file, which is the role's own or lies where files of a playbook do."""
        path = values.get(PATH)
        if values.get(SOURCE) != VIRTUAL_ENVIRONMENT or not isinstance(path, str):
            return
        own = ROLES_DIR / "certbot" / "files" / path
        try:
            found = own if own.exists() else Path(self._find_needle("files", path))
            values[TEXT] = found.read_text(encoding="utf-8")
        except (AnsibleError, OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "there is no such file"
            problems.add(PATH, f"it cannot be read: {reason}", "Write the path of a file on this machine", path)

    def _specs(self) -> dict[str, dict[str, Any]]:
        """The variables in the argument specs of this collection's roles."""
        # Ansible's loader notes of each value where it is from, and needs ten times as long (0.2 s).
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        options: dict[str, dict[str, Any]] = {}
        for path in ROLES_DIR.glob("*/meta/argument_specs.yml"):
            specs = yaml.load(path.read_text(encoding="utf-8"), loader)["argument_specs"]  # noqa: S506 - a safe one
            for spec in specs.values():
                options.update(spec.get("options") or {})
        return options

    def _check_types(self, specs: dict[str, dict[str, Any]], variables: Mapping[str, Any], problems: Problems) -> None:
        """What each role would refuse when its turn comes, before the first of them has changed anything."""
        for name in (name for name in specs if name in variables and name not in DERIVED_VARIABLES):
            failures = Problems()
            value = self._evaluate(variables[name], name, failures)
            problems.errors += failures.errors
            if value is None or failures.errors:
                continue
            spec = {**specs[name], "required": False}
            for message in ArgumentSpecValidator({name: spec}).validate({name: value}).error_messages:
                problems.add(name, message.rstrip("."), "Write it as the README of its role says", value)

    def _refuse_derived(self, variables: Mapping[str, Any], problems: Problems) -> None:
        """The user's values of what the playbook derives: the inventory's would be ignored, others break the rest."""
        given = (variables.get("hostvars") or {}).get(variables.get("inventory_hostname")) or {}
        for name in sorted(set(self._task.get_play().get_vars()).intersection(DERIVED_VARIABLES, given)):
            rule = "this playbook derives it from flask_apps, so that it cannot be set"
            problems.add(name, rule, DERIVED_VARIABLES[name])

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
            if not self._facts_known and ("ansible_facts" in str(value) or "ringstand" in reason):
                # Checked again once the facts of the machine are there.
                self._skipped.add(path)
            elif path not in {problem.path for problem in problems.errors}:
                problems.add(path, f"the value cannot be evaluated: {reason}", "Correct it or define what it refers to")
            return None

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The controller's side of the module: when something will be ordered, it looks at the host from outside first."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible_collections.ringstand.flask.plugins.plugin_utils import outside_view

_MODULE = "ringstand.flask.certbot_certificates"


class ActionModule(ActionBase):
    """See the documentation of the module."""

    _supports_check_mode = True
    _supports_diff = True
    _supports_async = False

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the module's result. Nothing is asked when nothing has to be ordered."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        enabled = boolean(arguments.pop("preflight_enabled", True), strict=False)
        if enabled and not self._task.check_mode:
            arguments["preflight"] = {"asked": False}
        done = dict(self._execute_module(_MODULE, arguments, task_vars=task_vars))
        token = done.get("preflight")
        if not token or done.get("failed"):
            return {**result, **done}
        known = [*token["addresses"], *outside_view.addresses_of((task_vars or {}).get("ansible_host"))]
        about = {"caa_identities": token["caa_identities"], "sites_by_dns": token["sites_by_dns"]}
        view = outside_view.look(token["sites"], token["path"], token["content"], known, **about)
        arguments["preflight"] = {"asked": True, "url_path": token["path"], "refused": view.refused}
        done = dict(self._execute_module(_MODULE, arguments, task_vars=task_vars))
        return {**result, **done, "warnings": [*done.get("warnings", []), *view.warnings]}

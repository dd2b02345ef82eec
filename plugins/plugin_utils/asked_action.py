# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who asks, for the host's records: only this machine knows who runs Ansible."""

from __future__ import annotations

import os
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.ringstand.flask.plugins.module_utils.caller import caller


def asker(by: Any) -> str:
    """Who asks: what the task says, else the user who runs Ansible; a container may have none in its environment."""
    return str(by or os.environ.get("SUDO_USER") or os.environ.get("USER") or caller())


class AskedAction(ActionBase):
    """An action that runs the module of its name on the host, and tells it in ``by`` who asks."""

    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the module's result."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = {**self._task.args, "by": asker(self._task.args.get("by"))}
        in_background = bool(self._task.async_val) and not self._connection.has_native_async
        try:
            done = self._execute_module(module_args=arguments, task_vars=task_vars, wrap_async=in_background)
        finally:
            if not in_background:
                self._remove_tmp_path(self._connection._shell.tmpdir)
        return {**result, **done}

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The controller's side of the module app_secrets: what is there is only read, which needs no module on the host."""

from __future__ import annotations

import json
import posixpath
import shlex
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.ringstand.flask.plugins.module_utils.layout import SECRETS_DIR

_MODULE = "ringstand.flask.app_secrets"


class ActionModule(ActionBase):
    """See the documentation of the module."""

    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return what the module returns; it is called only when a secret is missing, or cannot be read."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        apps = self._task.args.get("apps") or {}
        known = self._read(apps, str(self._task.args.get("directory") or SECRETS_DIR))
        if known is None:
            return {**result, **self._execute_module(_MODULE, task_vars=task_vars)}
        return {**result, "changed": False, "secrets": known, "generated": {name: [] for name in apps}}

    def _read(self, apps: dict[str, list[str]], directory: str) -> dict[str, dict[str, str]] | None:
        """The secrets by app, or None unless each app has all of its own."""
        if not apps:
            return None
        paths = [shlex.quote(posixpath.join(directory, f"{name}.json")) for name in apps]
        # By standard input: without any Ansible asks for a terminal, and the host writes down a login.
        done = self._low_level_execute_command("/bin/sh", in_data=f"cat -- {' '.join(paths)}\n".encode())
        rest, found = str(done.get("stdout", "")).strip(), {}
        try:
            for name in apps:
                found[name], end = json.JSONDecoder().raw_decode(rest)
                rest = rest[end:].strip()
        except ValueError:
            return None
        complete = all(isinstance(found[name], dict) and found[name].keys() >= set(apps[name]) for name in apps)
        return found if complete and not rest and done.get("rc") == 0 else None

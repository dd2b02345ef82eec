# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The controller's side of the module backup_repository: it keeps the host's key, and makes one when there is none."""

from __future__ import annotations

import os
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.plugin_utils import key_escrow

_MODULE = "ringstand.flask.backup_repository"
# Ansible writes the arguments of a module to the host's log, and finds no text of several lines in a dictionary there.
_SECRETS = ("private_key", "access_key", "secret_key")


class ActionModule(ActionBase):
    """See the documentation of the module."""

    _supports_check_mode = True
    _supports_diff = True
    _supports_async = False

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the module's result, which never has the key in it."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        given = str(arguments.pop("key", None) or "")
        repository = dict(arguments.get("repository") or {})
        arguments["secrets"] = {name: repository.pop(name) for name in _SECRETS if repository.get(name)}
        arguments["repository"] = repository
        path = os.path.expanduser(str(arguments.pop("escrow_path", None) or ""))
        try:
            if given:
                key, source = key_escrow.check(given, "the option key"), "given"
            else:
                key = key_escrow.read(path) if path else ""
                source = "escrow" if key else ""
            done = self._call(arguments, key, task_vars)
            if done.get("key") == "missing" and not self._task.check_mode and not done.get("failed"):
                if not path:
                    raise RingstandError("Failed to make a backup key: give key, or escrow_path to keep a new one in")
                key, source = key_escrow.generate(), "generated"
                key_escrow.write(path, key)
                done = self._call(arguments, key, task_vars)
        except RingstandError as error:
            return {**result, "failed": True, "msg": error.message, **error.details}
        if done.get("key") == "kept" and path:
            host = (task_vars or {}).get("inventory_hostname", "HOST")
            done.setdefault("warnings", []).append(
                f"This host has a backup key that is not in {path}: if the host is lost, so are its backups. Copy it: "
                f"ansible {host} -b -m ansible.builtin.fetch -a 'src=/etc/ringstand/backup/key dest={path} flat=true' "
                f"&& chmod 0600 {path}"
            )
        return {**result, **done, "key_source": source}

    def _call(self, arguments: dict[str, Any], key: str, task_vars: Any) -> dict[str, Any]:
        if key:
            arguments = {**arguments, "key": key}
        return dict(self._execute_module(_MODULE, arguments, task_vars=task_vars))

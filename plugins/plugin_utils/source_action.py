# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the actions that take a source have in common: resolve and pack it here, hand it over, run the module there."""

from __future__ import annotations

import base64
import os
import tempfile
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.systemd import redact
from ansible_collections.ringstand.flask.plugins.plugin_utils.asked_action import asker
from ansible_collections.ringstand.flask.plugins.plugin_utils.source_archive import (
    absolute,
    pack,
    resolve,
    use_vaulted_key,
)

_SOURCE = {
    "git": {"type": "str"},
    "version": {"type": "str"},
    "deploy_key_path": {"type": "path"},
    "submodules": {"type": "bool"},
    "path": {"type": "path"},
    "archive": {"type": "path"},
    "root_directory": {"type": "str"},
}
# Such an archive goes with the call: a transfer of its own takes four more and 0.4 s.
_WITH_THE_CALL_BYTES = 512 * 1024
# What the host is told; it has no use for the rest.
_SHOWN = ("git", "version", "path", "archive", "root_directory")
_ARGUMENTS = {
    "app": {"type": "str", "required": True},
    "source": {
        "type": "dict",
        "required": True,
        "options": _SOURCE,
        "required_one_of": [("git", "path", "archive")],
        "mutually_exclusive": [("git", "path", "archive")],
        "required_by": {"git": ["version"]},
    },
    "by": {"type": "str"},
}


class SourceAction(ActionBase):
    """An action whose module ``MODULE`` takes app, source, by and ``MORE``, and is given archive, sha and version."""

    MODULE = ""
    MORE: dict[str, Any] = {}

    _supports_check_mode = True
    _supports_async = False
    # It makes its own temporary directory, and none in check mode.
    TRANSFERS_FILES = False

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the module's result; nothing is transferred in check mode."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validated, arguments = self.validate_argument_spec({**_ARGUMENTS, **self.MORE})
        source = absolute(arguments["source"], self._loader.get_basedir())
        # -vvv shows what a module is given.
        shown = {key: redact(source[key]) for key in _SHOWN if key in source}
        module = {"app": arguments["app"], "source": shown, **{key: arguments[key] for key in self.MORE}}
        module["by"] = asker(arguments["by"])
        built = module.pop("built", None) or {}
        try:
            if built.get("archive"):
                module.update({key: built[key] for key in ("archive", "sha", "version")})  # it is there already
            else:
                use_vaulted_key(source, self._loader)
                resolved = resolve(source)
                module.update(sha=resolved.sha, version=resolved.version)
                if not self._task.check_mode:
                    module.update(self._hand_over(source, resolved))
        except RingstandError as error:
            return {**result, "failed": True, "msg": error.message, **error.details}
        try:
            return {**result, **self._execute_module(self.MODULE, module, task_vars=task_vars)}
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)

    def _hand_over(self, source: dict[str, str], resolved: Any) -> dict[str, str]:
        """The module's argument that brings the archive, which may be on the host by then."""
        with tempfile.TemporaryDirectory(prefix="ringstand-") as local_dir:
            local = os.path.join(local_dir, "source.tar")
            pack(source, resolved, local)
            if os.path.getsize(local) <= _WITH_THE_CALL_BYTES:
                return {"archive_content": base64.b64encode(Path(local).read_bytes()).decode()}
            remote = self._connection._shell.join_path(self._make_tmp_path(), "source.tar")
            self._transfer_file(local, remote)
        return {"archive": str(remote)}

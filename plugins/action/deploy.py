# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The controller's side of the module deploy."""

from __future__ import annotations

from ansible_collections.ringstand.flask.plugins.module_utils.layout import MIGRATION_LIMITS
from ansible_collections.ringstand.flask.plugins.plugin_utils.source_action import SourceAction


class ActionModule(SourceAction):
    """See the documentation of the module."""

    MODULE = "ringstand.flask.deploy"
    MORE = {
        **dict.fromkeys(MIGRATION_LIMITS, {"type": "float"}),
        "force": {"type": "bool", "default": False},
        "built": {"type": "dict"},
        "wait": {"type": "bool", "default": True},
    }

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The controller's side of the module build: the same as that of deploy, whose source it prepares."""

from __future__ import annotations

from ansible_collections.ringstand.flask.plugins.plugin_utils.source_action import SourceAction


class ActionModule(SourceAction):
    """See the documentation of the module."""

    MODULE = "ringstand.flask.build"
    MORE = {"packages": {"type": "list", "elements": "str", "default": []}}

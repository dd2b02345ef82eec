# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The controller's side of the module rollback, which knows who asks."""

from __future__ import annotations

from ansible_collections.ringstand.flask.plugins.plugin_utils.asked_action import AskedAction


class ActionModule(AskedAction):
    """See the documentation of the module."""

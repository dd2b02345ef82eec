# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A filter for the role backup, documented in a YAML file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.ringstand.flask.plugins.module_utils.apps import plain
from ansible_collections.ringstand.flask.plugins.module_utils.backup_offsite import describe
from ansible_collections.ringstand.flask.plugins.plugin_utils.filters import domain_errors


def _describe(given: Any, host: str, full_count: int, files_days: int) -> dict[str, Any] | None:
    return describe(plain(given), str(host), int(full_count), int(files_days))


class FilterModule:
    """Ansible finds the filter through this class."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filter by name."""
        return {"backup_offsite": domain_errors(_describe)}

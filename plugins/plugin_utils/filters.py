# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the collection's filters share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError


def domain_errors(function: Callable[..., Any]) -> Callable[..., Any]:
    """Turn the collection's own error into the one that Ansible shows without a traceback."""

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except RingstandError as error:
            raise AnsibleFilterError(error.message) from error

    return run

"""What a module has printed, as a playbook sees it."""

from __future__ import annotations

import json
from typing import Any


def result_of(output: str) -> dict[str, Any]:
    """The result. From ansible-core 2.22 on a module names its secrets to Ansible, which masks them in the result."""
    result: dict[str, Any] = json.loads(output)
    secrets = result.pop("_ansible_new_secrets", [])
    text = json.dumps(result)
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(json.dumps(secret)[1:-1], "masked")
    masked: dict[str, Any] = json.loads(text)
    return masked

#!/usr/bin/python
# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: app_secrets
short_description: Read the generated secrets of Flask apps, making those that are missing
version_added: 1.0.0
author: ringstand contributors (@ringstand)
description:
  - Keeps the secrets that nobody has to know, such as C(SECRET_KEY) and the password of the app's Redis user, in one
    file per app that only root can read.
  - A secret that is there is never generated anew.
  - The secrets are returned, so the task needs C(no_log=true).
options:
  apps:
    description: The names of the secrets that each app needs, by the app's name.
    type: dict
    required: true
  directory:
    description: Where the files are.
    type: path
    default: /var/lib/ringstand/secrets
attributes:
  check_mode:
    support: full
    description: A secret that is yet to be generated is returned as a placeholder of the same form.
  diff_mode:
    support: none
    description: It would show secrets.
  idempotent:
    support: full
    description: A secret that is there is kept.
"""

EXAMPLES = r"""
- name: Read or generate the secrets
  ringstand.flask.app_secrets:
    apps:
      shop: [secret_key, redis_password]
  register: app_secrets
  no_log: true
"""

RETURN = r"""
secrets:
  description: The secrets, by app and name. Each is 43 characters from A-Z, a-z, 0-9, minus and underscore.
  returned: success
  type: dict
generated:
  description: The names of the secrets that were generated, by app. Not secret.
  returned: success
  type: dict
"""

import json
import os
import secrets

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import RingstandError
from ..module_utils.layout import SECRETS_DIR
from ..module_utils.releases import write_durably

PLACEHOLDER = "generated-when-this-runs-without-check-mode"


def read(path: str) -> dict[str, str]:
    """The secrets in a file, or none."""
    try:
        with open(path, encoding="utf-8") as stream:
            found = json.load(stream)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise RingstandError(
            f"Failed to read {path}: {error}. Restore it from a backup; a new one would lock the app out."
        ) from error
    if not isinstance(found, dict):
        raise RingstandError(f"Failed to read {path}: it holds no secrets by name. Restore it from a backup.")
    return found


def complete(path: str, names: list[str], check_mode: bool) -> tuple[dict[str, str], list[str]]:
    """Return all secrets of a file and the names of those that had to be generated and were written."""
    found = read(path)
    missing = [name for name in names if name not in found]
    found.update({name: PLACEHOLDER if check_mode else secrets.token_urlsafe(32) for name in missing})
    if missing and not check_mode:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        write_durably(path, json.dumps(found, indent=1, sort_keys=True), mode=0o600)
    return found, missing


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "apps": {"type": "dict", "required": True},
            "directory": {"type": "path", "default": SECRETS_DIR},
        },
        supports_check_mode=True,
    )
    values, generated = {}, {}
    try:
        for app, names in module.params["apps"].items():
            path = os.path.join(module.params["directory"], f"{app}.json")
            values[app], generated[app] = complete(path, list(names), module.check_mode)
    except (RingstandError, OSError) as error:
        module.fail_json(msg=f"Failed to provide the secrets of {app}: {error}")
    module.exit_json(changed=any(generated.values()), secrets=values, generated=generated)


if __name__ == "__main__":
    main()

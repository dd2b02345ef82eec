#!/usr/bin/python
# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: restart
short_description: Restart a Flask app without losing a request
version_added: 1.0.0
author: ringstand contributors (@ringstand)
description:
  - Starts the live release anew in the idle slot, with the environment and settings that are on disk now,
    proves it healthy and moves all traffic to it. Its workers and schedulers are started anew too.
  - A release that does not become healthy is never switched to, and the task fails with the reason.
options:
  app:
    description: Name of the app.
    type: str
    required: true
  by:
    description: Who asks for it, for the ledger. The user who runs Ansible by default.
    type: str
attributes:
  check_mode:
    support: full
    description: Changes nothing and reports a change.
  diff_mode:
    support: none
    description: There is no text to compare.
  idempotent:
    support: none
    description: Each run activates a release.
notes:
  - Needs the program C(ringstand) on the host, see the role P(ringstand.flask.cli#role).
"""

EXAMPLES = r"""
- name: Restart with the environment that is on disk now
  ringstand.flask.restart:
    app: shop
"""

RETURN = r"""
release:
  description: Id of the release that is live now.
  returned: success
  type: str
  sample: 20261121T093000Z-3f2a9c1
version:
  description: What people call it.
  returned: success, but not in check mode
  type: str
previous:
  description: Id of the release that was live before.
  returned: success, but not in check mode
  type: str
phases:
  description: Seconds that each step took.
  returned: success, but not in check mode
  type: dict
notices:
  description: What the operator should know beside it. Each is a warning of the task, also when it fails.
  returned: success, but not in check mode
  type: list
  elements: str
journal:
  description: The last lines of a release that did not become healthy, secrets removed.
  returned: failure of a started release
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import RingstandError
from ..module_utils.host_program import exit_with
from ..module_utils.layout import load_settings
from ..module_utils.releases import find_release
from ..module_utils.switch import should_serve


def predict(app: str) -> str:
    """The release that would be started anew."""
    layout = load_settings(app).layout
    return should_serve(layout)[1] or find_release(layout, "live", [])


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "app": {"type": "str", "required": True},
            "by": {"type": "str"},
        },
        supports_check_mode=True,
    )
    app = module.params["app"]
    if module.check_mode:
        try:
            module.exit_json(changed=True, release=predict(app))
        except RingstandError as error:
            module.fail_json(msg=error.message, **error.details)
    exit_with(module, "restart", app, "--by", module.params["by"])


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: rollback
short_description: Make the last good release of a Flask app live again
version_added: 1.0.0
author: ringstand contributors (@ringstand)
description:
  - Starts the release that served before the live one, or a named one, in the idle slot, proves it healthy
    and moves all traffic to it.
  - A release that does not know the revision of the database's schema is refused, unless O(force) is set.
  - A release that does not become healthy is never switched to, and the task fails with the reason.
options:
  app:
    description: Name of the app.
    type: str
    required: true
  release:
    description:
      - Id of the release, the beginning of it, or its version. V(previous) is the last one that served well.
      - A release that was rolled back from does not count as one that served well.
    type: str
    default: previous
  by:
    description: Who asks for it, for the ledger. The user who runs Ansible by default.
    type: str
  force:
    description: Switch even to a release that does not fit the schema of the database.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: Finds the release and changes nothing; whether it is healthy is not known before.
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
- name: Go back to the last good release
  ringstand.flask.rollback:
    app: shop

- name: Go to a certain release
  ringstand.flask.rollback:
    app: shop
    release: v1.4.1
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
from ..module_utils.ledger import good_releases
from ..module_utils.releases import find_release


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "app": {"type": "str", "required": True},
            "release": {"type": "str", "default": "previous"},
            "by": {"type": "str"},
            "force": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    app, wanted = module.params["app"], module.params["release"]
    if module.check_mode:
        try:
            layout = load_settings(app).layout
            module.exit_json(changed=True, release=find_release(layout, wanted, good_releases(layout)))
        except RingstandError as error:
            module.fail_json(msg=error.message, **error.details)
    force = ["--force"] if module.params["force"] else []
    exit_with(module, "rollback", app, wanted, "--by", module.params["by"], *force)


if __name__ == "__main__":
    main()

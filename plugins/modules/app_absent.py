#!/usr/bin/python
# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: app_absent
short_description: Take Flask apps out of service and keep their data
version_added: 1.0.0
author: ringstand contributors (@ringstand)
description:
  - Stops everything that runs of an app and removes its units, settings, environment file and maintenance.
  - Its database, releases, shared files, ledger, generated secrets and system user stay until C(ringstand purge)
    removes them.
options:
  apps:
    description: Names of the apps. One that is not set up is fine.
    type: list
    elements: str
    required: true
attributes:
  check_mode:
    support: full
    description: Changes nothing and reports what would be removed.
  diff_mode:
    support: full
    description: Shows what is there before.
  idempotent:
    support: full
    description: An app that is absent stays so.
"""

EXAMPLES = r"""
- name: Take the old shop out of service
  ringstand.flask.app_absent:
    apps: [old-shop]
"""

RETURN = r"""
removed:
  description: The units and files that were there, by app.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import decommission
from ..module_utils.errors import RingstandError
from ..module_utils.layout import check_app_name


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"apps": {"type": "list", "elements": "str", "required": True}}, supports_check_mode=True
    )
    act = decommission.remains if module.check_mode else decommission.remove
    try:
        names = [check_app_name(name) for name in module.params["apps"]]
        removed = {name: found for name in names for found in [act(name)] if found}
    except (RingstandError, OSError) as error:
        module.fail_json(msg=f"Failed to take apps out of service: {error}")
    before = "".join(f"{line}\n" for found in removed.values() for line in found)
    module.exit_json(changed=bool(removed), removed=removed, diff={"before": before, "after": ""})


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: backup
short_description: Back up a host now, and wait for it
version_added: 1.0.0
author: ringstand contributors (@ringstand)
description:
  - Runs C(ringstand backup) as a unit of its own, which goes on when the connection is cut, and returns its outcome.
  - Fails when a part of the backup failed or when something is damaged. The parts that went well are done all the same.
options:
  verify_only:
    description: Only read back everything that is there.
    type: bool
    default: false
  full:
    description: Take a full backup of the cluster also when a differential one is due.
    type: bool
    default: false
  drill:
    description:
      - Also restore the newest backup aside, check it and throw it away.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: Nothing is run; it would be.
  diff_mode:
    support: none
    description: There is nothing to compare.
  idempotent:
    support: none
    description: Each run makes a backup.
"""

EXAMPLES = r"""
- name: Back up before something risky
  ringstand.flask.backup:

- name: Prove that what has been backed up can be restored
  ringstand.flask.backup:
    drill: true
"""

RETURN = r"""
parts:
  description: Result, seconds and time of each part.
  returned: when it ran
  type: dict
problems:
  description: What is wrong, as dictionaries with C(part), C(file), C(reason) and C(corruption).
  returned: when it ran
  type: list
  elements: dict
finished:
  description: When it ended, in UTC.
  returned: when it ran
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringstand.flask.plugins.module_utils.backup_unit import run_backup
from ansible_collections.ringstand.flask.plugins.module_utils.drill_unit import run_drill
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "verify_only": {"type": "bool", "default": False},
            "full": {"type": "bool", "default": False},
            "drill": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=True)
    options = [f"--{name.replace('_', '-')}" for name in ("verify_only", "full") if module.params[name]]
    try:
        status = run_backup(options)
        if module.params["drill"]:
            status = run_drill()
    except RingstandError as error:
        module.fail_json(msg=error.message, **error.details)
    result = {key: status[key] for key in ("parts", "problems", "finished")}
    if status["problems"]:
        said = "; ".join(": ".join(filter(None, (item["part"], item["file"], item["reason"])))
                         for item in status["problems"])
        module.fail_json(msg=f"Failed to back up this host: {said}", **result)
    module.exit_json(changed=not module.params["verify_only"], **result)


if __name__ == "__main__":
    main()

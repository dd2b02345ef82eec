#!/usr/bin/python
# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: recover
short_description: Make a fresh host the one that was lost
version_added: 1.0.0
author: ringstand contributors (@ringstand)
description:
  - Brings files and databases of a lost host to a fresh one, from the second place of its backups.
  - Refuses a host that has databases or deployed apps. One that was interrupted goes on, one that is complete does
    nothing.
options:
  to:
    description: V(latest), or a time with its zone, such as V(2026-11-21T03:00:00Z).
    type: str
    default: latest
attributes:
  check_mode:
    support: full
    description: Only checks that the host is a fresh one.
  diff_mode:
    support: none
    description: There is no text to compare.
  idempotent:
    support: full
    description: A host is recovered once.
notes:
  - Needs the program C(ringstand) on the host, and the settings and the key of its backups. The playbook C(recover) of
    this collection brings them there first, and sets up everything else afterwards.
"""

EXAMPLES = r"""
- name: Bring back what was lost
  ringstand.flask.recover:
"""

RETURN = r"""
where:
  description: Where the backups are.
  returned: success, but not in check mode
  type: str
files:
  description: Time of the snapshot of each set of files.
  returned: when files were restored
  type: dict
recovered_to:
  description: Time of the last change in the databases, in UTC.
  returned: when databases were restored
  type: str
databases:
  description: Number of tables that could be read, per database.
  returned: when databases were restored
  type: dict
problems:
  description: What has to be done by hand.
  returned: when something was restored
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.host_program import exit_with


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"to": {"type": "str", "default": "latest"}},
        supports_check_mode=True,
    )
    arguments = [f"--to={module.params['to']}", *(["--check"] if module.check_mode else [])]
    exit_with(module, "recover", *arguments)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: restore
short_description: Bring the databases of a host back from its backup
version_added: 1.0.0
author: ringstand contributors (@ringstand)
description:
  - Restores the PostgreSQL cluster of a host from its pgBackRest repository, to the latest state or to a moment.
  - Everything is checked before the first change. The old data directory is kept beside the new one, and put back when
    the restore fails.
  - Apps get errors while the cluster is away. Those that test their connections before use, as with SQLAlchemy's
    C(pool_pre_ping), need no restart afterwards.
options:
  to:
    description: V(latest), or a time with its zone, such as V(2026-11-21T03:00:00Z).
    type: str
    default: latest
  confirm:
    description: The name of the host as it knows itself (C(hostname)); needed when the cluster holds data.
    type: str
    default: ""
  undo:
    description: Put back what was there before a restore that was interrupted, instead of restoring.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: Checks everything, says what would be done and changes nothing. With O(undo) it only says so.
  diff_mode:
    support: none
    description: There is no text to compare.
  idempotent:
    support: none
    description: Each run restores.
notes:
  - Needs the program C(ringstand) on the host and its backup, see the role P(ringstand.flask.backup#role).
"""

EXAMPLES = r"""
- name: Bring the databases back to where they were at three in the morning
  ringstand.flask.restore:
    to: "2026-11-21T03:00:00Z"
    confirm: vm1
"""

RETURN = r"""
would:
  description: What would be done.
  returned: in check mode
  type: str
target:
  description: What was asked for, V(the latest state) or a time in UTC.
  returned: success
  type: str
backup:
  description: The backup that was, or would be, restored.
  returned: success, unless O(undo)
  type: str
recovered_to:
  description: Time of the last change that was restored, in UTC.
  returned: success, but neither in check mode nor with O(undo)
  type: str
databases:
  description: Number of tables that could be read, per database.
  returned: success, but neither in check mode nor with O(undo)
  type: dict
kept:
  description: Where the old data directory is, empty when there was none.
  returned: success, unless O(undo)
  type: str
problems:
  description: What went wrong after the databases were back, such as the new backup.
  returned: success, unless O(undo)
  type: list
  elements: str
output:
  description: The last lines of PostgreSQL's log, when the restored cluster did not come up.
  returned: failure while WAL was replayed
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import RingstandError
from ..module_utils.host_program import call


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "to": {"type": "str", "default": "latest"},
            "confirm": {"type": "str", "default": ""},
            "undo": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    wanted = module.params
    arguments = [f"--to={wanted['to']}", f"--confirm={wanted['confirm']}"]
    if wanted["undo"]:
        if module.check_mode:
            module.exit_json(changed=True, target="", would="put back what was before an interrupted restore")
        arguments.append("--undo")
    if module.check_mode:
        arguments.append("--check")
    try:
        answer = call("restore", *arguments)
    except RingstandError as error:
        module.fail_json(msg=error.message, **error.details)
    for problem in answer.get("problems") or []:
        module.warn(problem)
    module.exit_json(**{key: value for key, value in answer.items() if key != "result"})


if __name__ == "__main__":
    main()

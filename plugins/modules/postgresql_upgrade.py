#!/usr/bin/python
# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_upgrade
short_description: Upgrade the PostgreSQL cluster of a host to another major version, or go back
version_added: 1.0.0
author:
  - ringstand contributors (@ringstand)
description:
  - Backs up and verifies everything first, and changes nothing when that fails. Then it takes the apps into
    maintenance, copies the cluster with C(pg_upgrade), updates extensions and statistics, and takes a new full backup.
  - The old cluster is kept, stopped, under another name, with its packages. When the copy fails it runs as before.
  - One that was killed is taken back by the next run, or finished when the new cluster may have been written to.
  - Runs as a unit of its own on the host, which outlives the connection. Needs the program of the role
    P(ringstand.flask.cli#role).
attributes:
  check_mode:
    description: Checks what can be known beforehand and says what would be done.
    support: full
  diff_mode:
    description: Returns details on what has changed, or would change, in diff mode.
    support: none
  idempotent:
    description: A cluster that has the version already is a failure.
    support: none
options:
  to:
    description: The major version, such as V(17). Its package has to be installed.
    type: str
    default: ""
  confirm:
    description: What C(hostname) says on the host, so that no other one is hit.
    type: str
    default: ""
  cluster:
    description: Name of the cluster.
    type: str
    default: main
  backup:
    description: Whether to back up before and after; V(false) is for hosts without the role
      P(ringstand.flask.backup#role).
    type: bool
    default: true
  rollback:
    description: Start the cluster from before the last upgrade again. What was written since is in the upgraded one
      only, which is kept stopped. One that was interrupted before the new cluster served is only taken back.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Upgrade to PostgreSQL 17
  ringstand.flask.postgresql_upgrade:
    to: "17"
    confirm: vm1
"""

RETURN = r"""
would:
  description: What would be done.
  type: str
  returned: in check mode
upgraded:
  description: The cluster that runs now.
  type: str
  returned: success
  sample: 17/main
kept:
  description: The cluster that is kept, stopped; empty when an interrupted upgrade was taken back.
  type: str
  returned: success, but not in check mode
  sample: 15/main_before_17
downtime_seconds:
  description: How long there was no database.
  type: float
  returned: success, but not in check mode
problems:
  description: What went wrong after the new cluster was up, such as the new backup.
  type: list
  elements: str
  returned: success, but not in check mode
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.host_program import exit_with


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "to": {"type": "str", "default": ""},
            "confirm": {"type": "str", "default": ""},
            "cluster": {"type": "str", "default": "main"},
            "backup": {"type": "bool", "default": True},
            "rollback": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    wanted = module.params
    if module.check_mode and wanted["rollback"]:
        module.exit_json(changed=True, upgraded="", would="start the cluster from before the last upgrade again")
    arguments = [f"--{name}={wanted[name]}" for name in ("to", "confirm", "cluster")]
    flags = {"--no-backup": not wanted["backup"], "--rollback": wanted["rollback"], "--check": module.check_mode}
    exit_with(module, "upgrade", *arguments, *(flag for flag, on in flags.items() if on))


if __name__ == "__main__":
    main()

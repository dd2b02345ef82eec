#!/usr/bin/python
# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: app_info
short_description: Read what the Flask apps on a host are doing
version_added: 1.0.0
author: ringstand contributors (@ringstand)
description:
  - Reads, in one call for all apps, which release serves, whether its processes are older than their environment and
    settings, and whether the app's system user is there.
  - Needs nothing installed on the host.
options:
  apps:
    description: Names of the apps.
    type: list
    elements: str
    required: true
  certificates:
    description: Whether to look at the certificates of the host's sites too, as files and as served.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: Never changes anything.
  diff_mode:
    support: none
    description: There is nothing to compare.
  idempotent:
    support: full
    description: Never changes anything.
"""

EXAMPLES = r"""
- name: Read the apps' states
  ringstand.flask.app_info:
    apps: [shop]
  register: apps
"""

RETURN = r"""
apps:
  description: The state of each app, by name.
  returned: success
  type: dict
  contains:
    release:
      description: Id of the release that serves, or null.
      type: str
    version:
      description: What people call it, or null.
      type: str
    sha:
      description: Its commit, or the hash of its content.
      type: str
    schema_revision:
      description: Revision at which its deploy left the database, or null when it has no migrations that are known.
      type: str
    built:
      description: Those settings of the app that decide what is built, as they were then, by their names; or null.
      type: dict
    slot:
      description: The slot it runs in, V(blue) or V(green), or null.
      type: str
    service:
      description: ActiveState of its service, or null.
      type: str
    listener:
      description: ActiveState of the systemd socket in front of it, or null.
      type: str
    since:
      description: When the service became active, in seconds since the epoch, or null.
      type: int
    stale:
      description: Whether the processes are older than the files that they read at their start, or systemd does not
        listen for them any more. A restart puts it right.
      type: bool
    previous:
      description: Id of the release that a rollback would go to, or null.
      type: str
    maintenance:
      description: Since when, by whom and with which addresses let through it is in maintenance, or null.
      type: dict
    activation:
      description: Who deploys it right now, or an empty text.
      type: str
    linked:
      description: Whether all links lead to what has to serve, or an activation is moving them.
      type: bool
    socket:
      description: Whether the socket that nginx connects to is there.
      type: bool
    processes:
      description: What runs beside the web, see RV(ringstand.flask.processes#module:processes).
      type: list
      elements: dict
    scale:
      description: How many of each process were asked for by C(ringstand scale).
      type: dict
    user:
      description: V(missing), V(ours), V(changed) or V(foreign), the last one being a user that was not made for this
        app. One that was made for it is V(changed) when comment, shell, groups or password are not as they were.
      type: str
others:
  description: Names of the apps that are set up on this host and were not asked for.
  returned: success
  type: list
  elements: str
kept:
  description: Names of the apps that are not set up any more and whose data was not purged.
  returned: success
  type: list
  elements: str
certificates:
  description: The certificates by the names of their sites, as C(ringstand --json certificates) tells them.
  returned: when O(certificates=true)
  type: dict
  contains:
    state:
      description: V(placeholder), V(issued) (but not served), V(served) or V(missing).
      type: str
    expires:
      description: End of its lifetime in UTC, or null.
      type: str
    renews:
      description: When it will be renewed, in UTC, or null.
      type: str
    problem:
      description: What is not as it should be, or null.
      type: str
uv_version:
  description: The version of the installed uv, or an empty text.
  returned: success
  type: str
"""

import subprocess

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import app_info, certificate_state
from ..module_utils.errors import RingstandError


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "apps": {"type": "list", "elements": "str", "required": True},
            "certificates": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    try:
        found = app_info.read(module.params["apps"])
        if module.params["certificates"]:
            found["certificates"] = {row["site"]: row for row in certificate_state.all_states()}
    except (RingstandError, OSError, subprocess.SubprocessError) as error:
        module.fail_json(msg=f"Failed to read the state of the apps: {error}")
    module.exit_json(**found)


if __name__ == "__main__":
    main()

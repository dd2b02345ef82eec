#!/usr/bin/python
# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: units
short_description: Bring systemd units to their state, and reload or restart them when their files are newer
version_added: 1.0.0
author:
  - ringstand contributors (@ringstand)
description:
  - Enables, masks, starts, stops, reloads and restarts any number of units in one remote call. Links are made first,
    then the units are started or stopped in the order listed.
  - Instead of waiting for a handler, it compares when a unit loaded its configuration with when the files changed. So a
    reload that an interrupted run left undone is done by the next run, and files that somebody else changed count too.
  - A unit file that is newer than what systemd has loaded leads to one C(daemon-reload).
  - A start counts once the unit is active and stays so. Otherwise the failure shows the end of the unit's journal.
extends_documentation_fragment: [ringstand.flask.units]
options:
  units:
    required: true
attributes:
  check_mode:
    description: Reports which actions would be taken. A unit without a file is taken as one that an earlier task would
      have made.
    details: A reload or restart for a file that an earlier task would only now change is foreseen when
      O(predicted_paths) names it.
    support: full
  diff_mode:
    description: Shows the actions and the changed path that is the reason.
    support: full
  idempotent:
    description: A second run does nothing, except for the states V(restarted) and V(reloaded).
    support: full
notes:
  - Times are compared safely when the clock was set in between.
"""

EXAMPLES = r"""
- name: Run nginx with its current configuration
  ringstand.flask.units:
    units:
      - name: nginx.service
        enabled: true
        state: started
        reload_if_newer: [/etc/nginx, /etc/ringstand/certificates]
        restart_if_newer: [/etc/systemd/system/nginx.service.d]
        reload_replaces_workers: true
      - name: redis-server@shop-queue.service
        enabled: true
        state: started
        restart_if_newer: [/etc/redis/shop-queue.conf]
      - name: redis-server.service
        enabled: false
        state: stopped
"""

RETURN = r"""
units:
  description: What was done (in check mode, would be done), by the units' full names.
  returned: success
  type: dict
  contains:
    actions:
      description: The actions, in order.
      type: list
      elements: str
      sample: [daemon-reload, enable, start]
    newer_path:
      description: The changed path that was the reason for a reload or restart, else empty.
      type: str
      sample: /etc/nginx/nginx.conf
journal:
  description: The end of the unit's journal, with what looks like a password removed.
  returned: when a unit did not reach its state
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringstand.flask.plugins.module_utils import unit_options
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError


def main() -> None:
    """Run the module."""
    options = {**unit_options.OPTIONS, "units": {**unit_options.UNITS, "required": True}}
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    try:
        result = unit_options.run(module, module.params["predicted_paths"])
    except RingstandError as error:
        module.fail_json(msg=error.message, **error.details)
    module.exit_json(**result)


if __name__ == "__main__":
    main()

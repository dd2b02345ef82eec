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
options:
  units:
    description: The units, in the order in which to start or stop them.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the unit. Without a type it is a service. An instance of a template is named like
          V(redis-server@shop.service).
        type: str
        required: true
      enabled:
        description: Whether the unit starts at boot.
        type: bool
      masked:
        description: Whether the unit cannot be started at all.
        type: bool
      state:
        description:
          - V(started) and V(stopped) act only when needed. A oneshot that ended well since boot counts as started, if
            another unit refers to it (systemd forgets it otherwise) or it has C(RemainAfterExit=yes).
          - V(restarted) and V(reloaded) always act; V(reloaded) and V(restarted) start a unit that does not run.
        type: str
        choices: [started, stopped, restarted, reloaded]
      reload_if_newer:
        description: Files and directories (with all that is in them). A running unit is reloaded when one of them
          changed after it was started or last reloaded. Paths that do not exist are left out.
        type: list
        elements: path
        default: []
      restart_if_newer:
        description: Files and directories. A running unit is restarted when one of them changed after its main process
          started. It then needs no reload.
        type: list
        elements: path
        default: []
      reload_replaces_workers:
        description: Set it for a service such as nginx, whose reload replaces all worker processes. The age of the
          workers then tells what is loaded, whoever reloaded it, and a reload fails when the old workers stay, as they
          do when the new configuration could not be applied.
        type: bool
        default: false
  predicted_paths:
    description: Paths that earlier tasks of this run change, such as C(changed_paths) of
      M(ringstand.flask.config_files). They only count in check mode, in which the files themselves do not change yet.
    type: list
    elements: path
    default: []
  timeout_seconds:
    description: How long one start, stop or reload may take.
    type: float
    default: 120
  settle_seconds:
    description: How long units that were started have to keep running before they count as started. It is waited once
      for all, and not for those without a process, such as timers and sockets.
    type: float
    default: 1
  wait:
    description: With V(false) starts are only asked for, for a caller who asks the service itself when it answers.
      Whether they then run is not known, and O(settle_seconds) has no meaning.
    type: bool
    default: true
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

from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringstand.flask.plugins.module_utils import unit_control, units
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError

UNIT_OPTIONS = {
    "name": {"type": "str", "required": True},
    "enabled": {"type": "bool"},
    "masked": {"type": "bool"},
    "state": {"type": "str", "choices": list(units.STATES)},
    "reload_if_newer": {"type": "list", "elements": "path", "default": []},
    "restart_if_newer": {"type": "list", "elements": "path", "default": []},
    "reload_replaces_workers": {"type": "bool", "default": False},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "units": {"type": "list", "elements": "dict", "required": True, "options": UNIT_OPTIONS},
            "predicted_paths": {"type": "list", "elements": "path", "default": []},
            "timeout_seconds": {"type": "float", "default": 120},
            "settle_seconds": {"type": "float", "default": 1},
            "wait": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    try:
        wanted = [units.parse_wanted(raw) for raw in module.params["units"]]
        limits = (module.params[name] for name in ("timeout_seconds", "settle_seconds", "wait"))
        control = unit_control.Control(wanted, *limits)
        outcomes = control.predict(module.params["predicted_paths"]) if module.check_mode else control.apply()
    except RingstandError as error:
        module.fail_json(msg=error.message, **error.details)
    if module.check_mode and control.missing:
        module.warn(f"Not there yet, so whether they start cannot be foreseen: {', '.join(control.missing)}")
    result = {
        "changed": any(outcome.actions for outcome in outcomes.values()),
        "units": {name: asdict(outcome) for name, outcome in outcomes.items()},
    }
    if module._diff:
        result["diff"] = [
            {"prepared": f"{name}: {', '.join(outcome.actions)} {outcome.newer_path}".rstrip() + "\n"}
            for name, outcome in outcomes.items()
            if outcome.actions
        ]
    module.exit_json(**result)


if __name__ == "__main__":
    main()

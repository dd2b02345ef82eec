#!/usr/bin/python
# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: processes
short_description: Bring the workers and schedulers of a Flask app to its settings
version_added: 1.0.0
author: ringstand contributors (@ringstand)
description:
  - Starts, restarts, stops and removes what runs beside the web of the live release, so that it is what the app's
    settings on the host, else the release's C(Procfile), ask for.
  - Workers are stopped gracefully. Of a scheduler the old one ends before the new one starts.
  - When one does not stay up, what ran before runs again, and the task fails with the reason.
options:
  app:
    description: Name of the app.
    type: str
    required: true
  scale:
    description:
      - How many of each process shall run, by name. Kept on the host, over deploys and other settings.
      - V(default) goes back to the number in the settings.
    type: dict
    default: {}
  by:
    description: Who asks for it, for the ledger. The user who runs Ansible by default.
    type: str
attributes:
  check_mode:
    support: partial
    description: Changes nothing and says what would be.
    details: Compares with the settings that are on the host, which a role that writes them leaves in check mode.
  diff_mode:
    support: none
    description: There is no text to compare.
  idempotent:
    support: full
    description: What is as it should be goes on running.
notes:
  - Needs the program C(ringstand) on the host, see the role P(ringstand.flask.cli#role).
"""

EXAMPLES = r"""
- name: Let three workers run
  ringstand.flask.processes:
    app: shop
    scale:
      worker: 3
"""

RETURN = r"""
processes:
  description: What runs beside the web.
  returned: success
  type: list
  elements: dict
  contains:
    process:
      description: Its name.
      type: str
    kind:
      description: V(worker), V(scheduler), or V(removed) for one that is no process of the app any more.
      type: str
    count:
      description: How many shall run.
      type: int
    running:
      description: How many do.
      type: int
    release:
      description: Id of the release whose code they run.
      type: str
    units:
      description: The units, one for each that shall run.
      type: list
      elements: str
    planned:
      description: Whether the units are those of the settings, and their processes not older than their environment.
      type: bool
notices:
  description: What the operator should know beside it, such as which processes were removed. Each is a warning of the
    task, also when it fails.
  returned: success, but not in check mode
  type: list
  elements: str
journal:
  description: The last lines of a process that did not stay up, secrets removed.
  returned: failure of a process
  type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.app_state import app_state
from ..module_utils.errors import RingstandError
from ..module_utils.host_program import exit_with
from ..module_utils.layout import Layout, load_settings
from ..module_utils.process_plan import read_scale
from ..module_utils.process_state import is_well
from ..module_utils.program_processes import scaled


def predict(app: str, numbers: list[str]) -> dict[str, Any]:
    """What a run would change, as far as the host knows it now."""
    layout = Layout(app)
    processes = app_state(layout)["processes"]
    if not processes and not numbers:
        return {"changed": False, "processes": []}
    scale = scaled(load_settings(app), processes, numbers)
    changed = scale != read_scale(layout) or not all(map(is_well, processes))
    return {"changed": changed, "processes": processes}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "app": {"type": "str", "required": True},
            "scale": {"type": "dict", "default": {}},
            "by": {"type": "str"},
        },
        supports_check_mode=True,
    )
    app, numbers = module.params["app"], [f"{name}={number}" for name, number in module.params["scale"].items()]
    try:
        if module.check_mode:
            module.exit_json(**predict(app, numbers))
    except RingstandError as error:
        module.fail_json(msg=error.message, **error.details)
    exit_with(module, "scale" if numbers else "processes", app, *numbers, "--by", module.params["by"])


if __name__ == "__main__":
    main()

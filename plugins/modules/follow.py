#!/usr/bin/python
# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: follow
short_description: Wait for a deploy of a Flask app that was only started
version_added: 1.0.0
author: ringstand contributors (@ringstand)
description:
  - Waits until the deploy that M(ringstand.flask.deploy) started with O(ringstand.flask.deploy#module:wait=false) has
    ended, and fails with its reason when the app did not go live.
options:
  app:
    description: Name of the app.
    type: str
    required: true
  token:
    description: What the module that started it returned.
    type: str
    required: true
attributes:
  check_mode:
    support: full
    description: Does nothing, as nothing was started.
  diff_mode:
    support: none
    description: There is nothing to compare.
  idempotent:
    support: full
    description: It only waits. The change was reported by the task that started the deploy.
"""

EXAMPLES = r"""
- name: Start a deploy
  ringstand.flask.deploy:
    app: shop
    source: {path: ../shop}
    wait: false
  register: shop_deploy

- name: Wait for it
  ringstand.flask.follow:
    app: shop
    token: "{{ shop_deploy.token }}"
"""

RETURN = r"""
release:
  description: Id of the release that is live now.
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

from ..module_utils.host_program import exit_with


def main() -> None:
    """Run the module."""
    # A token is a name: who has it can only look.
    options = {"app": {"type": "str", "required": True}, "token": {"type": "str", "required": True, "no_log": False}}
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    if module.check_mode:
        module.exit_json(changed=False)
    exit_with(module, "follow", module.params["app"], "--token", module.params["token"], changed=False)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: firewall
short_description: Make the changes to ufw that the filter firewall_changes has found
version_added: 1.0.0
author:
  - ringstand contributors (@ringstand)
description:
  - Allows and removes any number of rules and switches ufw on in one remote call. Rules are allowed first, so that a
    firewall that is switched on lets in who runs this.
  - What is asked for is done. What has to be done is what P(ringstand.flask.firewall_changes#filter) tells, which also
    refuses to lock out who runs this.
options:
  missing:
    description: Rules to allow, in this order.
    type: list
    elements: dict
    default: []
    suboptions:
      port:
        description: A port, or a range such as V(8000:8010).
        type: str
        required: true
      proto:
        description: Protocol.
        type: str
        choices: [tcp, udp]
        required: true
      from:
        description: An address, a network, or V(any).
        type: str
        required: true
  stale:
    description: Rules to remove.
    type: list
    elements: dict
    default: []
    suboptions:
      port:
        description: A port, or a range such as V(8000:8010).
        type: str
        required: true
      proto:
        description: Protocol.
        type: str
        choices: [tcp, udp]
        required: true
      from:
        description: An address, a network, or V(any).
        type: str
        required: true
  comment:
    description: Comment of the rules that are allowed.
    type: str
    default: ringstand
  enable:
    description: Whether to refuse all other incoming traffic, from now on and after a restart.
    type: bool
    default: false
  reload:
    description: Whether ufw loads its files again.
    type: bool
    default: false
attributes:
  check_mode:
    description: Tells what would be done, also where ufw is not installed yet.
    support: full
  diff_mode:
    description: Shows a line for each change.
    support: full
  idempotent:
    description: It does what it is asked for, and the filter asks for nothing when nothing differs.
    support: partial
"""

EXAMPLES = r"""
- name: Let the allowed traffic through, and nothing else
  ringstand.flask.firewall:
    missing: "{{ changes.missing }}"
    stale: "{{ changes.stale }}"
    comment: "{{ changes.comment }}"
    enable: "{{ changes.enable }}"
    reload: "{{ changes.reload }}"
  vars:
    changes: "{{ [{'port': 443}] | ringstand.flask.firewall_changes(facts=ansible_facts.ringstand) }}"
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: [allow 22/tcp from any, refuse everything else]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.firewall_control import Changes, apply

RULE_OPTIONS = {
    "port": {"type": "str", "required": True},
    "proto": {"type": "str", "required": True, "choices": ["tcp", "udp"]},
    "from": {"type": "str", "required": True},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "missing": {"type": "list", "elements": "dict", "default": [], "options": RULE_OPTIONS},
            "stale": {"type": "list", "elements": "dict", "default": [], "options": RULE_OPTIONS},
            "comment": {"type": "str", "default": "ringstand"},
            "enable": {"type": "bool", "default": False},
            "reload": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    changes = Changes(**module.params)
    actions = changes.in_words()
    try:
        if not module.check_mode:
            apply(changes)
    except RingstandError as error:
        module.fail_json(msg=error.message, **error.details)
    result = {"changed": bool(actions), "actions": actions}
    if module._diff and actions:
        result["diff"] = {"prepared": "".join(f"firewall: {action}\n" for action in actions)}
    module.exit_json(**result)


if __name__ == "__main__":
    main()

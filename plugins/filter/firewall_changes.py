# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter that tells which firewall rules are missing."""

from __future__ import annotations

DOCUMENTATION = r"""
name: firewall_changes
short_description: Firewall rules that are missing on a host
version_added: 1.0.0
author:
  - ringstand contributors (@ringstand)
description:
  - Compares the rules that are wanted with those that RV(ringstand.flask.host_facts#module:ansible_facts.ringstand)
    shows, so that nothing has to be asked of the host. SSH ports that are in use are always wanted.
  - Fails when the rules would lock out the address from which the run comes.
positional: _input
options:
  _input:
    description: Wanted rules, each with V(port), and optionally V(proto) and V(from).
    type: list
    elements: dict
    required: true
  facts:
    description: C(ansible_facts.ringstand) as read by M(ringstand.flask.host_facts).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Say what is missing
  ansible.builtin.debug:
    msg: "{{ [{'port': 443}] | ringstand.flask.firewall_changes(facts=ansible_facts.ringstand) }}"
"""

RETURN = r"""
_value:
  description:
    - V(missing) and V(stale) are lists of rules with V(port), V(proto) and V(from). Stale ones were made by this
      collection and are no longer wanted.
    - V(comment) is for the missing ones. V(enable) tells whether the firewall has to be switched on with the policy to
      deny, V(reload) whether the kernel lacks what the firewall's files say. V(warnings) are sentences for people.
  type: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.ringstand.flask.plugins.module_utils.firewall import plan_changes
from ansible_collections.ringstand.flask.plugins.plugin_utils.filters import domain_errors


@domain_errors
def firewall_changes(allow: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]) -> dict[str, Any]:
    """The changes that lead from the facts to the wanted rules."""
    return plan_changes(allow, facts["firewall"], facts["ssh_ports"], facts["ssh_client"])


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Their names."""
        return {"firewall_changes": firewall_changes}

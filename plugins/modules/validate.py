#!/usr/bin/python
# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: validate
short_description: Check the variables before anything is changed
version_added: 1.0.0
author: ringstand contributors (@ringstand)
description:
  - Checks what types alone cannot, such as names, domains, ports, paths, secrets, sizes and how they fit together.
  - Fails with all problems at once. Each names the variable, quotes its value unless that may be secret, and says what
    to write instead.
  - Runs on the controller only; the host is not contacted.
options:
  role:
    description:
      - The role whose variables are checked.
      - Without it the whole site is checked, that is C(flask_apps), C(flask_app_overrides) and the spelling of all
        variables with a prefix of this collection's roles.
    type: str
extends_documentation_fragment:
  - action_common_attributes
attributes:
  check_mode:
    description: Runs the same and changes nothing.
    support: full
  diff_mode:
    description: There is nothing to show a difference of.
    support: none
  idempotent:
    description: The same variables give the same result.
    support: full
  platform:
    platforms: all
notes:
  - With C(ansible_facts.ringstand), which M(ringstand.flask.host_facts) sets, sizes are compared with the machine.
seealso:
  - module: ringstand.flask.host_facts
"""

EXAMPLES = r"""
- name: Check everything before the first change
  ringstand.flask.validate:

- name: Check the variables of one role
  ringstand.flask.validate:
    role: redis
"""

RETURN = r"""
msg:
  description: All problems, one on each line.
  returned: failure
  type: str
  sample: |-
    Failed to accept the variables: 1 problem. Nothing was changed.
    - flask_apps.shop.keep_releases = 1: the number must be between 2 and 100. Choose one in that range.
"""

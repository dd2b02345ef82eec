#!/usr/bin/python
# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: maintenance
short_description: Take a Flask app into maintenance and back
version_added: 1.0.0
author: ringstand contributors (@ringstand)
description:
  - During maintenance nginx answers each request to the app with 503, C(Retry-After) and a page, or with a JSON object
    where a client asks for JSON. Static files, challenges of certificates and deploys go on.
  - Nothing is reloaded, and maintenance lasts until it is ended, over reboots and runs of C(site.yml).
options:
  app:
    description: Name of the app.
    type: str
    required: true
  state:
    description: Whether it is in maintenance.
    type: str
    choices: ["on", "off"]
    required: true
  allow:
    description:
      - Addresses, and networks of 256 addresses at most, that reach the app all the same.
      - They are added to what the app's key C(maintenance.allow) names.
    type: list
    elements: str
    default: []
  page:
    description:
      - File on the host with an HTML page.
      - Without it the app's C(shared/maintenance.html), else what its key C(maintenance.page) holds, else a plain page.
    type: path
  by:
    description: Who asks for it. The user who runs Ansible by default.
    type: str
attributes:
  check_mode:
    support: full
    description: Changes nothing and reports whether the state would change.
  diff_mode:
    support: none
    description: There is no text to compare.
  idempotent:
    support: full
    description: An app that is in maintenance already, with these addresses and this page, stays as it is.
notes:
  - Needs the program C(ringstand) on the host, see the role P(ringstand.flask.cli#role).
"""

EXAMPLES = r"""
- name: Begin maintenance, but let the office through
  ringstand.flask.maintenance:
    app: shop
    state: "on"
    allow: [192.0.2.7]
"""

RETURN = r"""
maintenance:
  description: Whether the app is in maintenance now.
  returned: success
  type: bool
since:
  description: Since when, in UTC, or null.
  returned: success
  type: str
answer:
  description: The status that a visitor gets, or null when nginx could not be asked.
  returned: success
  type: int
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import RingstandError
from ..module_utils.host_program import call
from ..module_utils.maintenance import addresses


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "app": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["on", "off"], "required": True},
            "allow": {"type": "list", "elements": "str", "default": []},
            "page": {"type": "path"},
            "by": {"type": "str"},
        },
        supports_check_mode=True,
    )
    app, state, page = module.params["app"], module.params["state"], module.params["page"]
    try:
        addresses(module.params["allow"])
        if module.check_mode:
            found = call("maintenance", app, "status")
            found["changed"] = found["maintenance"] != (state == "on")
        else:
            allow = [f"--allow={address}" for address in module.params["allow"]]
            own = [f"--page={page}"] if page else []
            found = call("maintenance", app, state, f"--by={module.params['by']}", *allow, *own)
    except RingstandError as error:
        module.fail_json(msg=error.message, **error.details)
    module.exit_json(**{key: found[key] for key in ("changed", "maintenance", "since", "answer")})


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: uv
short_description: Install uv at a pinned version into a virtual environment of its own
version_added: 1.0.0
author:
  - ringstand contributors (@ringstand)
description:
  - Makes the virtual environment, or mends it, and installs what a requirements file names, each with its hash, with
    the pip of the distribution's package C(python3-venv).
  - In one remote call, and without installing pip first, which takes longer than installing uv.
options:
  dir:
    description: Directory of the virtual environment.
    type: path
    required: true
  requirements:
    description: Requirements file on the host, with hashes.
    type: path
    required: true
  pip_config:
    description: Configuration of pip on the host, with the package index and its certificate authorities.
    type: path
    required: true
attributes:
  check_mode:
    description: Changes nothing and reports a change.
    support: full
  diff_mode:
    description: There is no text to compare.
    support: none
  idempotent:
    description: It installs each time; ask M(ringstand.flask.app_info) for the installed version before.
    support: none
seealso:
  - module: ringstand.flask.app_info
"""

EXAMPLES = r"""
- name: Install uv as pinned
  ringstand.flask.uv:
    dir: /opt/ringstand/uv
    requirements: /opt/ringstand/uv-requirements.txt
    pip_config: /opt/ringstand/pip.conf
"""

RETURN = r"""
output:
  description: The end of what a command that failed has printed, passwords removed.
  returned: failure
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringstand.flask.plugins.module_utils import uv
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "dir": {"type": "path", "required": True},
            "requirements": {"type": "path", "required": True},
            "pip_config": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    try:
        if not module.check_mode:
            uv.install(module.params["dir"], module.params["requirements"], module.params["pip_config"])
    except RingstandError as error:
        module.fail_json(msg=error.message, **error.details)
    module.exit_json(changed=True)


if __name__ == "__main__":
    main()

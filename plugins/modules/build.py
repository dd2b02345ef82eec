#!/usr/bin/python
# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: build
short_description: Start to build the virtual environment of an app before its first deploy
version_added: 1.0.0
author: ringstand contributors (@ringstand)
description:
  - Hands the source over to the host, has the program C(ringstand) there install what it needs in the background, and
    returns at once, so that the rest of the host can be set up in the meantime.
  - It may be started before the packages of the host are installed, and begins when those that it needs are there.
  - M(ringstand.flask.deploy) waits for it. A build that fails is tried again by the deploy, which gives the reason.
options:
  app:
    description: Name of the app, as the role C(ringstand.flask.gunicorn) set it up on the host.
    type: str
    required: true
  source:
    description: What will be deployed, as M(ringstand.flask.deploy) takes it.
    type: dict
    required: true
  packages:
    description: Debian packages that the build waits for, as apt takes them. It waits for those that uv needs, too.
    type: list
    elements: str
    default: []
  by:
    description: Who deploys. The user who runs Ansible by default.
    type: str
  archive:
    description: Set by the action plugin. The archive's path on the host.
    type: path
  archive_content:
    description: Set by the action plugin. A small archive itself, Base64.
    type: str
  sha:
    description: Set by the action plugin. The commit, or the hash of the source's content.
    type: str
  version:
    description: Set by the action plugin. What people call this release.
    type: str
attributes:
  check_mode:
    support: full
    description: Resolves the source, and hands nothing over.
  diff_mode:
    support: none
    description: There is nothing to compare.
  idempotent:
    support: none
    description: It starts a build each time; ask M(ringstand.flask.app_info) before whether there is a release.
notes:
  - Needs the program C(ringstand) on the host, see the role P(ringstand.flask.cli#role).
"""

EXAMPLES = r"""
- name: Start to build what the first release needs
  ringstand.flask.build:
    app: shop
    source: {git: "https://git.example.com/acme/shop.git", version: v1.4.2}
  register: shop_build

- name: Deploy it later in the same run
  ringstand.flask.deploy:
    app: shop
    source: {git: "https://git.example.com/acme/shop.git", version: v1.4.2}
    built: "{{ shop_build }}"
"""

RETURN = r"""
archive:
  description: Where the archive waits on the host, or an empty text in check mode.
  returned: success
  type: str
sha:
  description: The commit, or the hash of the source's content.
  returned: success
  type: str
version:
  description: What people call it.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import RingstandError
from ..module_utils.handed_over import OPTIONS, archive_path
from ..module_utils.host_program import call


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "app": {"type": "str", "required": True},
            "source": {"type": "dict", "required": True},
            "packages": {"type": "list", "elements": "str", "default": []},
            "by": {"type": "str"},
            **OPTIONS,
        },
        supports_check_mode=True,
    )
    sha, kept = module.params["sha"], ""
    try:
        with archive_path(module) as archive:
            if archive and not module.check_mode:
                arguments = ["--archive", archive, "--sha", sha, "--by", module.params["by"]]
                arguments += [f"--package={package}" for package in module.params["packages"]]
                kept = call("build", module.params["app"], *arguments)["archive"]
    except RingstandError as error:
        module.fail_json(msg=error.message, **error.details)
    module.exit_json(changed=True, archive=kept, sha=sha, version=module.params["version"])


if __name__ == "__main__":
    main()

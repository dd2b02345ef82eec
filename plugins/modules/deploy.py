#!/usr/bin/python
# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: deploy
short_description: Deploy a release of a Flask app without losing a request
version_added: 1.0.0
author: ringstand contributors (@ringstand)
description:
  - Packs a revision of git, a folder or an archive on the controller, hands it to the host, and has the program
    C(ringstand) there build a release of it, migrate the database, start it in the idle slot, prove it healthy and move
    all traffic to it.
  - A failure before the switch leaves the old release serving, and the task fails with the reason.
  - The work is done by a process on the host that goes on when the connection is cut. Only one runs per app at a time.
  - A source that is live already is not deployed again, unless O(force) is set, or settings of the app have changed
    that decide what is built (C(extra_packages), C(python), C(requirements_path), C(release_command),
    C(writable_dirs), C(static.dir), C(source.root_directory)). They are those of the last run of C(site.yml).
options:
  app:
    description: Name of the app, as the role C(ringstand.flask.gunicorn) set it up on the host.
    type: str
    required: true
  source:
    description: What to deploy. Exactly one of O(source.git), O(source.path) and O(source.archive).
    type: dict
    required: true
    suboptions:
      git:
        description: URL of a repository that the controller can read. Hosts need no access to it.
        type: str
      version:
        description:
          - With O(source.git), the branch, tag or full commit id to deploy; it is resolved once, on the controller.
          - Otherwise only a label.
        type: str
      path:
        description:
          - A folder on the controller. In a git work tree its tracked and new files that are not ignored are
            taken, elsewhere all but caches and virtual environments.
        type: path
      archive:
        description: A tar or zip archive on the controller. A single folder at its top is stripped.
        type: path
      deploy_key_path:
        description:
          - A private SSH key on the controller with which O(source.git) is read, which may be a vaulted file. It does
            not leave the controller. Without it the SSH configuration and agent of the user who runs Ansible count.
        type: path
      submodules:
        description:
          - Whether the submodules of O(source.git) are deployed too. A revision with submodules is refused without a
            decision.
        type: bool
      root_directory:
        description:
          - The folder of the source that has the app, for a repository of several. Nothing else reaches the host, and
            all that names files of the source is relative to it.
        type: str
  by:
    description: Who deploys, for the ledger. The user who runs Ansible by default.
    type: str
  force:
    description: Deploy a source that is live already once more.
    type: bool
    default: false
  migration_lock_timeout_seconds:
    description: How long a statement of this deploy's migrations waits for a lock, instead of the app's setting.
    type: float
  migration_statement_timeout_seconds:
    description: How long one of their statements may take, instead of the app's setting; 0 is without limit.
    type: float
  migration_timeout_seconds:
    description: How long all of them may take, instead of the app's setting.
    type: float
  built:
    description: What M(ringstand.flask.build) returned for this source, which is then neither resolved nor handed over
      again. Without an archive in it, it has no meaning.
    type: dict
  wait:
    description: With V(false) it is only started; M(ringstand.flask.follow) waits for its end.
    type: bool
    default: true
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
    description: Resolves the source and says whether it would be deployed; whether it is healthy is not known before.
  diff_mode:
    support: full
    description: Shows the version that is live and the one that would be.
  idempotent:
    support: full
    description: A source that is live already, and was built with the app's settings, is not deployed again.
notes:
  - Needs the program C(ringstand) on the host, see the role P(ringstand.flask.cli#role).
"""

EXAMPLES = r"""
- name: Deploy a tag
  ringstand.flask.deploy:
    app: shop
    source:
      git: https://git.example.com/acme/shop.git
      version: v1.4.2

- name: Deploy the folder beside the playbook
  ringstand.flask.deploy:
    app: shop
    source:
      path: ../shop
"""

RETURN = r"""
token:
  description: What M(ringstand.flask.follow) waits for.
  returned: when it was only started
  type: str
release:
  description: Id of the release that is live now.
  returned: success, but not in check mode when it would be made
  type: str
  sample: 20261121T093000Z-3f2a9c1
version:
  description: What people call it.
  returned: success
  type: str
  sample: v1.4.2
sha:
  description: The commit, or the hash of the source's content.
  returned: success
  type: str
previous:
  description: Id of the release that was live before, or null.
  returned: when something was deployed
  type: str
phases:
  description: Seconds that each step took.
  returned: when something was deployed
  type: dict
  sample: {"dependencies": 2.8, "migrate": 0.9, "gate": 0.6, "switch": 0.01}
notices:
  description: What the operator should know beside it. Each is a warning of the task, also when it fails.
  returned: when something was deployed
  type: list
  elements: str
journal:
  description: The last lines of a release that did not become healthy, secrets removed.
  returned: failure of a started release
  type: str
output:
  description: The end of what a command that failed has printed, secrets removed.
  returned: failure of a command
  type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.app_state import app_state
from ..module_utils.build_settings import build_settings, changed
from ..module_utils.errors import RingstandError
from ..module_utils.handed_over import OPTIONS, archive_path
from ..module_utils.host_program import call, fail_with, warn_of
from ..module_utils.layout import MIGRATION_LIMITS, Layout, load_settings


def run(parameters: dict[str, Any], archive: str, check_mode: bool) -> dict[str, Any]:
    """Deploy the archive, or without one say what a deploy would change."""
    app, sha, version = parameters["app"], parameters["sha"], parameters["version"]
    root = parameters["source"]["root_directory"] or ""
    if check_mode or not archive:
        live = app_state(Layout(app))  # not by the program, which a bare host does not have yet
        is_live = live["sha"] == sha and not changed(live["built"], build_settings(load_settings(app), root))
        would_change = parameters["force"] or not is_live
        release = None if would_change else live["release"]
        return {
            "changed": would_change,
            "release": release,
            "version": version,
            "sha": sha,
            "diff": {"before": f"{live['version']}\n", "after": f"{version}\n"} if would_change else {},
        }
    force = ["--force"] if parameters["force"] else []
    arguments = ["--archive", archive, "--sha", sha, "--version", version, "--by", parameters["by"]]
    arguments.append(f"--root-directory={root}")
    for name in MIGRATION_LIMITS:
        if parameters[name] is not None:
            arguments += [f"--{name.replace('_', '-')}", str(parameters[name])]
    return call("deploy", app, *arguments, *force, *([] if parameters["wait"] else ["--no-wait"]))


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "app": {"type": "str", "required": True},
            "source": {
                "type": "dict",
                "required": True,
                "options": {
                    "git": {"type": "str"},
                    "version": {"type": "str"},
                    "path": {"type": "path"},
                    "archive": {"type": "path"},
                    "deploy_key_path": {"type": "path"},
                    "submodules": {"type": "bool"},
                    "root_directory": {"type": "str"},
                },
            },
            "by": {"type": "str"},
            "force": {"type": "bool", "default": False},
            **dict.fromkeys(MIGRATION_LIMITS, {"type": "float"}),
            "built": {"type": "dict"},
            "wait": {"type": "bool", "default": True},
            **OPTIONS,
        },
        supports_check_mode=True,
    )
    try:
        with archive_path(module) as archive:
            result = run(module.params, archive, module.check_mode)
        if module.check_mode and result["changed"]:
            module.warn(
                f"The release of {module.params['app']} is not built in check mode: whether its dependencies install, "
                "it imports, its migrations pass and it becomes healthy cannot be foreseen"
            )
        warn_of(module, result)
        module.exit_json(**result)
    except RingstandError as error:
        fail_with(module, error)


if __name__ == "__main__":
    main()

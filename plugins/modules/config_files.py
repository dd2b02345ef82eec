#!/usr/bin/python
# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: config_files
short_description: Bring configuration files, and the units that read them, to their wanted state
version_added: 1.0.0
author:
  - ringstand contributors (@ringstand)
description:
  - Writes, links and removes any number of files and makes directories in one remote call, in the order listed.
  - All entries are checked first. Nothing is changed when one of them cannot be applied.
  - Each file is replaced in one step (written beside its place, flushed to disk, renamed), so a reader sees the old
    content or the new one. When a write or a validation fails, or the run is told to stop, everything is put back.
  - A file whose content, owner, group and mode are as wanted is only read.
  - With O(units) the services that read the files are then started, reloaded or restarted as needed, in the same call.
    Files stay in place when a unit does not reach its state.
extends_documentation_fragment: [ringstand.flask.units]
options:
  files:
    description: What to have, in the order in which to make it.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description:
          - Absolute path, without V(.) and V(..). Its directory must exist or be listed before.
          - A symbolic link at the path itself is replaced, never written through. Links on the way are followed when
            root or the connecting user made them.
        type: str
        required: true
      state:
        description:
          - V(present) is a file, V(link) a symbolic link.
          - V(directory) is made when missing, its parent not.
          - V(absent) removes a file, a link or an empty directory.
        type: str
        choices: [present, absent, directory, link]
        default: present
      content:
        description: The whole file as text. Exactly one of O(files[].content), O(files[].secret_content) and
          O(files[].content_base64) is needed for a file.
        type: raw
      secret_content:
        description: Like O(files[].content), for text that must not be shown in output or diff.
        type: raw
      content_base64:
        description: The whole file in base64, for content that is not UTF-8 text.
        type: raw
      owner:
        description: User name or id. The default is V(root).
        type: str
      group:
        description: Group name or id. The default is V(root).
        type: str
      mode:
        description: Octal digits in quotes. The default is V("0644") for a file and V("0755") for a directory.
        type: raw
      target:
        description: Where a link leads, absolute or relative to the link. It need not exist.
        type: str
      validate:
        description: Command that accepts or refuses the new file, named in it as C(%s), before it is put in place.
          It is not run by a shell, and not in check mode.
        type: str
      force:
        description: With V(false) whatever is there already stays as it is, and only something missing is made.
        type: bool
        default: true
      part:
        description:
          - Files and links of the same part stand or fall together. Needs O(stage_dir).
          - When O(validate) refuses the whole, the parts that are to blame keep what is on the host, or are left out
            when that is refused as well; all others go ahead. See RV(refused).
        type: str
  validate:
    description: Commands to run when at least one path changed and all are in place, such as C(nginx -t). When one
      fails, all paths are put back. They are not run by a shell, and in check mode only with O(stage_dir).
    type: list
    elements: str
    default: []
  stage_dir:
    description:
      - Directory of which the commands of O(validate) see a view as it is to be, in a mount namespace of their own,
        before anything in it is changed. What is outside of it is changed before. Where the host does not allow
        mounts, everything is tried in place and put back.
      - With it check mode runs the commands too, unless O(predicted_paths) says that something is not there yet.
    type: path
  units:
    default: []
attributes:
  check_mode:
    description: Reports exactly what would change, and with O(stage_dir) what would be refused. A user, group or
      directory that does not exist yet is accepted, since an earlier task may make it.
    support: full
  diff_mode:
    description: Shows contents and attributes. Contents of secret files, of files that only their owner may read, and
      of binary files are not shown.
    support: full
  idempotent:
    description: A second run changes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Configure a site
  ringstand.flask.config_files:
    files:
      - path: /etc/nginx/snippets/shop
        state: directory
      - path: /etc/nginx/snippets/shop/limits.conf
        content: "client_max_body_size 20m;\n"
      - path: /etc/nginx/sites-enabled/shop.conf
        state: link
        target: ../sites-available/shop.conf
      - path: /etc/shop.env
        secret_content: "{{ shop_environment }}"
        group: shop
        mode: "0640"
      - path: /etc/sudoers.d/shop
        content: "%shop ALL=(root) NOPASSWD: /usr/local/bin/ringstand status\n"
        mode: "0440"
        validate: visudo -cf %s
      - path: /etc/nginx/sites-enabled/default
        state: absent
    validate:
      - nginx -t
    units:
      - name: nginx.service
        state: started
        reload_if_newer: [/etc/nginx]
"""

RETURN = r"""
changed_paths:
  description: The paths that were (in check mode, would be) changed, in order.
  returned: success
  type: list
  elements: str
  sample: [/etc/nginx/sites-enabled/shop.conf]
refused:
  description: The parts that were not changed because the validation refused them.
  returned: success and O(stage_dir) is set
  type: list
  elements: dict
  contains:
    part:
      description: Name of the part.
      type: str
      sample: shop
    reason:
      description: What the validation said.
      type: str
      sample: 'nginx: [emerg] unknown directive "proxy_pas" in /etc/nginx/ringstand/sites/shop.conf:12'
    line:
      description: The refused file's line that this names; empty when it names none.
      type: str
      sample: proxy_pas http://shop;
    kept:
      description: Whether the part's last good version stays in place. Otherwise nothing of it is there.
      type: bool
      sample: true
units:
  description: What was done to the units, as M(ringstand.flask.units) returns it.
  returned: when O(units) has any
  type: dict
restored:
  description: Whether every path was put back as it was.
  returned: when a change failed
  type: bool
  sample: true
rc:
  description: Exit code of the validation that failed.
  returned: when a validation failed
  type: int
stderr:
  description: What the validation wrote, without secrets.
  returned: when a validation failed
  type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringstand.flask.plugins.module_utils import (
    commands,
    file_diff,
    file_transaction,
    files,
    part_transaction,
    unit_options,
    units,
)
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError

FILE_OPTIONS = {
    "path": {"type": "str", "required": True},
    "state": {"type": "str", "choices": list(files.STATES), "default": files.PRESENT},
    "content": {"type": "raw"},
    "secret_content": {"type": "raw", "no_log": True},
    "content_base64": {"type": "raw"},
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "mode": {"type": "raw"},
    "target": {"type": "str"},
    "validate": {"type": "str"},
    "force": {"type": "bool", "default": True},
    "part": {"type": "str"},
}


class UnrecordedModule(AnsibleModule):
    """A module whose arguments are not written to the host's log.

    There Ansible hides a nested secret by replacing its value in the text of the whole argument, where a line break
    or a quote is escaped: a secret of several lines would be in the journal.
    """

    def _log_invocation(self) -> None:
        self.log("Invoked")


def write(module: AnsibleModule, entries: list[files.Entry]) -> part_transaction.Applied:
    """Bring the host to the entries, or say in check mode what that would change."""
    validate, tree = module.params["validate"], module.params["stage_dir"]
    if not module.check_mode:
        if tree:
            return part_transaction.apply(entries, validate, tree)
        return part_transaction.Applied(file_transaction.apply(entries, validate))
    changes = files.plan(entries, check=True)
    own = [change.entry.validate for change in changes if change.entry.validate]
    foreseen = None
    if tree and not module.params["predicted_paths"]:  # else the commands may need what an earlier task would have made
        foreseen = part_transaction.foresee(entries, validate, tree)
    commands_left = own if foreseen or not changes else [*validate, *own]
    if commands_left:
        module.warn(f"What these would say cannot be foreseen: {'; '.join(commands_left)}")
    return foreseen or part_transaction.Applied(changes)


def main() -> None:
    """Run the module."""
    module = UnrecordedModule(
        argument_spec={
            "files": {"type": "list", "elements": "dict", "required": True, "options": FILE_OPTIONS},
            "validate": {"type": "list", "elements": "str", "default": []},
            "stage_dir": {"type": "path"},
            "units": {**unit_options.UNITS, "default": []},
            **unit_options.OPTIONS,
        },
        supports_check_mode=True,
    )
    try:
        entries = [files.parse_entry(raw) for raw in module.params["files"]]
        for command in module.params["validate"]:
            commands.check_command(command, "validate", placeholder=False)
        if not module.params["stage_dir"]:
            files.refuse_parts(entries)
        for raw in module.params["units"]:
            units.parse_wanted(raw)
        applied = write(module, entries)
    except RingstandError as error:
        module.fail_json(msg=error.message, **error.details)
    changes = applied.changes
    paths = [change.entry.path for change in changes]
    result: dict[str, Any] = {"changed": bool(changes), "changed_paths": paths}
    if module.params["stage_dir"]:
        result["refused"] = [one.as_dict() for one in applied.refused]
        for one in applied.refused:
            module.warn(str(one))
    diff = [part for change in changes for part in file_diff.describe(change)] if module._diff else []
    if module.params["units"]:
        try:
            done = unit_options.run(module, [*module.params["predicted_paths"], *paths])
        except RingstandError as error:
            module.fail_json(msg=error.message, **{**result, **error.details})
        result.update(changed=bool(changes) or done["changed"], units=done["units"])
        diff += done.get("diff", [])
    if module._diff:
        result["diff"] = diff
    module.exit_json(**result)


if __name__ == "__main__":
    main()

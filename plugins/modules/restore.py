#!/usr/bin/python
# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: restore
short_description: Bring databases or files of a host back from its backup
version_added: 1.0.0
author: ringstand contributors (@ringstand)
description:
  - Restores the PostgreSQL cluster of a host from its pgBackRest repository, to the latest state, to a moment, or to
    the restore point that a deploy has set before the migrations of its release.
  - With O(database) one database, or tables of it, comes back into a new database beside the live one, which nothing is
    changed in; with O(files) the files of an app come back, beside the live ones or in their place.
  - Everything is checked before the first change. What was there is kept beside what is restored, and put back when the
    restore fails.
  - Apps get errors while the cluster is away. Those that test their connections before use, as with SQLAlchemy's
    C(pool_pre_ping), need no restart afterwards.
options:
  to:
    description:
      - V(latest), or a time with its zone, such as V(2026-11-21T03:00:00Z). Without it the latest state is restored.
      - With O(database) it restores from the backup of the cluster, by way of a scratch cluster. Without it, and
        without O(before_release), the newest dump is loaded.
    type: str
  before_release:
    description: Id of a release, alone or after its app and a slash. What is restored is the moment before the
      migrations of its deploy.
    type: str
  confirm:
    description: The name of the host as it knows itself (C(hostname)); needed when the cluster holds data, and for
      O(in_place).
    type: str
    default: ""
  database:
    description: Restore this database only, into a new one beside it.
    type: str
  tables:
    description: With O(database), the tables whose rows are loaded, with or without their schema. The others are
      made and stay empty.
    type: list
    elements: str
  side_database:
    description: With O(database), the name of the new one. The default is the old name with C(_restored_) and the date.
    type: str
  dump:
    description: With O(database), the time of another dump than the newest, as it is in the name of its file.
    type: str
  files:
    description: Restore the files of this app, or of V(host), instead of databases.
    type: str
  paths:
    description: With O(files), absolute paths to restore instead of all.
    type: list
    elements: path
  snapshot:
    description: With O(files), the beginning of the id of another snapshot than the newest.
    type: str
  into:
    description: With O(files), a directory that does not exist yet. The default is one beside the live files.
    type: path
  in_place:
    description: With O(files), exchange the live files for those of the backup, and keep the old ones beside.
    type: bool
    default: false
  offsite:
    description: Restore from the second place of the backups instead of this host.
    type: bool
    default: false
  list:
    description: Only say what can be restored.
    type: bool
    default: false
  undo:
    description: Put back what was there before a restore that was interrupted, instead of restoring.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: Checks everything, says what would be done and changes nothing. With O(undo) it only says so.
  diff_mode:
    support: none
    description: There is no text to compare.
  idempotent:
    support: none
    description: Each run restores.
notes:
  - Needs the program C(ringstand) on the host and its backup, see the role P(ringstand.flask.backup#role).
"""

EXAMPLES = r"""
- name: Bring the databases back to where they were at three in the morning
  ringstand.flask.restore:
    to: "2026-11-21T03:00:00Z"
    confirm: vm1

- name: Look at the orders as they were before the last deploy, beside the live database
  ringstand.flask.restore:
    database: shop
    tables: [orders]
    before_release: shop/20261121T030000Z-4f2a9c1

- name: Have the uploads of last night in a directory of their own
  ringstand.flask.restore:
    files: shop
    paths: [/srv/shop/shared/media]
"""

RETURN = r"""
would:
  description: What would be done.
  returned: in check mode
  type: str
target:
  description: What was asked for, V(the latest state), a time in UTC, or a restore point.
  returned: success of a restore of the cluster
  type: str
backup:
  description: The backup that was, or would be, restored.
  returned: success of a restore of the cluster, unless O(undo)
  type: str
recovered_to:
  description: Time of the last change that was restored, in UTC.
  returned: success with databases, but neither in check mode nor with O(undo)
  type: str
databases:
  description: Number of tables that could be read, per database.
  returned: success of a restore of the cluster, but neither in check mode nor with O(undo)
  type: dict
side_database:
  description: The new database.
  returned: success with O(database)
  type: str
source:
  description: The dump or backup that it comes from.
  returned: success with O(database)
  type: str
rows:
  description: Number of rows of each of O(tables).
  returned: success with O(database), but not in check mode
  type: dict
snapshot:
  description: The snapshot of the files.
  returned: success with O(files)
  type: str
into:
  description: The directory that they are in, empty with O(in_place).
  returned: success with O(files)
  type: str
kept:
  description: Where is what was there before, empty when there was nothing.
  returned: success, unless O(undo)
  type: str
times:
  description: The first and the last moment to which the databases can be brought back, as C(from) and C(to).
  returned: with O(list)
  type: dict
points:
  description: The restore points, each with C(app), C(release), C(time) and C(name).
  returned: with O(list)
  type: list
  elements: dict
dumps:
  description: The dumps, each with C(database), C(time), C(path) and C(size) in bytes.
  returned: with O(list)
  type: list
  elements: dict
problems:
  description: What went wrong after the databases were back, such as the new backup.
  returned: success, unless O(undo)
  type: list
  elements: str
output:
  description: The last lines of PostgreSQL's log, when the restored cluster did not come up.
  returned: failure while WAL was replayed
  type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.host_program import exit_with

_VALUES = {"to": "to", "before_release": "before-release", "confirm": "confirm", "database": "database",
           "side_database": "as", "dump": "dump", "files": "files", "snapshot": "snapshot", "into": "into"}
_LISTS = {"tables": "table", "paths": "path"}
_FLAGS = {"in_place": "in-place", "offsite": "offsite", "undo": "undo", "list": "list"}


def arguments(wanted: dict[str, Any], check: bool) -> list[str]:
    """The options of the program for those of the module."""
    found = [f"--{flag}={wanted[key]}" for key, flag in _VALUES.items() if wanted[key]]
    found += [f"--{flag}={value}" for key, flag in _LISTS.items() for value in wanted[key] or []]
    found += [f"--{flag}" for key, flag in _FLAGS.items() if wanted[key]]
    return [*found, *(["--check"] if check else [])]


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "to": {"type": "str"},
            "before_release": {"type": "str"},
            "confirm": {"type": "str", "default": ""},
            "database": {"type": "str"},
            "tables": {"type": "list", "elements": "str"},
            "side_database": {"type": "str"},
            "dump": {"type": "str"},
            "files": {"type": "str"},
            "paths": {"type": "list", "elements": "path"},
            "snapshot": {"type": "str"},
            "into": {"type": "path"},
            "in_place": {"type": "bool", "default": False},
            "offsite": {"type": "bool", "default": False},
            "list": {"type": "bool", "default": False},
            "undo": {"type": "bool", "default": False},
        },
        mutually_exclusive=[("to", "before_release", "dump"), ("database", "files")],
        supports_check_mode=True,
    )
    exit_with(module, "restore", *arguments(module.params, module.check_mode))


if __name__ == "__main__":
    main()

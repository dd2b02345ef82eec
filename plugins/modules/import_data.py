#!/usr/bin/python
# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: import_data
short_description: Bring an app's data from elsewhere into its empty database
version_added: 1.0.0
author: ringstand contributors (@ringstand)
description:
  - Loads what C(pg_dump) wrote, or a database at another provider, into the database of a new app, and unpacks uploads.
  - Versions, extensions and the emptiness of the database are checked before anything is loaded. All of it is loaded
    in one transaction, as the app's own role, so that everything belongs to it; a run that is killed leaves the
    database as empty as it was.
  - Visitors get the maintenance page meanwhile when the app runs.
options:
  app:
    description: Name of the app.
    type: str
    required: true
  dump:
    description: Absolute path, on the host, of a dump in the custom, tar or directory format, or in plain SQL; it may
      be compressed by gzip.
    type: path
  url:
    description: The C(postgres://) URL of the database that is left. The connection has to be encrypted.
    type: str
  uploads:
    description: Absolute path, on the host, of a tar archive or a directory of uploads.
    type: path
  uploads_into:
    description: Folder of the app's C(shared) that they go into. The default is C(media) if it is there, else
      C(shared).
    type: str
    default: ""
  by:
    description: Who does it. The user who runs Ansible by default.
    type: str
attributes:
  check_mode:
    support: full
    description: Checks everything, says what would be done and changes nothing.
  diff_mode:
    support: none
    description: There is no text to compare.
  idempotent:
    support: none
    description: What has been imported is not imported again, because the database is not empty any more; that fails.
notes:
  - Needs the program C(ringstand) on the host, see the role P(ringstand.flask.cli#role).
"""

EXAMPLES = r"""
- name: Bring a database from where the app was
  ringstand.flask.import_data:
    app: shop
    url: "{{ vault_shop_old_database_url }}"
    uploads: /root/shop-uploads.tar.gz
"""

RETURN = r"""
would:
  description: What would be done.
  returned: in check mode
  type: str
database:
  description: The database that was filled.
  returned: success with a dump or URL, but not in check mode
  type: str
tables:
  description: Rows by table.
  returned: success with a dump or URL, but not in check mode
  type: dict
rows:
  description: All of them together.
  returned: success with a dump or URL, but not in check mode
  type: int
revision:
  description: The revision of Alembic that the database is at, empty without one.
  returned: success with a dump or URL, but not in check mode
  type: str
extensions:
  description: The extensions that were made for it.
  returned: success with a dump or URL, but not in check mode
  type: list
  elements: str
uploads:
  description: Where the uploads are.
  returned: success, but not in check mode
  type: str
maintenance:
  description: Whether the app is in maintenance still.
  returned: success with a dump or URL, but not in check mode
  type: bool
problems:
  description: What is not as it was at the source, and whether the live release does not fit the schema that came.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.host_program import exit_with


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "app": {"type": "str", "required": True},
            "dump": {"type": "path"},
            "url": {"type": "str", "no_log": True},
            "uploads": {"type": "path"},
            "uploads_into": {"type": "str", "default": ""},
            "by": {"type": "str"},
        },
        required_one_of=[("dump", "url", "uploads")],
        mutually_exclusive=[("dump", "url")],
        supports_check_mode=True,
    )
    wanted = module.params
    arguments = [f"--{key}={wanted[key]}" for key in ("dump", "uploads", "by") if wanted[key]]
    arguments += [f"--uploads-into={wanted['uploads_into']}"] if wanted["uploads_into"] else []
    arguments += ["--url-file=-"] if wanted["url"] else []
    arguments += ["--check"] if module.check_mode else []
    exit_with(module, "import", wanted["app"], *arguments, stdin=wanted["url"])


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: db_upgrade
short_description: Upgrade the database of a Flask app to the revision of its code
version_added: 1.0.0
author:
  - ringstand contributors (@ringstand)
description:
  - Runs C(flask db upgrade) (Flask-Migrate), or a command of your own, when the database lacks revisions that the code
    has, and compares the database before and after. What the command prints decides nothing.
  - The command runs as a sandboxed transient systemd unit of the app's user, with the app's environment file.
  - On PostgreSQL an advisory lock makes hosts that migrate at once wait for each other, and a lock that the migration
    itself waits for too long is given up, retried, and its owner named. This needs a direct connection, no pooler.
  - The database is read through the app's own SQLAlchemy and driver. It is never stamped.
options:
  name:
    description: Name of the app, and of the lock. The default is the last part of O(app_dir).
    type: str
  app_dir:
    description: Absolute path of the directory that the command runs in and that has O(migrations_dir).
    type: path
    required: true
  venv_dir:
    description: Absolute path of the app's virtual environment.
    type: path
    required: true
  user:
    description: User that the command runs as.
    type: str
    required: true
  group:
    description: Group that the command runs as. The default is the user's own.
    type: str
  environment_file:
    description: File with the app's environment, in the format of C(EnvironmentFile=) in systemd.exec(5). systemd reads
      it as root.
    type: path
  environment:
    description: Further variables. They are visible on the host while the command runs, so never give a secret here.
    type: dict
    default: {}
  database_url_variable:
    description: Variable of the environment that holds the database URL.
    type: str
    default: DATABASE_URL
  database_url:
    description: Database URL to use instead, such as a direct connection where the app uses a pooler. It reaches the
      command through memory, and shows in no argument and no file.
    type: str
  flask_app:
    description: Value of C(FLASK_APP), such as V(shop:create_app(\)). Empty leaves it as the environment has it.
    type: str
    default: ""
  migrations_dir:
    description: Directory of the migrations, relative to O(app_dir).
    type: str
    default: migrations
  upgrade_command:
    description:
      - Command that upgrades, such as V(alembic upgrade head) or V(flask db upgrade heads), instead of
        C(flask db upgrade). It is found in the virtual environment first, and not run by a shell.
      - With a command of its own an app may have several heads.
    type: str
    default: ""
  version_table:
    description: Table with the applied revisions. V(schema.table) when it is ambiguous.
    type: str
    default: alembic_version
  allow_unversioned_tables:
    description: Whether to migrate a database that has tables but no O(version_table), since they belong to something
      else.
    type: bool
    default: false
  advisory_lock:
    description: Whether to hold an advisory lock meanwhile. PostgreSQL only.
    type: bool
    default: true
  advisory_lock_wait_seconds:
    description: How long to wait for another migration of the app.
    type: float
    default: 300
  lock_timeout_seconds:
    description: How long a statement waits for a lock, during which all that come after wait behind it. V(0) is for
      ever. PostgreSQL drivers built on libpq only.
    type: float
    default: 5
  lock_retries:
    description: How often to try again after that.
    type: int
    default: 3
  statement_timeout_seconds:
    description: How long a statement may take, V(0) is for ever. PostgreSQL drivers built on libpq only.
    type: float
    default: 0
  timeout_seconds:
    description: Time for everything together.
    type: float
    default: 1800
  writable_paths:
    description: Absolute paths that the command may write to, such as the directory of an SQLite database.
    type: list
    elements: path
    default: []
attributes:
  check_mode:
    description: Returns and shows the revisions that are pending, and writes nothing. When the app is not on the host
      yet, it is reported as a change.
    support: full
  diff_mode:
    description: Shows the revision before and after, and the revisions between.
    support: full
  idempotent:
    description: A database that has all revisions is left alone.
    support: full
"""

EXAMPLES = r"""
- name: Migrate
  ringstand.flask.db_upgrade:
    app_dir: /srv/shop/current
    venv_dir: /srv/shop/venv
    user: shop
    environment_file: /etc/shop.env
    flask_app: shop:create_app()

- name: Migrate an app that has plain Alembic, around its connection pooler
  ringstand.flask.db_upgrade:
    app_dir: /opt/stock
    venv_dir: /opt/stock/venv
    user: stock
    database_url: "{{ stock_direct_database_url }}"
    migrations_dir: alembic
    upgrade_command: alembic upgrade head
"""

RETURN = r"""
before:
  description: Revision of the database before, null when it had none. Several branches are joined by commas.
  returned: when the database was read
  type: str
  sample: a1b2c3
after:
  description: Revision of the database after.
  returned: when the database was read
  type: str
head:
  description: Revision that the code wants.
  returned: when the code was read
  type: str
pending:
  description: Revisions that are still to be applied, in order. In check mode, what would be applied.
  returned: always
  type: list
  elements: dict
  sample: [{revision: d4e5f6, message: add the orders}]
applied:
  description: Revisions that this run applied, in order.
  returned: always
  type: list
  elements: dict
state:
  description: V(current), V(upgraded), in check mode V(pending), or V(unknown) when the app is not there yet.
  returned: success
  type: str
kind:
  description: What failed, one of V(several_heads), V(missing_migrations), V(database_newer), V(unreachable),
    V(unversioned_tables), V(pooler), V(lock_timeout), V(failed).
  returned: failure
  type: str
blockers:
  description: The database sessions that were in the way.
  returned: when O(ignore:kind) is lock_timeout
  type: list
  elements: dict
invalid_indexes:
  description: Indexes that PostgreSQL does not use because building them concurrently failed.
  returned: always
  type: list
  elements: str
attempts:
  description: How often the upgrade was run.
  returned: always
  type: int
output_tail:
  description: The end of what the command printed, without secrets.
  returned: always
  type: str
seconds:
  description: Time that it took.
  returned: always
  type: float
"""

import grp
import os
import pwd
import shlex
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.app_unit import AppUnit
from ..module_utils.errors import RingstandError
from ..module_utils.migrations import MigrationRequest, MigrationResult, migrate, unit_runner

ARGUMENTS: dict[str, Any] = {
    "name": {"type": "str"},
    "app_dir": {"type": "path", "required": True},
    "venv_dir": {"type": "path", "required": True},
    "user": {"type": "str", "required": True},
    "group": {"type": "str"},
    "environment_file": {"type": "path"},
    "environment": {"type": "dict", "default": {}},
    "database_url_variable": {"type": "str", "default": "DATABASE_URL"},
    "database_url": {"type": "str", "no_log": True},
    "flask_app": {"type": "str", "default": ""},
    "migrations_dir": {"type": "str", "default": "migrations"},
    "upgrade_command": {"type": "str", "default": ""},
    "version_table": {"type": "str", "default": "alembic_version"},
    "allow_unversioned_tables": {"type": "bool", "default": False},
    "advisory_lock": {"type": "bool", "default": True},
    "advisory_lock_wait_seconds": {"type": "float", "default": 300.0},
    "lock_timeout_seconds": {"type": "float", "default": 5.0},
    "lock_retries": {"type": "int", "default": 3},
    "statement_timeout_seconds": {"type": "float", "default": 0.0},
    "timeout_seconds": {"type": "float", "default": 1800.0},
    "writable_paths": {"type": "list", "elements": "path", "default": []},
}
OF_THE_UNIT = ("user", "group", "environment_file", "environment", "writable_paths")


def request_of(options: dict[str, Any]) -> MigrationRequest:
    """The migration that the options describe; raises RingstandError for what cannot be meant."""
    given = {name: value for name, value in options.items() if name not in (*OF_THE_UNIT, "name")}
    given["app"] = options["name"] or os.path.basename(os.path.normpath(options["app_dir"]))
    given["database_url"] = options["database_url"] or ""
    try:
        given["upgrade_command"] = shlex.split(options["upgrade_command"])
    except ValueError as error:
        command = options["upgrade_command"]
        raise RingstandError(f"Failed to read upgrade_command {command!r}: {error}: close the quotes") from error
    return MigrationRequest(**given)


def missing(options: dict[str, Any]) -> str | None:
    """What of the app is not on the host: an option with its value, for a message."""
    names = ["app_dir", "venv_dir", *(["environment_file"] if options["environment_file"] else [])]
    for name in names:
        if not os.path.exists(options[name]):
            return f"{name} {options[name]!r} does not exist"
    for name, look_up in (("user", pwd.getpwnam), ("group", grp.getgrnam)):
        try:
            look_up(options[name] or "root")
        except KeyError:
            return f"{name} {options[name]!r} does not exist"
    return None


def unit_of(options: dict[str, Any], app: str) -> AppUnit:
    """The unit that the migration runs in."""
    group = options["group"] or grp.getgrgid(pwd.getpwnam(options["user"]).pw_gid).gr_name
    places = [os.path.realpath(os.path.join(options[name], end)) for name, end in _PLACES]
    return AppUnit(
        name=app,
        user=options["user"],
        group=group,
        working_dir=options["app_dir"],
        environment_file=options["environment_file"],
        environment={name: str(value) for name, value in options["environment"].items()},
        writable_paths=options["writable_paths"],
        purpose="migrate",
        home_visible=any(place.startswith(("/home/", "/root/")) for place in places),
    )


_PLACES = (("app_dir", ""), ("venv_dir", ""), ("venv_dir", "bin/python"))


def diff_of(result: MigrationResult) -> dict[str, str]:
    """Revision before and after, and the revisions between."""
    steps = [f"  {entry['revision']}: {entry['message']}\n" for entry in (*result.applied, *result.pending)]
    before, after = (f"{revision or 'no revision'}\n" for revision in (result.before, result.head))
    return {
        "before_header": "database revision",
        "after_header": "database revision",
        "before": before,
        "after": before if not steps else after + "".join(steps),
    }


def main() -> None:
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    try:
        request = request_of(module.params)
        absent = missing(module.params)
        if absent and module.check_mode:
            nothing = {**MigrationResult("unknown").as_dict(), "changed": True}
            module.exit_json(msg=f"Would migrate {request.app}, but {absent} yet", **nothing)
        if absent:
            raise RingstandError(f"Failed to migrate {request.app}: {absent}")
        unit = unit_of(module.params, request.app)
        result = migrate(request, unit_runner(unit), module.check_mode)
    except RingstandError as error:
        module.fail_json(msg=error.message, **error.details)
    if result.invalid_indexes:
        module.warn(f"Invalid indexes, which cost writes and serve no reads: {', '.join(result.invalid_indexes)}")
    answer = result.as_dict()
    if module._diff:
        answer["diff"] = diff_of(result)
    module.exit_json(**answer)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_state
short_description: Read what differs between a PostgreSQL cluster and what is wanted of it
version_added: 1.0.0
author:
  - ringstand contributors (@ringstand)
description:
  - Finds the cluster to work on, its version included, and compares its loaded configuration, roles, databases and
    extensions with what is wanted, in one call.
  - A task per object, such as M(community.postgresql.postgresql_db), then only runs for the objects that are returned.
  - Never changes anything. It runs as root and connects over the socket as the owner of the cluster.
attributes:
  check_mode:
    description: Can run in check mode and report what would change.
    support: full
  diff_mode:
    description: Returns details on what has changed, or would change, in diff mode.
    support: none
    details: The module changes nothing.
  idempotent:
    description: Running twice in a row changes nothing the second time.
    support: full
options:
  version:
    description:
      - The major version, such as V(17).
      - When empty, the version of the host's only cluster, else the installed or the installable one.
      - A version under which there is no data while another version's cluster has some is refused.
    type: str
    default: ""
  cluster:
    description: Name of the cluster.
    type: str
    default: main
  settings:
    description: The settings in the role's own drop-in file, to find those that another file overrules or that will
      need a restart.
    type: dict
    default: {}
  steady:
    description: Those of O(settings), sizes that take effect with a restart, whose running value is kept as long as it
      differs from the wanted one by a quarter of it at most.
    type: list
    elements: str
    default: []
  foreign_archiving_refused:
    description: Whether a cluster whose WAL somebody else archives is refused, and a pgBackRest that somebody else has
      configured; O(settings) then have an C(archive_command).
    type: bool
    default: false
  roles:
    description: Roles that have to exist; each one may log in.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the role.
        type: str
        required: true
      attributes:
        description: What the role may do besides logging in; it loses what is not listed.
        type: list
        elements: str
        choices: [superuser, createdb, createrole, replication, bypassrls]
        default: []
  passwords:
    description:
      - Passwords by role, or their SCRAM-SHA-256 verifiers. They are only compared with what is stored, and never sent
        to the server.
      - The password of a role that is not here is not looked at.
    type: dict
    default: {}
  databases:
    description: Databases that have to exist.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the database.
        type: str
        required: true
      owner:
        description: Role that owns it.
        type: str
        required: true
      extensions:
        description: Extensions that have to exist in it.
        type: list
        elements: str
        default: []
      readers:
        description: Roles that may read all of it and change nothing.
        type: list
        elements: str
        default: []
  clients:
    description: Remote clients that C(pg_hba.conf) has to let in, as M(ringstand.flask.postgresql_access) takes them.
    type: list
    elements: dict
    default: []
    suboptions:
      role:
        description: Role that connects.
        type: str
        required: true
      database:
        description: Database that it connects to.
        type: str
        required: true
      addresses:
        description: Addresses or networks that it connects from.
        type: list
        elements: str
        required: true
  wait_seconds:
    description:
      - Wait up to this many seconds for the cluster to run with the configuration that is on disk.
      - Above V(0), a cluster that is not there by then is a failure.
    type: int
    default: 0
"""

EXAMPLES = r"""
- name: Find what differs
  ringstand.flask.postgresql_state:
    roles:
      - name: shop
    databases:
      - name: shop
        owner: shop
        extensions: [pg_trgm]
  register: state

- name: Create the databases that are missing, and give others their owner
  community.postgresql.postgresql_db:
    name: "{{ item }}"
    owner: shop
  loop: "{{ state.databases }}"
  become: true
  become_user: postgres
"""

RETURN = r"""
version:
  description: Major version of the cluster, or of the one that would be made; empty when none can be installed.
  type: str
  returned: always
  sample: "17"
exists:
  description: Whether the cluster exists.
  type: bool
  returned: always
running:
  description: Whether the cluster runs. What follows from a query is only returned then.
  type: bool
  returned: always
enabled:
  description: Whether PostgreSQL starts at boot.
  type: bool
  returned: always
unit:
  description: The cluster's systemd unit.
  type: str
  returned: always
  sample: postgresql@17-main.service
config_dir:
  description: Directory of the cluster's configuration.
  type: str
  returned: always
  sample: /etc/postgresql/17/main
port:
  description: Port, also part of the socket's name; V(0) when the cluster does not exist.
  type: int
  returned: always
reload_needed:
  description: Whether a configuration file changed after the server loaded it.
  type: bool
  returned: always
kept_settings:
  description: Those of O(steady) that are to stay as they run, with the running values as C(postgresql.conf) has them.
  type: dict
  returned: always
  sample: {"shared_buffers": 512MB}
pending_restart:
  description: Settings whose value on disk takes effect with a restart.
  type: list
  elements: str
  returned: always
restart_foreseen:
  description: Settings of O(settings) that need a restart and run with another value, whatever is on disk.
  type: list
  elements: str
  returned: always
altered_settings:
  description: Settings of O(settings) that C(ALTER SYSTEM) has set, so that the file of the role does not rule them.
  type: list
  elements: str
  returned: always
automatic:
  description: Whether C(start.conf) lets the cluster start at boot.
  type: bool
  returned: always
data_checksums:
  description: Whether the cluster's pages have checksums.
  type: bool
  returned: when it runs
roles:
  description:
    - Roles that are missing or differ, as dictionaries with C(name) and C(flags), their attributes as
      M(community.postgresql.postgresql_user) takes them.
  type: list
  elements: dict
  returned: always
databases:
  description: Names of databases that are missing or have another owner.
  type: list
  elements: str
  returned: always
missing_databases:
  description: Names of databases that are missing.
  type: list
  elements: str
  returned: always
public_databases:
  description: Names of databases to which every role may connect, missing ones included.
  type: list
  elements: str
  returned: always
public_schemas:
  description: Names of databases whose schema V(public) is open to every role or does not belong to their owner.
  type: list
  elements: str
  returned: always
extensions:
  description: Missing extensions, as dictionaries with C(database) and C(name).
  type: list
  elements: dict
  returned: always
new:
  description: Those missing roles and databases that can be made by statements without a secret in them, by
    RV(new.statements) in one go.
  type: dict
  returned: always
  contains:
    roles:
      description: Names of the roles.
      type: list
      elements: str
    databases:
      description: Names of the databases.
      type: list
      elements: str
    statements:
      description: What psql has to be told to make them, in order, each outside of a transaction.
      type: list
      elements: str
reader_statements:
  description: What psql has to be told so that readers can read, and those that are no longer listed cannot.
  type: list
  elements: str
  returned: always
clients_differ:
  description: Whether C(pg_hba.conf) lets in other remote clients than O(clients).
  type: bool
  returned: always
warnings:
  description: What a person should know and this module's caller will not change.
  type: list
  elements: str
  returned: when there is something
"""

import subprocess
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import commands, foreign_archiving
from ..module_utils.errors import RingstandError
from ..module_utils.postgresql_clients import OPTION as CLIENTS_OPTION
from ..module_utils.postgresql_clients import clients_differ
from ..module_utils.postgresql_cluster import Host, starts_at_boot
from ..module_utils.postgresql_state import ATTRIBUTES, compare, kept_settings, read, restart_foreseen
from ..module_utils.scram import is_md5

NOTHING: dict[str, Any] = {
    "kept_settings": {},
    "pending_restart": [],
    "restart_foreseen": [],
    "altered_settings": [],
    "roles": [],
    "databases": [],
    "missing_databases": [],
    "public_databases": [],
    "public_schemas": [],
    "extensions": [],
    "reader_statements": [],
    "new": {"roles": [], "databases": [], "statements": []},
}


def look(params: dict[str, Any], check_mode: bool = False) -> dict[str, Any]:
    """The state of the cluster that the parameters choose."""
    host = Host.read(params["cluster"])
    version = host.choose(params["version"], params["cluster"])
    if not version and not check_mode:
        raise RingstandError(
            "Failed to find PostgreSQL: it is not installed. Let the role install it (postgresql_install_enabled)"
        )
    cluster = host.cluster(version, params["cluster"])
    if params["foreign_archiving_refused"]:
        foreign_archiving.refuse_config()
        if cluster:
            foreign_archiving.refuse(cluster, params["settings"])
    state: dict[str, Any] = {
        "version": version,
        "exists": cluster is not None,
        "running": cluster is not None and cluster.running,
        "unit": f"postgresql@{version}-{params['cluster']}.service",
        "config_dir": f"/etc/postgresql/{version}/{params['cluster']}",
        "port": cluster.port if cluster else 0,
        "reload_needed": False,
        "automatic": cluster is None or starts_at_boot(cluster.config_dir),
        "clients_differ": cluster is not None and clients_differ(cluster.config_dir, params["clients"]),
        **NOTHING,
    }
    if cluster and cluster.running:
        server = read(cluster, params["settings"], params["roles"], params["databases"])
        kept = kept_settings(server["values"], params["settings"], params["steady"])
        settings = {**params["settings"], **kept}
        state.update(compare(cluster, server, params["roles"], params["databases"], params["clients"], settings))
        state.update(kept_settings=kept, restart_foreseen=restart_foreseen(server["values"], settings))
    return state


def wait(params: dict[str, Any]) -> dict[str, Any]:
    """The state once the cluster runs with what is on disk; raises RingstandError when it does not in time."""
    name = f"{Host.read(params['cluster']).choose(params['version'], params['cluster'])}-{params['cluster']}"
    unit = f"postgresql@{name}.service"
    deadline = time.monotonic() + params["wait_seconds"]
    while True:
        before = commands.run(["systemctl", "show", "--property=ActiveState", "--value", "--", unit]).stdout.strip()
        refused = None
        try:
            state = look(params)
            if state["running"] and not state["reload_needed"]:
                return state
            reason = "has not loaded its configuration" if state["running"] else "is not running"
        except RingstandError as error:
            if before != "activating":  # else it already has a socket and says that it is starting up
                raise
            refused, reason = error, "does not answer yet"
        if before == "failed" or time.monotonic() > deadline:
            when = "it" if before == "failed" else f"after {params['wait_seconds']} seconds it"
            said = commands.run(["journalctl", f"--unit={unit}", "--lines=5", "--no-pager", "--quiet", "--output=cat"])
            journal = " / ".join(commands.redact(said.stdout).strip().splitlines())
            raise RingstandError(
                f"Failed to start the cluster {name.replace('-', '/', 1)}: {when} {reason}. Its log tells why: "
                f"journalctl -u {unit}, /var/log/postgresql{f'; the journal ends with: {journal}' if journal else ''}"
            ) from refused
        time.sleep(0.1)


def main() -> None:
    """Read, compare, return."""
    attributes = {"type": "list", "elements": "str", "choices": list(ATTRIBUTES), "default": []}
    module = AnsibleModule(
        argument_spec={
            "version": {"type": "str", "default": ""},
            "cluster": {"type": "str", "default": "main"},
            "settings": {"type": "dict", "default": {}},
            "steady": {"type": "list", "elements": "str", "default": []},
            "foreign_archiving_refused": {"type": "bool", "default": False},
            "roles": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "attributes": attributes,
                },
            },
            # Not among the roles: Ansible records arguments in the host's log, where it masks a nested secret only as
            # long as writing it down does not escape anything in it.
            "passwords": {"type": "dict", "default": {}, "no_log": True},
            "databases": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "owner": {"type": "str", "required": True},
                    "extensions": {"type": "list", "elements": "str", "default": []},
                    "readers": {"type": "list", "elements": "str", "default": []},
                },
            },
            "clients": CLIENTS_OPTION,
            "wait_seconds": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    try:
        for role in module.params["roles"]:
            role["password"] = str(module.params["passwords"].get(role["name"], ""))
            if is_md5(role["password"]):
                raise RingstandError(
                    f"Failed to accept the password of the role {role['name']}: it is an md5 hash, which PostgreSQL "
                    "is giving up. Write the password itself or its SCRAM-SHA-256 verifier"
                )
        state = wait(module.params) if module.params["wait_seconds"] else look(module.params, module.check_mode)
        enabled = subprocess.run(["systemctl", "--quiet", "is-enabled", "postgresql.service"], check=False,
                                 stderr=subprocess.DEVNULL)
        state["enabled"] = enabled.returncode == 0
    except RingstandError as error:
        module.fail_json(msg=error.message, **error.details)
    if module.check_mode and not state["running"]:
        names = ", ".join(one["name"] for one in (*module.params["roles"], *module.params["databases"]))
        module.warn(
            f"PostgreSQL {'does not run' if state['exists'] else 'is not installed'}: "
            f"{'' if state['version'] else 'its version, and '}what has to be done to its roles and databases "
            f"({names or 'none'}) cannot be foreseen"
        )
    for warning in state.pop("warnings", []):
        module.warn(warning)
    module.exit_json(changed=False, **state)


if __name__ == "__main__":
    main()

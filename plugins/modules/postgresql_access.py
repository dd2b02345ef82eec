#!/usr/bin/python
# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_access
short_description: Let remote clients into a PostgreSQL cluster by TLS
version_added: 1.0.0
author:
  - ringstand contributors (@ringstand)
description:
  - Writes a block of its own at the end of the cluster's C(pg_hba.conf), with one line per client and address, which
    only connections with TLS and SCRAM match. The rest of the file stays as it is.
  - Copies the certificate, or a self-signed one that it makes, to where the server can read it, as
    C(ringstand-server.crt) and C(ringstand-server.key) in the cluster's configuration directory.
  - A running server judges the file before it loads it; when it would refuse a line, everything is put back.
attributes:
  check_mode:
    description: Can run in check mode and report what would change.
    support: full
  diff_mode:
    description: Returns details on what has changed, or would change, in diff mode.
    support: none
    details: Somebody's pg_hba.conf may hold a password, and a key is secret.
  idempotent:
    description: Running twice in a row changes nothing the second time.
    support: full
options:
  version:
    description: The cluster's major version, such as V(17).
    type: str
    required: true
  cluster:
    description: Name of the cluster.
    type: str
    default: main
  clients:
    description: The clients; without any, the block is removed.
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
  names:
    description: Host names and addresses that the certificate has to be for.
    type: list
    elements: str
    default: []
  certificate:
    description: A certificate of your own, either as text or as files of the host; empty means a self-signed one.
    type: dict
    default: {}
    suboptions:
      chain:
        description: Certificate and the chain of its authorities, in PEM.
        type: str
      key:
        description: Its key in PEM, without a passphrase.
        type: str
      chain_path:
        description: File on the host with certificate and chain.
        type: path
      key_path:
        description: File on the host with its key.
        type: path
"""

EXAMPLES = r"""
- name: Let the reports of another host read the shop
  ringstand.flask.postgresql_access:
    version: "17"
    clients:
      - role: shop_reader
        database: shop
        addresses: [192.0.2.7]
    names: [db.example.com]
"""

RETURN = r"""
paths:
  description: Files that changed.
  type: list
  elements: str
  returned: success
  sample: [/etc/postgresql/17/main/pg_hba.conf]
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import RingstandError
from ..module_utils.own_certificates import Own
from ..module_utils.postgresql_access import ensure
from ..module_utils.postgresql_clients import OPTION as CLIENTS_OPTION
from ..module_utils.postgresql_cluster import Cluster, Host


def main() -> None:
    """Run the module."""
    pair = {"chain": {"type": "str"}, "key": {"type": "str", "no_log": True}}
    paths = {"chain_path": {"type": "path"}, "key_path": {"type": "path"}}
    module = AnsibleModule(
        argument_spec={
            "version": {"type": "str", "required": True},
            "cluster": {"type": "str", "default": "main"},
            "clients": CLIENTS_OPTION,
            "names": {"type": "list", "elements": "str", "default": []},
            "certificate": {
                "type": "dict",
                "default": {},
                "options": {**pair, **paths},
                "required_together": [("chain", "key"), ("chain_path", "key_path")],
                "mutually_exclusive": [("chain", "chain_path")],
            },
        },
        supports_check_mode=True,
    )
    params = module.params
    version, name = params["version"], params["cluster"]
    given = {key: value for key, value in (params["certificate"] or {}).items() if value}
    try:
        cluster = Host.read(name).cluster(version, name)
        if cluster is None and not module.check_mode:
            raise RingstandError(f"Failed to let clients into the cluster {version}/{name}: it does not exist")
        cluster = cluster or Cluster(version, name, 5432, False, "postgres", "")
        own = Own(**given) if given else None
        changes = ensure(cluster, params["clients"], params["names"], own, module.check_mode)
    except RingstandError as error:
        module.fail_json(msg=error.message, **error.details)
    module.exit_json(changed=bool(changes), paths=[change.entry.path for change in changes])


if __name__ == "__main__":
    main()

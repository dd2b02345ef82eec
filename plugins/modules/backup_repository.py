#!/usr/bin/python
# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_repository
short_description: Set up the encrypted repository of a host's backups and the archiving of its cluster
version_added: 1.0.0
author:
  - ringstand contributors (@ringstand)
description:
  - Makes the directories, the key file, pgBackRest's configuration and its stanza, and compares what the cluster has
    loaded with the settings that archiving needs, in one call.
  - The key is generated on the controller when neither it nor the host has one, and is written there first, because a
    backup whose key is lost with the host is none. The host's key is never replaced.
  - A pgBackRest or an C(archive_command) that somebody else has set up is refused.
options:
  directory:
    description: Where the backups are. The directory above it has to exist.
    type: path
    default: /var/backups/ringstand
  cluster:
    description: Name of the PostgreSQL cluster, as in C(17/main). Empty for a host without one, of which only files are
      backed up.
    type: str
    default: main
  version:
    description: Its major version; empty means that of the only cluster of this name.
    type: str
    default: ""
  retention_full_count:
    description: How many full backups to keep, with the WAL since the oldest.
    type: int
    default: 2
  settings:
    description: Settings that the cluster has to have loaded.
    type: dict
    default: {}
  restart:
    description: Whether to restart the cluster for settings that take effect only then, which cuts all connections.
    type: bool
    default: false
  key:
    description:
      - The key that everything is encrypted with, at least 20 printable characters without a space.
      - Without it the one in O(escrow_path) is used, which is generated when the host has none either.
    type: str
  escrow_path:
    description: Absolute path of the file on the controller that holds the key of this host.
    type: str
  repository:
    description: >-
      A second place for the backups, away from this host, as the variable C(backup_repository) of the role
      P(ringstand.flask.backup#role) describes it. Without it a warning says that they live on this host only.
    type: dict
    default: {}
    suboptions:
      type:
        description: How it is reached. V(ssh) takes sshfs on this host, V(sftp) pgBackRest 2.48 or newer.
        type: str
        choices: [ssh, sftp, s3, path]
      path:
        description: Directory there that several hosts may share; with V(s3) a prefix of all names.
        type: str
        default: ""
      name:
        description: Directory of this host below O(repository.path); that of O(host) when it is left out.
        type: str
      host:
        description: Name or address of the SSH server.
        type: str
      port:
        description: Its port.
        type: int
        default: 22
      user:
        description: User to log in as.
        type: str
      private_key:
        description: Text of the private key, without a passphrase.
        type: str
      known_hosts:
        description: Public keys of the server, as lines of a C(known_hosts) file; C(ssh-keyscan) prints them.
        type: list
        elements: str
        default: []
      endpoint:
        description: Host of the S3-compatible service, with a port where it is not 443. It is reached by TLS only.
        type: str
      bucket:
        description: Name of the bucket, which has to exist.
        type: str
      region:
        description: Its region.
        type: str
        default: us-east-1
      access_key:
        description: Access key.
        type: str
      secret_key:
        description: Secret access key.
        type: str
      path_style:
        description: Whether the bucket is in the path of the URL instead of its host name.
        type: bool
        default: false
      ca_certificate:
        description: Text (PEM) of the authority that signed the endpoint's certificate, if the system does not know it.
        type: str
      retention_full_count:
        description: How many full backups of the cluster to keep there; as on this host when it is left out.
        type: int
      retention_files_days:
        description: Days to keep backups of files there; as on this host when it is left out.
        type: int
      dumps:
        description: Whether the dumps of single databases go there as well.
        type: bool
        default: true
      replaces:
        description:
          - Machine whose place this host may take, as the refusal names it. Without it a place that another machine
            writes to is refused.
        type: str
  secrets:
    description: What is secret of O(repository); it is taken from there, because modules log their arguments.
    type: dict
    default: {}
  host:
    description: Name of this host, of which the directory below O(repository.path) is called.
    type: str
    default: ""
  retention_files_days:
    description: Days to keep backups of files.
    type: int
    default: 30
  recover:
    description:
      - Only make O(repository) reachable, and fail unless it has backups of this host. Nothing is set up on this host,
        which is to be made again from there.
    type: bool
    default: false
attributes:
  check_mode:
    description: Reports what would change, also on a host that has neither PostgreSQL nor pgBackRest yet.
    support: full
  diff_mode:
    description: Shows the files that differ, never the key.
    support: full
  idempotent:
    description: A second run changes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Set up the repository of the cluster 17/main, with the key kept beside the inventory
  ringstand.flask.backup_repository:
    escrow_path: "{{ inventory_dir }}/backup-keys/{{ inventory_hostname }}.key.txt"
    settings:
      archive_mode: true
      archive_command: pgbackrest --stanza=main archive-push %p
      archive_timeout: 30
"""

RETURN = r"""
fingerprint:
  description: SHA-256 of the key; the key itself is never returned. Empty when it is yet to be generated.
  type: str
  returned: success
key:
  description:
    - V(known) when the controller has the host's key, V(kept) when only the host has it, V(missing) in check mode when
      neither has one.
  type: str
  returned: success
key_source:
  description: Where the controller has the key from, V(given), V(escrow) or V(generated); empty when it has none.
  type: str
  returned: success
changes:
  description: What was (in check mode, would be) changed, as paths, C(stanza NAME) and C(setting NAME).
  type: list
  elements: str
  returned: success
backups:
  description: How many backups without an error the repository has.
  type: int
  returned: success
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringstand.flask.plugins.module_utils import file_diff
from ansible_collections.ringstand.flask.plugins.module_utils.backup_host import Wanted, ensure
from ansible_collections.ringstand.flask.plugins.module_utils.backup_offsite import describe
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError

REPOSITORY: dict[str, Any] = {
    "type": {"type": "str", "choices": ["ssh", "sftp", "s3", "path"]},
    "path": {"type": "str", "default": ""},
    "name": {"type": "str"},
    "host": {"type": "str"},
    "port": {"type": "int", "default": 22},
    "user": {"type": "str"},
    "private_key": {"type": "str", "no_log": True},
    "known_hosts": {"type": "list", "elements": "str", "default": []},
    "endpoint": {"type": "str"},
    "bucket": {"type": "str"},
    "region": {"type": "str", "default": "us-east-1"},
    "access_key": {"type": "str", "no_log": True},
    "secret_key": {"type": "str", "no_log": True},
    "path_style": {"type": "bool", "default": False},
    "ca_certificate": {"type": "str"},
    "retention_full_count": {"type": "int"},
    "retention_files_days": {"type": "int"},
    "dumps": {"type": "bool", "default": True},
    "replaces": {"type": "str"},
}


def main() -> None:
    """Run the module; its action plugin has chosen the key."""
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "default": "/var/backups/ringstand"},
            "cluster": {"type": "str", "default": "main"},
            "version": {"type": "str", "default": ""},
            "retention_full_count": {"type": "int", "default": 2},
            "settings": {"type": "dict", "default": {}},
            "restart": {"type": "bool", "default": False},
            "repository": {"type": "dict", "default": {}, "options": REPOSITORY},
            "secrets": {"type": "dict", "default": {}, "no_log": True},
            "host": {"type": "str", "default": ""},
            "retention_files_days": {"type": "int", "default": 30},
            "recover": {"type": "bool", "default": False},
            "key": {"type": "str", "no_log": True},
            # A path on the controller: the action plugin reads it, and sends only the key.
            "escrow_path": {"type": "str"},
        },
        supports_check_mode=True,
    )
    given = module.params
    repository = {**given["repository"], **given["secrets"]} if (given["repository"] or {}).get("type") else {}
    offsite = describe(repository, given["host"], given["retention_full_count"], given["retention_files_days"]) or {}
    wanted = Wanted(
        given["directory"].rstrip("/"), given["cluster"], given["version"], given["retention_full_count"],
        given["settings"], given["restart"], repository, offsite, given["recover"],
    )
    try:
        state, changes = ensure(wanted, given["key"] or "", module.check_mode)
    except RingstandError as error:
        module.fail_json(msg=error.message, **error.details)
    except OSError as error:
        module.fail_json(msg=f"Failed to set up the backup repository: {error}")
    for warning in state.pop("warnings"):
        module.warn(warning)
    result: dict[str, Any] = {"changed": bool(state["changes"]), **state}
    if module._diff:
        result["diff"] = [part for change in changes for part in file_diff.describe(change)]
    module.exit_json(**result)


if __name__ == "__main__":
    main()

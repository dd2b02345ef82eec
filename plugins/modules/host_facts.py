#!/usr/bin/python
# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: host_facts
short_description: Read what the roles need to know about a host
version_added: 1.0.0
author:
  - ringstand contributors (@ringstand)
description:
  - Reads operating system, size, SSH ports, time zone, locales and firewall in one call of about a tenth of a second.
  - Tells which packages are missing, so that nothing needs to be asked of the package manager when none is.
options:
  packages:
    description: Names of packages, as in V(nginx), V(nginx=1.26*) or V(libc6:i386). Several joined by V( | ) mean that
      one of them is enough.
    type: list
    elements: str
    default: []
  apps:
    description: Names of Flask apps whose states are read in the same call.
    type: list
    elements: str
  certificates:
    description: Certificates that nginx is to serve with, whose presence is looked at in the same call.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the site.
        type: str
        required: true
      domains:
        description: Names in the certificate.
        type: list
        elements: str
        required: true
      dir:
        description: Folder with C(fullchain.pem) and C(privkey.pem).
        type: path
        required: true
attributes:
  check_mode:
    description: Changes nothing in any mode.
    support: full
  diff_mode:
    description: Changes nothing in any mode.
    support: none
  idempotent:
    description: Changes nothing.
    support: full
notes:
  - Ports of SSH and rules of the firewall are only complete when it runs as root.
"""

EXAMPLES = r"""
- name: Read the facts
  ringstand.flask.host_facts:
    packages: [nginx, systemd-timesyncd | chrony]
  register: host

- name: Say what is missing
  ansible.builtin.debug:
    msg: "{{ ansible_facts.ringstand.os_id }} lacks {{ host.missing_packages | join(', ') }}"
"""

RETURN = r"""
missing_packages:
  description: Those of O(packages) that are not installed; of several joined by V( | ) the first one.
  returned: success
  type: list
  elements: str
  sample: [nginx]
unavailable_packages:
  description: Those of them that cannot be installed because the distribution does not have them. Only plugins of
    certbot's are looked up.
  returned: success
  type: list
  elements: str
  sample: [python3-certbot-dns-example]
ansible_facts:
  description: The facts.
  returned: success
  type: dict
  contains:
    ringstand:
      description: All facts of this module.
      returned: success
      type: dict
      contains:
        os_id:
          description: Distribution, from os-release.
          type: str
          sample: debian
        os_version:
          description: Its version.
          type: str
          sample: "13"
        os_codename:
          description: Name of the version.
          type: str
          sample: trixie
        architecture:
          description: Architecture as Debian names it.
          type: str
          sample: amd64
        systemd_version:
          description: Main version of systemd, or null when the host was not booted with it.
          type: int
          sample: 257
        container:
          description: Kind of container that the host is, or empty.
          type: str
          sample: lxc
        memory_mb:
          description: MiB of memory that the host may use.
          type: int
          sample: 3915
        cpu_count:
          description: Processors that the host may use.
          type: int
          sample: 2
        free_mb:
          description: MiB free where V(/), V(/var) and V(/srv) are.
          type: dict
          sample: {"/": 18000, "/var": 18000, "/srv": 90000}
        ssh_ports:
          description: Ports on which an SSH server listens, will listen after a restart, or was reached just now.
          type: list
          elements: int
          sample: [22]
        ssh_client:
          description: Address from which the run came over SSH, or empty.
          type: str
          sample: 192.0.2.7
        time_daemon:
          description: Package that keeps the clock right, or empty.
          type: str
          sample: systemd-timesyncd
        timezone:
          description: Name of the time zone, or empty when unknown.
          type: str
          sample: Etc/UTC
        timezone_file_path:
          description: File that also names the time zone, or empty where the distribution has none.
          type: str
          sample: /etc/timezone
        apps_with_release:
          description: Flask apps on the host that have had a first deploy.
          type: list
          elements: str
          sample: [shop]
        app_info:
          description: What M(ringstand.flask.app_info) returns, when O(apps) is given.
          type: dict
          sample: {apps: {}, others: [], kept: [], uv_version: 0.11.33}
        nginx:
          description: What M(ringstand.flask.self_signed_certificates) returns as C(nginx). Only when nginx is
            installed and has usable certificates for all of O(certificates).
          type: dict
          sample: {version: 1.26.3, servers: [], sites: []}
        locales:
          description: Locales that programs can use.
          type: list
          elements: str
          sample: [C, C.UTF-8, POSIX]
        locale_file_path:
          description: File with the default locale.
          type: str
          sample: /etc/default/locale
        firewall:
          description: State of ufw.
          type: dict
          sample:
            installed: true
            enabled: true
            active: true
            loaded: true
            ipv6: true
            incoming: deny
            rules: []
        kernel:
          description: The kernel settings that roles write, with the C(value) now and the C(path) of the file in
            C(sysctl.d) that rules the setting, or empty.
          type: dict
          sample: {"net.core.somaxconn": {"value": "4096", "path": /etc/sysctl.d/50-ringstand.conf}}
        certbot_version:
          description: Version of the package certbot, or empty.
          type: str
          sample: 4.0.0
        postgresql_clusters:
          description: PostgreSQL clusters that have data or a configuration, stopped ones included.
          type: list
          elements: str
          sample: [17/main]
        postgresql_storage:
          description: C(kind) of the disk of C(/var/lib/postgresql), V(ssd) or V(hdd), and the size of its file system
            in MiB as C(size_mb). Only a disk of real hardware that says that it rotates is V(hdd).
          type: dict
          sample: {"kind": ssd, "size_mb": 39000}
        dpkg_interrupted:
          description: Whether C(dpkg --configure -a) has to be run before packages can be installed.
          type: bool
          sample: false
"""

import subprocess
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringstand.flask.plugins.module_utils import app_info, certificates, host, nginx
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError


def ready_nginx(wanted: list[certificates.Wanted]) -> dict[str, Any] | None:
    """What nginx is; None when it is not there, or something has to be done about a certificate first."""
    try:
        if any(certificates.ensure(item, days=1, check=True).created for item in wanted):
            return None
    except RingstandError:
        return None  # said by the module that makes them
    found = nginx.describe_for(domain for item in wanted for domain in item.domains)
    if not nginx.rejects_handshakes(found["version"]) and certificates.ensure(certificates.NAMELESS, 1, True).created:
        return None
    return found if found["version"] else None


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "packages": {"type": "list", "elements": "str", "default": []},
            "apps": {"type": "list", "elements": "str"},
            "certificates": {"type": "list", "elements": "dict", "options": certificates.OPTIONS},
        },
        supports_check_mode=True,
    )
    try:
        facts, missing = host.gather(module.params["packages"])
    except RingstandError as error:
        module.fail_json(msg=error.message, **error.details)
    if module.params["apps"] is not None:
        try:
            facts["app_info"] = app_info.read(module.params["apps"])
        except (RingstandError, OSError, subprocess.SubprocessError) as error:
            module.fail_json(msg=f"Failed to read the state of the apps: {error}")
    if module.params["certificates"] is not None:
        wanted = [certificates.Wanted(one["name"], one["domains"], one["dir"]) for one in module.params["certificates"]]
        if (found := ready_nginx(wanted)) is not None:
            facts["nginx"] = found
    packages = {"missing_packages": missing, "unavailable_packages": host.unavailable(missing)}
    module.exit_json(changed=False, ansible_facts={"ringstand": facts}, **packages)


if __name__ == "__main__":
    main()

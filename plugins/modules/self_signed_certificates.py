#!/usr/bin/python
# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: self_signed_certificates
short_description: Make placeholder certificates so that a web server starts before its real ones exist
version_added: 1.0.0
author:
  - ringstand contributors (@ringstand)
description:
  - For each entry makes a key (ECDSA P-256) and a self-signed certificate, and the links C(fullchain.pem) and
    C(privkey.pem) that lead to them through the link C(current).
  - Does so only where the two files are absent or their links lead nowhere. Real certificates are never changed.
  - A placeholder of its own is made anew when its names changed, it ends within 30 days, cannot be read or its key can
    be read by others.
  - With O(certificates[].own) takes a certificate that somebody brings, when its key fits and it is for all domains.
    Else the one that was there before stays, or a placeholder is made, and the task fails once all the others are done.
  - Works on all entries in one remote call and needs the program C(openssl).
options:
  certificates:
    description: The certificates to have.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name in the result and in messages.
        type: str
        required: true
      domains:
        description: Host names or IP addresses that the certificate is for.
        type: list
        elements: str
        required: true
      dir:
        description: Absolute path of the directory for the two links. It is made when missing.
        type: path
        required: true
      own:
        description: A certificate to take in the place of a placeholder, either as text or as files of the host.
        type: dict
        suboptions:
          chain:
            description: Certificate and the chain of its authorities, in PEM.
            type: str
          key:
            description: Its key in PEM, without a passphrase.
            type: str
          chain_path:
            description: File on the host with certificate and chain. It is linked to, so whoever renews it writes it
              there and reloads nginx.
            type: path
          key_path:
            description: File on the host with its key.
            type: path
  days:
    description: Lifetime of a new placeholder in days.
    type: int
    default: 3650
  nginx_facts:
    description: Also return what nginx the host has and what others configured in it, which saves a role one call.
      Where that is older than 1.19.4, and so shows a certificate to whoever names none of the sites, one without a name
      is made in C(/etc/ringstand/nameless).
    type: bool
    default: false
  in_parts:
    description: Whether not to fail because of some certificates, but to return them as RV(refused).
    type: bool
    default: false
attributes:
  check_mode:
    description: Reports which placeholders would be made.
    support: full
  diff_mode:
    description: Shows the state of each changed entry, never a key.
    support: full
  idempotent:
    description: A second run changes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Let nginx start before the first real certificate
  ringstand.flask.self_signed_certificates:
    certificates:
      - name: shop
        domains: [shop.example.com, www.shop.example.com]
        dir: /etc/ringstand/certificates/shop
"""

RETURN = r"""
certificates:
  description: The certificate in use for each entry, by name.
  returned: success
  type: dict
  contains:
    state:
      description: V(placeholder) is ours, V(real) is somebody's, V(unreadable) is somebody's and not a certificate.
      type: str
      sample: placeholder
    expires:
      description: End of its lifetime in UTC; null when it is not readable or not made yet (check mode).
      type: str
      sample: "2036-11-18T03:10:00Z"
    domains:
      description: Names in the certificate.
      type: list
      elements: str
      sample: [shop.example.com]
    created:
      description: Whether this run made it (in check mode, would make it).
      type: bool
      sample: true
changed_paths:
  description: Directories of the certificates that were made (in check mode, would be made).
  returned: success
  type: list
  elements: str
  sample: [/etc/ringstand/certificates/shop]
refused:
  description: The certificates that cannot be had as they are wanted, with C(name), C(reason) and what is in use
    instead as C(state), of which V(unreadable) is nothing that a web server takes.
  returned: success
  type: list
  elements: dict
  sample:
    - name: shop
      reason: "Failed to take the own certificate of shop: key is not its key, or cannot be read"
      state: placeholder
nginx:
  description: What the host's nginx is.
  returned: when O(nginx_facts=true)
  type: dict
  contains:
    version:
      description: Its version; null when it is not installed.
      type: str
      sample: 1.26.3
    openssl:
      description: Version of the OpenSSL that it runs with; null when it is not installed.
      type: str
      sample: 3.5.4
    connections:
      description: How many connections its processes can have together.
      type: int
      sample: 1536
    modules:
      description: Names of the modules that are built in or loaded.
      type: list
      elements: str
      sample: [http_brotli_filter, http_gzip_static, http_realip, http_ssl, http_v2, http_v3]
    ipv6:
      description: Whether it can listen on C([::]).
      type: bool
      sample: true
    directives:
      description: Names of the directives that files of others set for the whole server.
      type: list
      elements: str
      sample: [gzip, include, user]
    servers:
      description: Server blocks of others, with C(path), C(listen) and C(names).
      type: list
      elements: dict
      sample: [{"path": "/etc/nginx/sites-enabled/default", "listen": ["80 default_server"], "names": ["_"]}]
    conflicts:
      description: Those that answer for one of the entries' domains on port 80 or 443, with C(path) and C(domains).
      type: list
      elements: dict
      sample: []
    sites:
      description: The sites of ours that are there, with C(name), C(domains) and C(certificate_dir).
      type: list
      elements: dict
      sample:
        - {"name": "shop", "domains": ["shop.example.com"], "certificate_dir": "/etc/ringstand/certificates/shop"}
    salts:
      description: The salts of the passwords of our sites' users, by file and user.
      type: dict
      sample: {"shop": {"alice": "saltsaltsaltsalt"}}
"""

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringstand.flask.plugins.module_utils import certificates, nginx, own_certificates
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError

OWN = {
    "type": "dict",
    "options": {
        "chain": {"type": "str"},
        "key": {"type": "str", "no_log": True},
        "chain_path": {"type": "path"},
        "key_path": {"type": "path"},
    },
    "required_together": [("chain", "key"), ("chain_path", "key_path")],
    "mutually_exclusive": [("chain", "chain_path")],
    "required_one_of": [("chain", "chain_path")],
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "certificates": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {**certificates.OPTIONS, "own": OWN},
            },
            "days": {"type": "int", "default": 3650},
            "nginx_facts": {"type": "bool", "default": False},
            "in_parts": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    items = module.params["certificates"]
    wanted = [certificates.Wanted(item["name"], item["domains"], item["dir"]) for item in items]
    own = {
        item["name"]: own_certificates.Own(**{key: value or "" for key, value in item["own"].items()})
        for item in items
        if item["own"]
    }
    days, check = module.params["days"], module.check_mode
    facts = nginx.describe_for(name for item in wanted for name in item.domains) if module.params["nginx_facts"] else {}
    if facts and not nginx.rejects_handshakes(facts["version"]):
        wanted.append(certificates.NAMELESS)
    found: dict[str, certificates.Certificate] = {}
    refused: list[RingstandError] = []
    result: dict[str, Any] = {"refused": []}
    for item in wanted:
        found[item.name], error = _ensure(item, own.get(item.name), days, check)
        if error:
            refused.append(error)
            state = found[item.name].state
            result["refused"].append({"name": item.name, "reason": error.message, "state": state})
    created = [item for item in wanted if found[item.name].created]
    result.update(
        changed=bool(created),
        changed_paths=[item.directory for item in created],
        certificates={name: certificate.as_dict() for name, certificate in found.items()},
    )
    if module._diff:
        result["diff"] = [
            {"before_header": path, "after_header": path, "before": "", "after": _describe(item, found)}
            for path, item in ((item.directory, item) for item in created)
        ]
    if facts:
        result["nginx"] = facts
        if module.check_mode and facts["version"] is None:
            module.warn("nginx is not installed, so its version cannot be foreseen: taken as the newest")
    if refused and not module.params["in_parts"]:
        details = {key: value for error in refused for key, value in error.details.items()}
        module.fail_json(msg=". ".join(error.message for error in refused), **details, **result)
    module.exit_json(**result)


def _ensure(
    wanted: certificates.Wanted, own: own_certificates.Own | None, days: int, check: bool
) -> tuple[certificates.Certificate, RingstandError | None]:
    """What is in use now, and why that is not what is wanted."""
    refused = None
    if own:
        try:
            return own_certificates.ensure(wanted, own, check), None
        except RingstandError as error:
            refused = error
    try:
        return certificates.ensure(wanted, days, check), refused
    except RingstandError as error:
        return certificates.Certificate(certificates.UNREADABLE), refused or error


def _describe(item: certificates.Wanted, found: Mapping[str, certificates.Certificate]) -> str:
    is_own = found[item.name].state == certificates.REAL
    return f"{'own certificate' if is_own else 'self-signed placeholder'} for {', '.join(item.domains)}\n"


if __name__ == "__main__":
    main()

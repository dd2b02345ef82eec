#!/usr/bin/python
# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: certbot_certificates
short_description: Get certificates with certbot, have nginx serve them and prove it
version_added: 1.0.0
author:
  - ringstand contributors (@ringstand)
description:
  - For each entry compares what certbot has with what is wanted (names, directory, kind of key, renewal by webroot and
    our deploy hook) and asks the certificate authority only when something differs. The account and the name that
    certbot keeps the certificate under stay the same.
  - Before it asks, it makes sure that nginx answers a challenge for each domain, so that a mistake on this host costs
    no attempt at the authority.
  - Then lets the link C(current) in the entry's directory lead to the certificate, reloads nginx, and compares the
    certificate that a TLS handshake on C(127.0.0.1:443) shows for each domain with the one that certbot has.
  - One process at a time does so on a host. A rate limit of the authority is waited for, over runs too.
  - When an entry fails the others have their turn, then the module fails with a reason for each.
  - What is left of a certificate whose files were removed or damaged by hand is moved to
    C(/etc/letsencrypt/ringstand-set-aside). Nothing of certbot's is deleted.
  - Needs the program C(ringstand) (role M(ringstand.flask.cli)) on the host, which certbot calls after a renewal.
options:
  certificates:
    description: The certificates to have.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name under which certbot keeps it.
        type: str
        required: true
      domains:
        description: Host names that it is for.
        type: list
        elements: str
        required: true
      dir:
        description: Absolute path of the directory with the links that nginx reads, as
          M(ringstand.flask.self_signed_certificates) makes it.
        type: path
        required: true
      dns_plugin:
        description: Plugin of certbot's that proves the domains by DNS, such as V(cloudflare). Without it they are
          proven by HTTP.
        type: str
        default: ""
  client:
    description: How to get them.
    type: dict
    required: true
    suboptions:
      directory_url:
        description: ACME directory of the certificate authority.
        type: str
        required: true
      staging_directory_url:
        description: ACME directory at which the first order of a set of names is tried. Empty for none.
        type: str
        default: ""
      webroot_dir:
        description: Directory whose C(.well-known/acme-challenge) nginx serves over HTTP for each domain.
        type: path
        required: true
      key_type:
        description: Kind of key.
        type: str
        choices: [ecdsa, rsa]
        default: ecdsa
      profile:
        description: Kind of certificate that the authority has under this name. Needs certbot 4.0.
        type: str
        default: ""
      email:
        description: Where the authority may write to. It counts when the account is made.
        type: str
        default: ""
      ca_bundle_path:
        description: File on the host with the authority that signed the certificate of the ACME server itself, when the
          system does not trust it.
        type: str
        default: ""
      config_path:
        description: File on the host that certbot reads settings from which must not be in a command line, such as the
          key that binds its account to one outside.
        type: str
        default: ""
      program:
        description: Name or path of certbot.
        type: str
        default: certbot
      dns_propagation_seconds:
        description: Seconds that a plugin for DNS waits until its records are everywhere, by the plugin's name. Without
          it as long as it likes.
        type: dict
        default: {}
  environment:
    description: Installs certbot into the virtual environment C(/opt/ringstand/certbot), before it is asked for
      anything. O(client.program) is then C(/opt/ringstand/certbot/bin/certbot).
    type: dict
    suboptions:
      requirements:
        description: Requirements file on the host, with hashes.
        type: path
        required: true
      pip_config:
        description: Configuration of pip on the host, with the package index and its certificate authorities.
        type: path
        required: true
  preflight_enabled:
    description: Whether the controller asks port 80 of each domain's addresses for a token of ours before a certificate
      is ordered. An answer that is not ours keeps it from being ordered, one that does not come is a warning. Where the
      controller has dnspython, CAA records that do not allow the authority keep it from being ordered as well, also one
      that is proven by DNS.
    type: bool
    default: true
  preflight:
    description: What the controller has seen. It is filled in by the action of this module; a user leaves it out.
    type: dict
    suboptions:
      asked:
        description: Whether it has asked already.
        type: bool
        default: false
      url_path:
        description: Path of what it has asked for.
        type: str
        default: ""
      refused:
        description: The reason of each certificate that is not to be ordered, by name.
        type: dict
        default: {}
  ended:
    description: Names of certificates that are not to be renewed any more. Their files stay.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Reports which certificates would be got, without asking the authority and without knowing what it
      would answer.
    support: full
  diff_mode:
    description: Shows why each certificate would be got.
    support: full
  idempotent:
    description: A second run changes nothing and asks nobody but the host itself.
    support: full
"""

EXAMPLES = r"""
- name: Get a certificate from Let's Encrypt
  ringstand.flask.certbot_certificates:
    certificates:
      - name: shop
        domains: [shop.example.com, www.shop.example.com]
        dir: /etc/ringstand/certificates/shop
    client:
      directory_url: https://acme-v02.api.letsencrypt.org/directory
      staging_directory_url: https://acme-staging-v02.api.letsencrypt.org/directory
      webroot_dir: /var/www/ringstand-acme
"""

RETURN = r"""
certificates:
  description: What was found and done (in check mode, would be done), by name.
  returned: always
  type: dict
  contains:
    reasons:
      description: Why something had to be done; empty when nothing had to be.
      type: list
      elements: str
      sample: ["it lacks www.shop.example.com"]
    issued:
      description: Whether the authority issued it in this run.
      type: bool
      sample: true
    deployed:
      description: Whether nginx was made to serve it in this run.
      type: bool
      sample: true
    set_aside:
      description: Where the remains of a broken one were moved to, else empty.
      type: str
      sample: ""
    serial:
      description: Its serial number in hexadecimal; null when there is none.
      type: str
      sample: 3A5F
    domains:
      description: Names in it.
      type: list
      elements: str
      sample: [shop.example.com]
failures:
  description: The reason of each certificate that is not as wanted, by name.
  returned: when one failed
  type: dict
others:
  description: Certificates that are renewed although they are not listed.
  returned: success
  type: list
  elements: str
"""

import contextlib
from collections.abc import Sequence

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringstand.flask.plugins.module_utils import (
    acme_directory,
    acme_preflight,
    certbot,
    certbot_environment,
    certbot_run,
    certificate_attempts,
    certificate_settings,
)
from ansible_collections.ringstand.flask.plugins.module_utils.certificates import OPTIONS, Wanted
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.x509 import ECDSA, RSA

TEXT = {"type": "str", "default": ""}
CLIENT = {
    "directory_url": {"type": "str", "required": True},
    "staging_directory_url": TEXT,
    "webroot_dir": {"type": "path", "required": True},
    "key_type": {"type": "str", "choices": [ECDSA, RSA], "default": ECDSA},
    "profile": TEXT,
    "email": TEXT,
    "ca_bundle_path": TEXT,
    "config_path": TEXT,
    "program": {"type": "str", "default": "certbot"},
    "dns_propagation_seconds": {"type": "dict", "default": {}},
}

ENVIRONMENT = {
    "requirements": {"type": "path", "required": True},
    "pip_config": {"type": "path", "required": True},
}
PREFLIGHT = {
    "asked": {"type": "bool", "default": False},
    "url_path": TEXT,
    "refused": {"type": "dict", "default": {}},
}


def look_from_outside(module: AnsibleModule, client: certbot.Client, sites: Sequence[Wanted]) -> None:
    """When something will be ordered, end with what the controller has to look at before it comes back."""
    by_http = {site.name: list(site.domains) for site in sites if not site.dns_plugin}
    by_dns = {site.name: list(site.domains) for site in sites if site.dns_plugin}
    identities = acme_directory.caa_identities(client.renewal.directory_url, client.ca_bundle_path) if sites else []
    if by_http or (by_dns and identities):
        path, content = acme_preflight.place(client.renewal.webroot) if by_http else ("", "")
        seen = {"path": path, "content": content, "sites": by_http, "sites_by_dns": by_dns}
        about = {"addresses": acme_preflight.host_addresses(), "caa_identities": identities}
        module.exit_json(changed=False, preflight={**seen, **about})


def main() -> None:
    """Run the module."""
    certificates = {"type": "list", "elements": "dict", "required": True, "options": {**OPTIONS, "dns_plugin": TEXT}}
    module = AnsibleModule(
        argument_spec={
            "certificates": certificates,
            "client": {"type": "dict", "required": True, "options": CLIENT},
            "environment": {"type": "dict", "options": ENVIRONMENT},
            "preflight_enabled": {"type": "bool", "default": True},
            "preflight": {"type": "dict", "options": PREFLIGHT},
            "ended": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    sites = certificate_settings.read_sites(module.params["certificates"])
    client = certificate_settings.read_client(module.params["client"])
    ended, preflight = module.params["ended"], module.params["preflight"]
    try:
        given = module.params["environment"]
        installed = bool(given) and certbot_environment.ensure(
            given["requirements"], given["pip_config"], module.check_mode
        )
        if not module.check_mode:
            certbot.check_abilities(client)
        held = contextlib.nullcontext(certificate_attempts.load()) if module.check_mode else certificate_attempts.held()
        with held as memory:
            refused = preflight["refused"] if preflight else {}
            run = certbot_run.Run(client, memory, check=module.check_mode, refused=refused)
            if preflight and not preflight["asked"]:
                look_from_outside(module, client, run.orders(sites))
            if preflight:
                acme_preflight.remove(client.renewal.webroot, preflight["url_path"])
            outcomes = run.ensure(sites)
            changed = memory.end(ended, [site.name for site in sites])
            others = certbot_run.others(sites, memory.ended)
    except RingstandError as error:
        module.fail_json(msg=error.message, **error.details)
    result = {
        "changed": installed or changed or any(outcome.changed for outcome in outcomes.values()),
        "certificates": {name: outcome.as_dict() for name, outcome in outcomes.items()},
    }
    if module._diff:
        result["diff"] = [
            {"before_header": name, "after_header": name, "before": "", "after": f"{'; '.join(outcome.reasons)}\n"}
            for name, outcome in outcomes.items()
            if outcome.changed
        ]
    failures = {name: outcome.failure for name, outcome in outcomes.items() if outcome.failure}
    if failures:
        lines = [f"- {name}: {reason}" for name, reason in failures.items()]
        message = f"Failed to have {len(failures)} of {len(sites)} certificates served:\n" + "\n".join(lines)
        module.fail_json(msg=message, failures=failures, **result)
    module.exit_json(**result, others=others)


if __name__ == "__main__":
    main()

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
  - Enables and starts the timer that renews.
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
  directory_url:
    description: ACME directory of the certificate authority.
    type: str
    required: true
  webroot_dir:
    description: Directory whose C(.well-known/acme-challenge) nginx serves over HTTP for each domain.
    type: path
    required: true
  key_type:
    description: Kind of key.
    type: str
    choices: [ecdsa, rsa]
    default: ecdsa
  email:
    description: Where the authority may write to. It counts when the account is made.
    type: str
  ca_bundle_path:
    description: File on the host with the authority that signed the certificate of the ACME server itself, when the
      system does not trust it.
    type: path
  timer:
    description: The systemd timer that renews.
    type: str
    default: certbot.timer
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
    directory_url: https://acme-v02.api.letsencrypt.org/directory
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
  description: Certificates that certbot renews with our deploy hook although they are not listed.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringstand.flask.plugins.module_utils import certbot, certbot_run
from ansible_collections.ringstand.flask.plugins.module_utils.certbot_lineage import Renewal
from ansible_collections.ringstand.flask.plugins.module_utils.certificates import OPTIONS, Wanted
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.x509 import ECDSA, RSA


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "certificates": {"type": "list", "elements": "dict", "required": True, "options": OPTIONS},
            "directory_url": {"type": "str", "required": True},
            "webroot_dir": {"type": "path", "required": True},
            "key_type": {"type": "str", "choices": [ECDSA, RSA], "default": ECDSA},
            "email": {"type": "str"},
            "ca_bundle_path": {"type": "path"},
            "timer": {"type": "str", "default": "certbot.timer"},
        },
        supports_check_mode=True,
    )
    given = module.params
    sites = [Wanted(item["name"], item["domains"], item["dir"]) for item in given["certificates"]]
    renewal = Renewal(given["directory_url"], given["key_type"], given["webroot_dir"])
    client = certbot.Client(renewal, given["email"] or "", given["ca_bundle_path"] or "")
    try:
        timer_changed = certbot_run.ensure_timer(given["timer"], module.check_mode)
    except RingstandError as error:
        module.fail_json(msg=error.message, **error.details)
    outcomes = certbot_run.ensure(sites, client, module.check_mode)
    result = {
        "changed": timer_changed or any(outcome.changed for outcome in outcomes.values()),
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
    module.exit_json(**result, others=certbot_run.others(sites))


if __name__ == "__main__":
    main()

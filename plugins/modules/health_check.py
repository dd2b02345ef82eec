#!/usr/bin/python
# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: health_check
short_description: Wait until a web application answers as a healthy one does
version_added: 1.0.0
author:
  - ringstand contributors (@ringstand)
description:
  - Asks a URL, or a path through a unix socket, until enough answers in a row are good, or fails when time is up.
  - Redirects are not followed, and an HTML page counts as healthy only when O(text) is found in it, because login and
    error pages answer with 200 too.
  - The failure says what was seen, which is the last status, the first 200 characters of its text, the last exception
    and the number of attempts.
options:
  url:
    description: What to ask, as V(http://host:port/path) or V(https://host/path). Exactly one of O(url) and
      O(socket_path) is needed.
    type: str
  socket_path:
    description: Absolute path of the unix socket to ask, by plain HTTP.
    type: path
  path:
    description: Path and query to ask through O(socket_path). With O(url) it is part of the URL.
    type: str
    default: /health
  host:
    description: Value of the Host header. The default is the host of O(url), or V(localhost) through a socket.
    type: str
    default: ""
  connect_address:
    description: Where to connect, as V(address) or V(address:port), when that is not the host of O(url). TLS still asks
      for, and verifies, the host of O(url).
    type: str
    default: ""
  status:
    description: HTTP status codes that are good.
    type: list
    elements: int
    default: [200]
  json:
    description: Fields that a JSON answer must have, nested ones included. It may have more.
    type: dict
    default: {}
  text:
    description: Text that the answer must contain, within O(max_body_bytes).
    type: str
    default: ""
  release:
    description: Word that the C(Server) header must contain, such as V(shop/20260101-abc). This is how an old release
      that still answers is told from the new one.
    type: str
  headers:
    description: Further request headers. Values are never shown.
    type: dict
    default: {}
  consecutive:
    description: Number of good answers in a row that make it healthy.
    type: int
    default: 3
  timeout_seconds:
    description: Time for everything together.
    type: float
    default: 60
  request_timeout_seconds:
    description: Time for one attempt, from looking up the name to the last byte.
    type: float
    default: 5
  interval_seconds:
    description: Pause between two attempts.
    type: float
    default: 0.2
  max_body_bytes:
    description: Bytes of an answer that are read at most. A longer answer is not healthy, unless O(text) is found
      within them.
    type: int
    default: 65536
  validate_certs:
    description: Whether the certificate of an https URL must be valid.
    type: bool
    default: true
  ca_path:
    description: File or directory of certificate authorities to trust besides the system's.
    type: path
attributes:
  check_mode:
    description: Asks as it does otherwise. In check mode an application that is not healthy is reported in
      RV(healthy) and is no failure, since it may not be installed yet.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
  idempotent:
    description: It only asks, and never changes anything.
    support: full
"""

EXAMPLES = r"""
- name: Wait for the app behind its socket
  ringstand.flask.health_check:
    socket_path: /run/shop/live.sock
    path: /health
    host: shop.example.com
    json:
      status: ok

- name: See that the new release answers through this host's nginx
  ringstand.flask.health_check:
    url: https://shop.example.com/health
    connect_address: 127.0.0.1
    validate_certs: false
    consecutive: 1
    timeout_seconds: 10

- name: See that the login page is there
  ringstand.flask.health_check:
    url: https://shop.example.com/login
    text: Sign in
"""

RETURN = r"""
healthy:
  description: Whether enough answers in a row were good.
  returned: always
  type: bool
attempts:
  description: How often it was asked.
  returned: always
  type: int
successes:
  description: How many answers were good.
  returned: always
  type: int
latencies_ms:
  description: Milliseconds of the last 100 attempts that were answered.
  returned: always
  type: list
  elements: float
status:
  description: HTTP status of the last answer, null when nothing answered.
  returned: always
  type: int
server:
  description: The C(Server) header of the last answer.
  returned: always
  type: str
text:
  description: The first 200 characters of the last answer.
  returned: always
  type: str
exception_seen:
  description: The last failure to get an answer at all, empty when there was none.
  returned: always
  type: str
reason:
  description: Why it is not healthy, empty when it is.
  returned: always
  type: str
seconds:
  description: Time that it took.
  returned: always
  type: float
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import RingstandError
from ..module_utils.health import HealthCheck, wait_healthy

ARGUMENTS: dict[str, Any] = {
    "url": {"type": "str"},
    "socket_path": {"type": "path"},
    "path": {"type": "str", "default": "/health"},
    "host": {"type": "str", "default": ""},
    "connect_address": {"type": "str", "default": ""},
    "status": {"type": "list", "elements": "int", "default": [200]},
    "json": {"type": "dict", "default": {}},
    "text": {"type": "str", "default": ""},
    "release": {"type": "str"},
    "headers": {"type": "dict", "default": {}, "no_log": True},
    "consecutive": {"type": "int", "default": 3},
    "timeout_seconds": {"type": "float", "default": 60.0},
    "request_timeout_seconds": {"type": "float", "default": 5.0},
    "interval_seconds": {"type": "float", "default": 0.2},
    "max_body_bytes": {"type": "int", "default": 65536},
    "validate_certs": {"type": "bool", "default": True},
    "ca_path": {"type": "path"},
}


def main() -> None:
    module = AnsibleModule(
        ARGUMENTS,
        supports_check_mode=True,
        required_one_of=[("url", "socket_path")],
        mutually_exclusive=[("url", "socket_path")],
    )
    options = dict(module.params)
    for name in ("url", "socket_path", "ca_path"):
        options[name] = options[name] or ""
    options["verify"] = options.pop("validate_certs")
    options["headers"] = {name: str(value) for name, value in options["headers"].items()}
    try:
        check = HealthCheck(**options)
        result = wait_healthy(check)
    except RingstandError as error:
        module.fail_json(msg=error.message, **error.details)
    answer = result.as_dict()
    seen = answer.pop("seen")
    answer["exception_seen"] = answer.pop("exception")  # "exception" is Ansible's own key, for tracebacks
    if result.healthy or module.check_mode:
        module.exit_json(changed=False, **answer)
    module.fail_json(msg=f"Failed to see {check.target} healthy: {seen}", **answer)


if __name__ == "__main__":
    main()

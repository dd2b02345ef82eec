# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Lookup of the program for hosts."""

from __future__ import annotations

DOCUMENTATION = r"""
name: program
author: ringstand contributors (@ringstand)
version_added: 1.0.0
short_description: The ringstand program for hosts, packed
description:
  - Packs the program C(ringstand) from this collection into one executable zip archive.
  - The same collection gives the same bytes on every controller.
options: {}
"""

EXAMPLES = r"""
- name: Install the program
  ringstand.flask.config_files:
    files:
      - path: /usr/local/bin/ringstand
        content_base64: "{{ lookup('ringstand.flask.program') }}"
        mode: "0755"
"""

RETURN = r"""
_raw:
  description: The archive, in base64.
  type: list
  elements: str
"""

import base64
from pathlib import Path
from typing import Any

from ansible.plugins.lookup import LookupBase
from ansible_collections.ringstand.flask.plugins.plugin_utils.program_archive import build


class LookupModule(LookupBase):
    """See DOCUMENTATION."""

    def run(self, terms: Any, variables: Any = None, **kwargs: Any) -> list[str]:
        """Return the archive as the only element."""
        self.set_options(var_options=variables, direct=kwargs)
        archive = build(Path(__file__).resolve().parent.parent / "module_utils")
        return [base64.b64encode(archive).decode()]

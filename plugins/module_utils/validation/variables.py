# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Misspelt names of variables, which Ansible itself would silently ignore."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from .problems import Problems

# Our roles' prefixes and what people write in their place.
PREFIXES = (
    *("backup_", "certbot_", "cli_", "flask", "gunicorn_", "host_", "nginx_", "postgres", "pg_", "redis_"),
    "ringstand_",
)
# Other roles have variables with these prefixes too, so only a near miss of one of ours is an error.
SIMILARITY = 0.85
# Understood by the playbooks themselves.
PLAYBOOK_VARIABLES = frozenset(
    {"flask_apps", "flask_app_overrides", "ringstand_hosts", "ringstand_packages_installed", "ringstand_secrets"}
)


def check_variable_names(names: Iterable[str], known: Iterable[str], problems: Problems) -> None:
    """Report each of ``names`` that looks like one of ``known`` (or of the playbooks' own) but is none."""
    ours = sorted(PLAYBOOK_VARIABLES.union(known))
    for name in sorted(names):
        if name in ours or not name.startswith(PREFIXES):
            continue
        close = difflib.get_close_matches(name, ours, n=1, cutoff=SIMILARITY)
        if close:
            problems.add(name, "no role or playbook here has this variable", f"Did you mean {close[0]}?")

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The verbs of ``ringstand`` for certificates: what is served, and to serve what certbot has got."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable

from . import certbot_lineage, certificate_state
from .console import say
from .errors import RingstandError


def add_commands(command: Callable[..., None]) -> None:
    """Register the verbs with ``command(name, run, help, *options)``."""
    command("certificates", _certificates, "the sites' certificates, and whether they are served")
    command(
        "certificate",
        _certificate,
        "deploy NAME: let nginx serve what certbot has got (certbot calls this after a renewal)",
        ("verb", {"choices": ["deploy"], "metavar": "deploy"}),
        ("name", {"nargs": "?", "metavar": "NAME", "help": "by default what certbot names in RENEWED_LINEAGE"}),
    )


def _certificates(options: argparse.Namespace) -> int:
    rows = certificate_state.all_states()
    if options.json:
        say(json.dumps({"certificates": rows}))
    for row in [] if options.json else rows:
        say(f"{row['site']}: {row['state']}, ends {row['expires'] or 'unknown'}, serial {row['serial'] or 'unknown'}")
        if row["problem"]:
            say(f"  {row['problem']}")
    return 3 if any(row["problem"] for row in rows) else 0


def _certificate(options: argparse.Namespace) -> int:
    given = certbot_lineage.live_dir(options.name) if options.name else os.environ.get("RENEWED_LINEAGE")
    if not given:
        raise RingstandError("Failed to deploy a certificate: give its name, or let certbot set RENEWED_LINEAGE")
    done = certificate_state.deploy_lineage(given)
    name = os.path.basename(given.rstrip("/"))
    if done is None:
        if options.name:
            raise RingstandError(f"Failed to deploy {name}: {certificate_state.SETTINGS_PATH} has no such certificate")
        text = f"{name}: no site of this host uses it"
    else:
        text = f"{name}: {'now served' if done else 'served already'}"
    say(json.dumps({"name": name, "changed": bool(done)}) if options.json else text)
    return 0

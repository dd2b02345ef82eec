# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The verbs of ``ringstand`` for certificates: what is served, to renew it, and to serve what certbot has got."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable

from . import (
    certbot_lineage,
    certificate_metrics,
    certificate_renewal,
    certificate_settings,
    certificate_state,
    prometheus,
)
from .console import complain, say
from .errors import RingstandError


def add_commands(command: Callable[..., None]) -> None:
    """Register the verbs with ``command(name, run, help, *options)``."""
    command("certificates", _certificates, "the sites' certificates, and whether they are served")
    command(
        "certificate",
        _certificate,
        "renew NAME: renew it now; renew: renew what is due, as the timer does; deploy NAME: let nginx serve what "
        "certbot has got (certbot calls this after a renewal)",
        ("verb", {"choices": ["renew", "deploy"], "metavar": "renew|deploy"}),
        ("name", {"nargs": "?", "metavar": "NAME", "help": "for deploy by default what RENEWED_LINEAGE names"}),
    )


def _certificates(options: argparse.Namespace) -> int:
    rows = certificate_state.all_states()
    if options.json:
        say(json.dumps({"certificates": rows}))
    for row in [] if options.json else rows:
        renews = f", is renewed after {row['renews']}" if row["renews"] else ""
        serial = row["serial"] or "unknown"
        say(f"{row['site']}: {row['state']}, ends {row['expires'] or 'unknown'}{renews}, serial {serial}")
        if row["problem"]:
            say(f"  {row['problem']}")
        elif row["attempt"]:
            attempt = row["attempt"]
            say(f"  the last {attempt['step']} failed at {attempt['tried']}: {attempt['reason']}")
    return 3 if any(row["problem"] for row in rows) else 0


def _certificate(options: argparse.Namespace) -> int:
    return _renew(options) if options.verb == "renew" else _deploy(options)


def _renew(options: argparse.Namespace) -> int:
    outcomes = certificate_renewal.renew(options.name or "")
    rows = certificate_state.all_states()
    problems = certificate_renewal.raise_alarm(rows)
    try:
        certificate_metrics.metrics(rows, time.time()).write(prometheus.DIRECTORY)
    except OSError as error:
        problems.append(f"The metrics were not written to {prometheus.DIRECTORY}: {error.strerror or error}")
    if options.json:
        done = {name: {**one.as_dict(), "waits": one.waits, "failure": one.failure} for name, one in outcomes.items()}
        say(json.dumps({"certificates": done, "problems": problems}))
    for name, outcome in outcomes.items():
        if outcome.failure:
            complain(f"{name}: {outcome.failure}")
        elif not options.json:
            came = "renewed" if outcome.issued else "now served" if outcome.deployed else "nothing to do"
            say(f"{name}: {'waits until it may ask again' if outcome.waits else came}")
    for problem in problems:
        complain(problem)
    return 1 if problems or any(outcome.failure for outcome in outcomes.values()) else 0


def _deploy(options: argparse.Namespace) -> int:
    given = certbot_lineage.live_dir(options.name) if options.name else os.environ.get("RENEWED_LINEAGE")
    if not given:
        raise RingstandError("Failed to deploy a certificate: give its name, or let certbot set RENEWED_LINEAGE")
    done = certificate_state.deploy_lineage(given)
    name = os.path.basename(given.rstrip("/"))
    if done is None:
        if options.name:
            raise RingstandError(f"Failed to deploy {name}: {certificate_settings.PATH} has no such certificate")
        text = f"{name}: no site of this host uses it"
    else:
        text = f"{name}: {'now served' if done else 'served already'}"
    say(json.dumps({"name": name, "changed": bool(done)}) if options.json else text)
    return 0

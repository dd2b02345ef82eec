# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The certificates of the sites, and what renews them."""

from __future__ import annotations

from collections.abc import Iterator

from . import certificate_renewal, certificate_settings, certificate_state, units
from .doctor_findings import HOST, NOTICE, Finding

_DO = "ringstand certificates; ansible-playbook ringstand.flask.site --tags certbot"


def check() -> Iterator[Finding]:
    """Certificates that have expired, are about to, are missing, or are not the ones served; a timer that is off."""
    for row in certificate_state.all_states():
        site, attempt = str(row["site"]), row["attempt"]
        if row["problem"]:
            yield Finding(site, f"certificate: {row['problem']}", _DO)
        elif attempt:
            what = f"certificate: its renewal failed at {attempt['tried']} ({attempt['step']}): {attempt['reason']}"
            yield Finding(site, what, f"It is tried again after {attempt['next']}.", NOTICE)
    if certificate_settings.load() is not None:
        timer = units.show([certificate_renewal.TIMER])[0]
        if not (timer.started and timer.enabled):
            what = f"{certificate_renewal.TIMER} does not run: no certificate is renewed"
            yield Finding(HOST, what, f"systemctl enable --now {certificate_renewal.TIMER}")

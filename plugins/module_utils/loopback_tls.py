# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""TLS to this host itself, where a certificate's name and authority prove nothing: it may be a placeholder."""

from __future__ import annotations

import ssl


def unverified() -> ssl.SSLContext:
    """A client's context that takes any certificate, and reads no authorities for it (0.02 s)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context

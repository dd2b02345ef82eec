# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The keys of an app, and of a site of the nginx role, that say how nginx serves it."""

from __future__ import annotations

from ..nginx_items import RATE_UNITS
from ..response_headers import PROFILES
from .schema import Field

TEXT = Field((str,))
SWITCH = Field((bool,))
ADDRESSES = Field((list, str), elements=TEXT)

ACCESS = {
    "allow": ADDRESSES,
    "deny": ADDRESSES,
    # Names and passwords; check_access looks at each.
    "users": Field((dict,), secret=True),
}
RATE_LIMIT = {
    "requests": Field((int,), minimum=1, maximum=100_000, required=True),
    "per": Field((str,), choices=tuple(RATE_UNITS)),
    "burst": Field((int,), minimum=0, maximum=100_000),
}
LIMITS = {
    "access": Field((dict,), options=ACCESS),
    "rate_limit": Field((dict,), options=RATE_LIMIT),
    "connection_limit": Field((int,), minimum=1, maximum=100_000),
}
LOCATION = {
    "path": Field((str,), required=True),
    **LIMITS,
    "buffering_enabled": SWITCH,
    "client_max_body_size_mb": Field((int,), minimum=1, maximum=102_400),
    "timeout_seconds": Field((int,), minimum=1, maximum=86_400),
}
HSTS = {
    "max_age_seconds": Field((int,), minimum=0, maximum=315_360_000),
    "include_subdomains": SWITCH,
    "preload": SWITCH,
}
SECURITY = {
    "profile": Field((str,), choices=PROFILES),
    # Directives and their sources; check_security looks at each.
    "content_security_policy": Field((dict,)),
    "hsts": Field((dict,), options=HSTS),
    "headers": Field((dict,)),
}
REDIRECT = {"domains": Field((list,), elements=TEXT, required=True), "to": TEXT, "permanent": SWITCH}
MEDIA = {"url": TEXT, "dir": TEXT, "internal": SWITCH}

# The same for an app and for a site.
EDGE_FIELDS = {
    **LIMITS,
    "security": Field((dict,), options=SECURITY),
    "locations": Field((list,), elements=Field((dict,), options=LOCATION)),
    "redirects": Field((list,), elements=Field((dict,), options=REDIRECT)),
    "trusted_proxies": Field((dict,), options={"addresses": ADDRESSES, "header": TEXT}),
    "error_pages": Field((dict,)),
    "extra_configuration": TEXT,
}

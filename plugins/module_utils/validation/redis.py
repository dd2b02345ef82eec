# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The Redis instances of an app: who reaches them from other machines, and with which certificate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .networks import check_networks
from .problems import Problems, join
from .tls import check_own_certificate


def check_redis(redis: Any, path: str, problems: Problems) -> None:
    """The key ``redis`` of an app, whose types are known to be right or told already."""
    for purpose, settings in redis.items() if isinstance(redis, Mapping) else ():
        if not isinstance(settings, Mapping):
            continue
        here, clients, certificate = join(path, purpose), settings.get("clients"), settings.get("tls")
        everybody = ("this is everybody", "Name the addresses of the clients")
        check_networks(clients or [], join(here, "clients"), problems, everybody)
        if isinstance(certificate, Mapping):
            check_own_certificate(certificate, join(here, "tls"), problems)
        if clients and not certificate:
            rule = "clients on other machines need it, because passwords and data would cross a network unencrypted"
            problems.add(join(here, "tls"), rule, "Write chain_path and key_path, or chain and key")
        elif certificate and not clients:
            problems.add(join(here, "tls"), "nobody but this machine connects", "Name clients, or remove it")

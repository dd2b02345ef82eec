# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The systemd sandbox that every process of an app runs in: the web slots, migrations, hooks and builds alike.

Directives are those of systemd.exec(5) and systemd.resource-control(5) that systemd 249 (Ubuntu 22.04) and newer know.
"""

from __future__ import annotations

from collections.abc import Iterable

# Needed no relaxing for gunicorn's sync, gthread and gevent workers, PostgreSQL by peer authentication and Redis.
_BASE: tuple[tuple[str, str], ...] = (
    ("NoNewPrivileges", "yes"),
    ("ProtectSystem", "strict"),
    ("ProtectHome", "yes"),
    ("PrivateTmp", "yes"),
    ("PrivateDevices", "yes"),
    ("DevicePolicy", "closed"),
    ("ProtectKernelTunables", "yes"),
    ("ProtectKernelModules", "yes"),
    ("ProtectKernelLogs", "yes"),
    ("ProtectControlGroups", "yes"),
    ("ProtectClock", "yes"),
    ("ProtectHostname", "yes"),
    ("ProtectProc", "invisible"),
    ("ProcSubset", "pid"),
    ("RestrictNamespaces", "yes"),
    ("RestrictRealtime", "yes"),
    ("RestrictSUIDSGID", "yes"),
    ("LockPersonality", "yes"),
    ("MemoryDenyWriteExecute", "yes"),
    ("RemoveIPC", "yes"),
    ("CapabilityBoundingSet", ""),
    ("AmbientCapabilities", ""),
    ("SystemCallArchitectures", "native"),
    ("SystemCallFilter", "@system-service"),
    ("SystemCallFilter", "~@privileged @resources"),
    ("SystemCallErrorNumber", "EPERM"),
)


def sandbox_directives(
    outbound_network: bool = True,
    writable_paths: Iterable[str] = (),
    build: bool = False,
) -> list[tuple[str, str]]:
    """Return (directive, value) pairs for a unit's ``[Service]`` section, in order.

    ``outbound_network`` off leaves unix sockets and loopback: an app that sends mail or calls an API needs it on.
    ``build`` lifts what compilers and package builds need: memory that is written, then executed, and chown.
    """
    lifted = {"MemoryDenyWriteExecute", "SystemCallFilter", "SystemCallErrorNumber", "ProcSubset"} if build else set()
    directives = [(name, value) for name, value in _BASE if name not in lifted]
    directives.append(("RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6"))
    if not outbound_network:
        directives += [("IPAddressDeny", "any"), ("IPAddressAllow", "localhost")]
    directives += [("ReadWritePaths", path) for path in writable_paths]
    return directives

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""By which ports a host is administered over SSH: a firewall that leaves one out locks its owner out."""

from __future__ import annotations

import os
import re

from . import commands

_SERVERS = ("sshd", "dropbear")
_LISTEN = "0A"  # TCP_LISTEN in the kernel's tcp_states.h, as /proc/net/tcp writes it
_SOCKET_UNITS = ("ssh.socket", "sshd.socket")


def ssh_ports() -> list[int]:
    """All ports on which an SSH server listens, is configured to listen, or was reached just now.

    Listeners of processes come from /proc, those that systemd holds for a server from its socket unit (``Port`` in
    sshd_config has no effect there), those of the next start from ``sshd -T``. The last two and other users' processes
    need root.
    """
    listening = _listening_ports()
    ports = set()
    held_by_systemd = set()
    for pid, name in _processes():
        if name in _SERVERS:
            ports |= {listening[inode] for inode in _sockets(pid) if inode in listening}
        elif pid == 1:
            held_by_systemd = {listening[inode] for inode in _sockets(pid) if inode in listening}
    if held_by_systemd:
        ports |= held_by_systemd & _socket_unit_ports()
    ports |= _configured_ports()
    connection = _connection()
    if connection:
        ports.add(int(connection[3]))
    return sorted(ports)


def ssh_client_address() -> str:
    """The address from which this run came over SSH; empty when it did not."""
    connection = _connection()
    return connection[0] if connection else ""


def _listening_ports() -> dict[str, int]:
    ports = {}
    for path in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(path, encoding="ascii") as handle:
                lines = handle.read().splitlines()[1:]
        except OSError:
            continue
        for fields in (line.split() for line in lines):
            if fields[3] == _LISTEN:
                ports[fields[9]] = int(fields[1].rpartition(":")[2], 16)
    return ports


def _processes() -> list[tuple[int, str]]:
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/comm", encoding="utf-8", errors="replace") as handle:
                    found.append((int(name), handle.read().strip()))
            except OSError:  # ended meanwhile
                continue
    return found


def _sockets(pid: int) -> set[str]:
    """Inodes of the sockets that the process has open."""
    found = set()
    directory = f"/proc/{pid}/fd"
    try:
        for name in os.listdir(directory):
            target = os.readlink(os.path.join(directory, name))
            if target.startswith("socket:["):
                found.add(target[8:-1])
    except OSError:  # ended meanwhile, or another user's
        pass
    return found


def _socket_unit_ports() -> set[int]:
    result = commands.run(["systemctl", "show", "--property=Listen", "--", *_SOCKET_UNITS])
    return {int(port) for port in re.findall(r"^Listen=.*?(\d+) \(Stream\)", result.stdout, re.MULTILINE)}


def _configured_ports() -> set[int]:
    if os.geteuid() != 0 or not os.path.exists("/usr/sbin/sshd"):
        return set()
    result = commands.run(["/usr/sbin/sshd", "-T"])
    # "port 22" and "listenaddress 192.0.2.1:2222"; nothing when its configuration or host keys are not there yet.
    found = re.findall(r"^(?:port|listenaddress .*:)\s*(\d+)$", result.stdout, re.MULTILINE)
    return {int(port) for port in found}


def _connection() -> list[str] | None:
    """SSH_CONNECTION (client address and port, server address and port) of this process or its nearest ancestor.

    sudo removes it from the environment, so the ancestors are asked.
    """
    pid = os.getpid()
    while pid > 1:
        try:
            with open(f"/proc/{pid}/environ", "rb") as handle:
                environment = handle.read().decode(errors="replace").split("\0")
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as handle:
                parent = int(handle.read().rpartition(")")[2].split()[1])
        except OSError:
            return None
        for entry in environment:
            fields = entry.partition("SSH_CONNECTION=")[2].split()
            if entry.startswith("SSH_CONNECTION=") and len(fields) == 4 and fields[3].isdigit():
                return fields
        pid = parent
    return None

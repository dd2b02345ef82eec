# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The way to another host by SSH: what ssh is told, why it does not get there, and the mount that pgBackRest uses.

restic goes by SFTP itself. pgBackRest is given a directory, which sshfs mounts. Its own way to another host is not for
one that is trusted with nothing: backups are then made and expired over there, by a pgBackRest of the same version,
which knows the key and logs in here as the cluster's owner. With a mount there is nothing over there but sshd, and each
release of it goes with each pgBackRest.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping
from typing import Any

from .commands import run
from .errors import RingstandError
from .systemd import systemctl, unit_properties

NAME = "ringstand-offsite"
DIRECTORY = "/etc/ringstand/offsite"
CONFIG_PATH = f"{DIRECTORY}/ssh_config"
UNIT = "ringstand-offsite-mount.service"
UNIT_PATH = f"/etc/systemd/system/{UNIT}"
# Nobody but root can write into it while nothing is mounted there, so that no backup lands on this host instead.
MOUNT_DIR = "/run/ringstand-offsite"
HEADER = "# Written by the role ringstand.flask.backup, which overwrites changes"
CONNECT_SECONDS = 20
_MOUNTED_SECONDS = 2.0 * CONNECT_SECONDS
# Of what sftp says when it does not get there: lines that do not tell why.
_CHATTER = ("@", "sftp>", "Connection closed", "Warning:", "**")


def config_text(given: Mapping[str, Any], directory: str = DIRECTORY) -> str:
    """What ssh is told, whose keys are in ``directory``; it takes no other file, and asks nobody."""
    return "\n".join([
        f"{HEADER}.",
        f"Host {NAME}",
        f"  HostName {given['host']}",
        f"  Port {given.get('port') or 22}",
        f"  User {given['user']}",
        f"  IdentityFile {directory}/root.key",
        "  IdentitiesOnly yes",
        "  BatchMode yes",
        "  StrictHostKeyChecking yes",
        f"  UserKnownHostsFile {directory}/known_hosts",
        "  GlobalKnownHostsFile /dev/null",
        f"  ConnectTimeout {CONNECT_SECONDS}",
        "  ServerAliveInterval 15",
        "  ServerAliveCountMax 4",
        "",
    ])


def unit_text(path: str, owner: str) -> str:
    """The unit that mounts ``path`` of the other host for the user ``owner``.

    It ends with its connection, after a minute without an answer, and whoever waits for a file gets an error; then it
    tries again until the other host is back.
    """
    options = ["allow_other", "default_permissions", f"uid=$$(id -u {owner})", f"gid=$$(id -g {owner})", "umask=0027"]
    return "\n".join([
        f"{HEADER}.",
        "[Unit]",
        "Description=Mount the second repository of backups",
        "After=network-online.target",
        "Wants=network-online.target",
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        f"ExecStartPre=/bin/mkdir -p {MOUNT_DIR}",
        f"ExecStart=/bin/sh -c 'exec sshfs -f -F {CONFIG_PATH} -o {','.join(options)} {NAME}:{path} {MOUNT_DIR}'",
        # What one leaves that was killed.
        f"ExecStopPost=-/bin/umount --lazy --quiet {MOUNT_DIR}",
        "Restart=always",
        "RestartSec=10s",
        "",
        "[Install]",
        "WantedBy=multi-user.target",
        "",
    ])


def problem(path: str = "", directory: str = DIRECTORY) -> str:
    """Why the other host cannot be reached, or has no directory ``path``; empty when all is well."""
    script = 'printf "cd %s\\n" "$1" | sftp -b - -F "$2" "$3"'
    done = run(["sh", "-c", script, "sh", path or ".", f"{directory}/ssh_config", NAME], 3.0 * CONNECT_SECONDS)
    if done.rc == 0:
        return ""
    lines = [line.strip() for line in done.stderr.splitlines()]
    said = [line for line in lines if line and not line.startswith(_CHATTER)]
    return " ".join(said[-2:]).rstrip(".") or f"sftp ended with {done.rc}"


def is_mounted() -> bool:
    """Whether there is something at the mount point that answers."""
    return os.path.ismount(MOUNT_DIR)


def absence(path: str) -> str:
    """Why ``path`` of the other host is not mounted."""
    return problem(path) or f"{UNIT} has not mounted it (yet), see journalctl -u {UNIT}"


def mount(changed: Collection[str]) -> None:
    """Mount it, anew when one of the files ``changed`` is of the way there, and wait until it is or cannot be.

    That it cannot be is no error here: whatever needs it says so.
    """
    anew = any(path == UNIT_PATH or os.path.dirname(path) == DIRECTORY for path in changed)
    if anew:
        systemctl("daemon-reload")
        systemctl("enable", UNIT)
    systemctl("restart" if anew else "start", UNIT)
    deadline = time.monotonic() + _MOUNTED_SECONDS
    while not is_mounted() and time.monotonic() < deadline:
        if unit_properties(UNIT, "SubState").get("SubState") != "running":
            break
        time.sleep(0.1)


def unmount() -> None:
    """Stop and disable the unit, whose file is about to be removed."""
    if os.path.exists(UNIT_PATH):
        systemctl("disable", "--now", UNIT)


def check_installed() -> None:
    """Raise :class:`RingstandError` without what mounts."""
    if run(["sshfs", "--version"]).rc != 0:
        raise RingstandError(
            "Failed to set up backup_repository: type ssh needs the package sshfs on this host. Nothing was changed. "
            "Install it, or leave backup_packages as it is"
        )

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The second place of a host's backups, away from it: what the user wrote, and how pgBackRest and restic reach it.

It is no second repository of the same pgBackRest configuration. With one, ``archive-push`` ends well only when all
repositories have taken a segment: one that cannot be reached keeps WAL in pg_wal until the disk is full, and the first
repository gets no further either (https://github.com/pgbackrest/pgbackrest/pull/2802). So the server archives to this
host alone, and backup_shipping takes WAL from there to here, at leisure and without a gap after an outage.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import backup_ssh
from .backup_ssh import DIRECTORY
from .pgbackrest import Stanza
from .restic import Repository

CONFIG_PATH = f"{DIRECTORY}/pgbackrest.conf"
# pgBackRest runs as postgres and restic as root, so that each has a file that only it can read.
OWNER_KEY_PATH = f"{DIRECTORY}/postgres.key"
SPOOL_DIR = "/var/spool/ringstand-offsite"
PATH, S3, SFTP, SSH = "path", "s3", "sftp", "ssh"
ONLY_HERE = "Backups live on this machine only: they are lost with it. Set backup_repository to keep them elsewhere too"


@dataclass(frozen=True)
class Offsite:
    """What ``settings.json`` says of it. ``base`` is the directory (or prefix) of this host alone, seen by pgBackRest.

    ``restic`` is the location of the files as restic names it; ``dumps`` tells whether the dumps go there as well.
    ``mounts`` is the directory over there that has to be mounted for pgBackRest, ``replaces`` the machine whose place
    this host may take (see backup_owner).
    """

    type: str
    where: str
    base: str
    restic: str
    own_ca: bool = False
    full_count: int = 2
    files_days: int = 30
    dumps: bool = True
    mounts: str = ""
    replaces: str = ""
    region: str = ""
    path_style: bool = False

    def stanza(self, name: str) -> Stanza:
        """The backups of the cluster ``name`` there."""
        return Stanza(name, f"{self.where}/pgbackrest", CONFIG_PATH, self.mounts)

    def repository(self, password_file: str, directory: str = DIRECTORY) -> Repository:
        """The files there; ``directory`` has what leads there."""
        options: list[str] = []
        environment: dict[str, str] = {}
        if self.type in (SFTP, SSH):
            options += ["-o", f"sftp.command=ssh -F {directory}/ssh_config {backup_ssh.NAME} -s sftp"]
        if self.type == S3:
            environment = {"AWS_SHARED_CREDENTIALS_FILE": f"{directory}/s3_credentials"}
            options += [f"--cacert={directory}/ca.pem"] if self.own_ca else []
            options += ["-o", f"s3.region={self.region}"] if self.region else []
            options += ["-o", "s3.bucket-lookup=path"] if self.path_style else []
        return Repository(self.restic, password_file, self.type != PATH, options, environment)


def parse(data: Mapping[str, Any] | None) -> Offsite | None:
    """From what ``settings.json`` holds; None when there is no such place."""
    if not data:
        return None
    known = {key: value for key, value in data.items() if key in Offsite.__annotations__}
    return Offsite(**known)


def describe(given: Mapping[str, Any] | None, host: str, full_count: int, files_days: int) -> dict[str, Any] | None:
    """What ``settings.json`` holds of the user's ``backup_repository``: nothing secret. None when it is empty.

    ``host`` names the directory of this host when the user names none; the numbers are used when the user gives none.
    """
    if not given:
        return None
    base = base_of(given, host)
    mounts = str(given["path"]) if given["type"] == SSH else ""
    return {
        "type": given["type"],
        "where": where(given, base),
        "base": os.path.join(backup_ssh.MOUNT_DIR, os.path.basename(base)) if mounts else base,
        "restic": restic_location(given, base),
        "own_ca": bool(given.get("ca_certificate")),
        "full_count": int(given.get("retention_full_count") or full_count),
        "files_days": int(given.get("retention_files_days") or files_days),
        "dumps": given.get("dumps") is not False,
        "mounts": mounts,
        "replaces": str(given.get("replaces") or ""),
        **({"region": str(given.get("region") or ""), "path_style": bool(given.get("path_style"))}
           if given["type"] == S3 else {}),
    }


def base_of(given: Mapping[str, Any], host: str) -> str:
    """The directory of one host below the path that all hosts may share."""
    return os.path.join("/", given.get("path") or "", given.get("name") or host)


def where(given: Mapping[str, Any], base: str) -> str:
    """The place as a URL, for people."""
    if given["type"] == PATH:
        return base
    if given["type"] == S3:
        return f"s3://{endpoint(given)}/{given['bucket']}{base}"
    port = int(given.get("port") or 22)
    return f"{given['type']}://{given['user']}@{given['host']}{'' if port == 22 else f':{port}'}{base}"


def restic_location(given: Mapping[str, Any], base: str) -> str:
    """The place of the files as restic wants it."""
    if given["type"] == PATH:
        return f"{base}/restic"
    if given["type"] == S3:
        return f"s3:https://{endpoint(given)}/{given['bucket']}{base}/restic"
    return f"sftp:{backup_ssh.NAME}:{base}/restic"


def endpoint(given: Mapping[str, Any]) -> str:
    """Host and, where it is not 443, port."""
    return re.sub(r"^https://|/+$|:443/*$", "", str(given["endpoint"]))

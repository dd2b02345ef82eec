# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a host needs for the second place of its backups: files, a pgBackRest that can, and a stanza there."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from . import backup_offsite, backup_ssh, pgbackrest, restic
from .backup_offsite import CONFIG_PATH, OWNER_KEY_PATH, PATH, S3, SFTP, SPOOL_DIR, SSH
from .backup_settings import KEY_PATH
from .errors import RingstandError
from .pgbackrest import OWNER, Stanza

# https://pgbackrest.org/release.html: SFTP came with 2.46, and known_hosts with 2.48.
SFTP_VERSION = (2, 48)
# A backup ends well once its WAL is there, which is shipped every few seconds.
ARCHIVE_TIMEOUT_SECONDS = 300
# What holds a secret, or runs, and is not for every type.
_LEFT = (
    CONFIG_PATH, OWNER_KEY_PATH, backup_ssh.UNIT_PATH,
    *(f"{backup_ssh.DIRECTORY}/{name}" for name in ("root.key", "s3_credentials")),
)


def check_possible(given: Mapping[str, Any], version: tuple[int, ...], check: bool = False) -> None:
    """Raise :class:`RingstandError` when the installed pgBackRest has no way to such a place.

    With ``check`` packages may yet be installed.
    """
    if given and given["type"] == SFTP and version < SFTP_VERSION:
        found, needed = (".".join(str(number) for number in numbers) for numbers in (version, SFTP_VERSION))
        raise RingstandError(
            f"Failed to set up backup_repository: pgBackRest {found} on this host cannot use SFTP with checked host "
            f"keys, which needs {needed}. Nothing was changed. Use type ssh with the same keys, which goes with every "
            "pgBackRest, or s3, or path"
        )
    if given and given["type"] == SSH and not check:
        backup_ssh.check_installed()


def check_mounted(given: Mapping[str, Any], described: Mapping[str, Any]) -> None:
    """Raise :class:`RingstandError` when a directory that backups are in is gone, or has nothing to be made in.

    Otherwise they would go to what lies below a mount point as soon as nothing is mounted there.
    """
    if not given or given["type"] != PATH:
        return
    base = described["base"]
    if not os.path.isdir(given["path"]):
        raise RingstandError(
            f"Failed to set up backup_repository: its path {given['path']} is no directory on this host. Nothing was "
            "changed. Mount it there first"
        )
    try:
        with open(CONFIG_PATH, encoding="utf-8") as stream:
            known = f"repo1-path={base}/pgbackrest\n" in stream.read()
    except FileNotFoundError:
        return
    if known and not os.path.isdir(base):
        raise RingstandError(
            f"Failed to find the backups in {base}, which were there before: is {given['path']} mounted? Nothing was "
            "changed. If they are gone for good, remove " + CONFIG_PATH
        )


def config_text(given: Mapping[str, Any], described: Mapping[str, Any], key: str, cluster: Sequence[str]) -> str:
    """The text of pgBackRest's configuration, key included; ``cluster`` are the lines of the stanza's section."""
    lines = [
        f"{backup_ssh.HEADER}.",
        "[global]",
        f"repo1-path={described['base']}/pgbackrest",
        "repo1-cipher-type=aes-256-cbc",
        f"repo1-cipher-pass={key}",
        f"repo1-retention-full={described['full_count']}",
        "repo1-retention-full-type=count",
        "repo1-bundle=y",
        *_storage(given),
        "compress-type=zst",
        "expire-auto=n",
        "start-fast=y",
        f"archive-timeout={ARCHIVE_TIMEOUT_SECONDS}",
        "log-level-file=off",
        "",
        *cluster,
        "",
    ]
    return "\n".join(lines)


def _storage(given: Mapping[str, Any]) -> list[str]:
    if given["type"] == SFTP:
        return [
            "repo1-type=sftp",
            f"repo1-sftp-host={given['host']}",
            f"repo1-sftp-host-port={given.get('port') or 22}",
            f"repo1-sftp-host-user={given['user']}",
            "repo1-sftp-host-key-hash-type=sha256",
            "repo1-sftp-host-key-check-type=strict",
            f"repo1-sftp-known-host={backup_ssh.DIRECTORY}/known_hosts",
            f"repo1-sftp-private-key-file={OWNER_KEY_PATH}",
        ]
    if given["type"] == S3:
        host, _colon, port = backup_offsite.endpoint(given).partition(":")
        return [
            "repo1-type=s3",
            f"repo1-s3-bucket={given['bucket']}",
            f"repo1-s3-endpoint={host}",
            *([f"repo1-storage-port={port}"] if port else []),
            f"repo1-s3-region={given.get('region') or 'us-east-1'}",
            f"repo1-s3-uri-style={'path' if given.get('path_style') else 'host'}",
            f"repo1-s3-key={given['access_key']}",
            f"repo1-s3-key-secret={given['secret_key']}",
            *([f"repo1-storage-ca-file={backup_ssh.DIRECTORY}/ca.pem"] if given.get("ca_certificate") else []),
        ]
    return []


def entries(
    given: Mapping[str, Any], described: Mapping[str, Any], key: str, cluster: Sequence[str]
) -> list[dict[str, Any]]:
    """Directories and files, as :mod:`files` takes them; ``cluster`` is empty when there is none to back up.

    Without a key yet there are none; what an earlier place has left is removed.
    """
    if given and not key:
        return []
    found = [*_directories(given, described, cluster), *way(given)] if given else []
    if given and cluster:
        text = config_text(given, described, key, cluster)
        found.append({"path": CONFIG_PATH, "secret_content": text, "group": OWNER, "mode": "0640"})
        if given["type"] == SFTP:
            found.append({"path": OWNER_KEY_PATH, "secret_content": _private_key(given), "owner": OWNER,
                          "group": OWNER, "mode": "0600"})
        if given["type"] == SSH:
            found.append({"path": backup_ssh.UNIT_PATH, "content": backup_ssh.unit_text(given["path"], OWNER)})
    wanted = {entry["path"] for entry in found}
    return found + [{"path": path, "state": "absent"} for path in _LEFT if path not in wanted]


def _directories(
    given: Mapping[str, Any], described: Mapping[str, Any], cluster: Sequence[str]
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{"path": backup_ssh.DIRECTORY, "state": "directory"}]
    if cluster:
        found.append({"path": SPOOL_DIR, "state": "directory", "owner": OWNER, "group": OWNER, "mode": "0700"})
    if given["type"] == PATH:
        base = described["base"]
        found.append({"path": base, "state": "directory"})
        found.append({"path": f"{base}/restic", "state": "directory", "mode": "0700"})
        if cluster:
            found.append({"path": f"{base}/pgbackrest", "state": "directory", "owner": OWNER, "group": OWNER,
                          "mode": "0750"})
    return found


def way(given: Mapping[str, Any], directory: str = backup_ssh.DIRECTORY) -> list[dict[str, Any]]:
    """The files in ``directory`` that lead root to the place: restic, and ssh."""
    if given["type"] in (SFTP, SSH):
        return [
            {"path": f"{directory}/known_hosts", "content": "\n".join([*given["known_hosts"], ""])},
            {"path": f"{directory}/root.key", "secret_content": _private_key(given), "mode": "0600"},
            {"path": f"{directory}/ssh_config", "content": backup_ssh.config_text(given, directory)},
        ]
    if given["type"] != S3:
        return []
    text = f"[default]\naws_access_key_id = {given['access_key']}\naws_secret_access_key = {given['secret_key']}\n"
    found = [{"path": f"{directory}/s3_credentials", "secret_content": text, "mode": "0600"}]
    if given.get("ca_certificate"):
        found.append({"path": f"{directory}/ca.pem", "content": given["ca_certificate"].strip() + "\n"})
    return found


def leave(items: Sequence[Mapping[str, Any]]) -> None:
    """End what uses a file that is about to be removed; ``items`` are those of :func:`entries`."""
    if {"path": backup_ssh.UNIT_PATH, "state": "absent"} in items:
        backup_ssh.unmount()


def arrive(items: Sequence[Mapping[str, Any]], changed: Sequence[str]) -> None:
    """Begin to use the files; ``changed`` are the paths of those that were."""
    if any(entry["path"] == backup_ssh.UNIT_PATH and "content" in entry for entry in items):
        backup_ssh.mount(changed)


def _private_key(given: Mapping[str, Any]) -> str:
    return str(given["private_key"]).strip() + "\n"


def ensure(
    described: Mapping[str, Any], cluster: str, data_dir: str, state: dict[str, Any], check: bool, is_new: bool
) -> None:
    """Make its stanza when it can be reached and has none, or let it follow an upgrade; what is wrong is a warning.

    A new one may have that of the machine whose place it is to take. One that is away keeps no site from being set up:
    each backup tries again, and says so.
    """
    place = backup_offsite.parse(described)
    if place is None:
        return
    if place.type == PATH and os.path.isdir(place.base) and os.stat(place.base).st_dev == os.stat(data_dir).st_dev:
        state["warnings"].append(
            f"The second repository in {place.base} is on the disk of the data itself: losing that loses both"
        )
    if not cluster:
        return
    stanza = place.stanza(cluster)
    try:
        if check and not os.path.exists(CONFIG_PATH):
            raise RingstandError("it is not configured yet")
        found = pgbackrest.information(stanza)
        adopts = bool(is_new and place.replaces)
        if found.exists and not adopts and not pgbackrest.lags(found, pgbackrest.information(Stanza(cluster, ""))):
            return
        state["changes"].append(f"stanza {cluster} in {place.where}")
        if not check:
            (pgbackrest.create if not found.exists else pgbackrest.adopt if adopts else pgbackrest.upgrade)(stanza)
    except RingstandError as error:
        if check:
            state["changes"].append(f"stanza {cluster} in {place.where}")
            return
        state["warnings"].append(
            f"The second repository {place.where} cannot be used: {error.message}. Until it can, backups live on this "
            "machine only; each hour it is tried again"
        )


def require_backups(described: Mapping[str, Any], cluster: str) -> int:
    """How many backups of the cluster are there; raises :class:`RingstandError` when none is, neither of files."""
    place = backup_offsite.parse(described)
    if place is None:
        raise RingstandError("Failed to find backups elsewhere: backup_repository is not set")
    files = restic.snapshots(place.repository(KEY_PATH))
    found = pgbackrest.information(place.stanza(cluster)).good if cluster else []
    if not found and (cluster or not files):
        raise RingstandError(f"Failed to find a backup of this host in {place.where}: it has none")
    return len(found)

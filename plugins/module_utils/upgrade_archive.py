# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""pgBackRest follows a cluster to another major version and data directory, in both places of the backups."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Sequence

from . import backup_offsite, backup_settings, backup_shipping, pgbackrest
from .backup_settings import SETTINGS_PATH, BackupSettings
from .errors import RingstandError
from .pgbackrest import CONFIG_PATH, Stanza
from .postgresql_cluster import Cluster
from .releases import write_durably

# https://pgbackrest.org/release.html: the first version that supports each of PostgreSQL's.
FIRST_VERSIONS = {13: (2, 30), 14: (2, 34), 15: (2, 41), 16: (2, 46), 17: (2, 52), 18: (2, 55), 19: (2, 59)}


def check_possible(version: str, installed: Sequence[int]) -> None:
    """Raise :class:`RingstandError` unless the installed pgBackRest knows this major version of PostgreSQL."""
    newest = max(FIRST_VERSIONS)
    needed = FIRST_VERSIONS.get(int(version)) or (FIRST_VERSIONS[newest] if int(version) > newest else (0,))
    if tuple(installed) < needed:
        found, wanted = (".".join(str(number) for number in numbers) for numbers in (installed, needed))
        raise RingstandError(
            f"Failed to upgrade to PostgreSQL {version}: pgBackRest {found} on this host does not know it, so that "
            f"there would be no backups any more. It takes {wanted} or newer, as PGDG's archive has it: set "
            "postgresql_source to pgdg, run site.yml, then apt-get install pgbackrest"
        )


def check(version: str) -> None:
    """The same of this host, where pgBackRest is set up."""
    if os.path.exists(CONFIG_PATH):
        check_possible(version, pgbackrest.version())


def follow(before: str, cluster: Cluster) -> None:
    """Let pgBackRest know the cluster, whose data directory was ``before``.

    Raises :class:`RingstandError` once both places have been tried: one that is away keeps the other from nothing.
    """
    if not os.path.exists(CONFIG_PATH):
        return
    for path in [CONFIG_PATH, *glob.glob("/etc/pgbackrest/conf.d/*.conf"), backup_offsite.CONFIG_PATH]:
        _point(path, before, cluster.data_dir)
    _follow_version(cluster.version)
    reasons = []
    try:
        stanza = Stanza(cluster.name, "")
        pgbackrest.upgrade(stanza)
        pgbackrest.check(stanza)
    except RingstandError as error:
        reasons.append(error.message)
    settings = backup_settings.load() if os.path.exists(SETTINGS_PATH) else None
    if settings and settings.offsite and settings.cluster == cluster.name:
        reasons += _follow_elsewhere(settings)
    if reasons:
        raise RingstandError(". ".join(reasons))


def _follow_elsewhere(settings: BackupSettings) -> list[str]:
    stanza = settings.at_offsite().stanza
    try:
        if pgbackrest.information(stanza).exists:
            pgbackrest.upgrade(stanza)
            backup_shipping.begin_anew()
    except RingstandError as error:
        return [f"{error.message}. The next backup tries it again"]
    return []


def _point(path: str, before: str, after: str) -> None:
    """The one with the key in it stays readable by those who could read it, and by nobody else meanwhile."""
    try:
        with open(path, encoding="utf-8") as stream:
            text = stream.read()
    except FileNotFoundError:
        return
    changed = text.replace(f"pg1-path={before}\n", f"pg1-path={after}\n")
    if changed != text:
        status = os.stat(path)
        write_durably(f"{path}.ringstand", changed, 0o600)
        os.chown(f"{path}.ringstand", status.st_uid, status.st_gid)
        os.chmod(f"{path}.ringstand", status.st_mode & 0o777)
        os.rename(f"{path}.ringstand", path)


def _follow_version(version: str) -> None:
    """The backups name a version only when the inventory does."""
    if not os.path.exists(SETTINGS_PATH):
        return
    with open(SETTINGS_PATH, encoding="utf-8") as stream:
        settings = json.load(stream)
    if settings.get("version") and settings["version"] != version:
        write_durably(SETTINGS_PATH, json.dumps({**settings, "version": version}, indent=1))

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the backup of a host stands on: key, repository, pgBackRest's configuration and the cluster's archiving.

All of it is looked at in one go. What somebody else set up for pgBackRest or for archiving is refused, never replaced.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from . import (
    backup_archiving,
    backup_offsite,
    backup_offsite_host,
    backup_offsite_look,
    file_transaction,
    files,
    foreign_archiving,
    pgbackrest,
)
from .backup_offsite import ONLY_HERE
from .backup_settings import KEY_PATH
from .commands import run
from .errors import RingstandError
from .files import Change, Entry
from .foreign_archiving import HEADER
from .pgbackrest import CONFIG_PATH, KEY_CONFIG_PATH, OWNER, Stanza
from .postgresql_cluster import SOCKET_DIR, Cluster, Host
from .systemd import systemctl

# What holds the key as well, so that a lost file of it can be made again.
KEY_COPIES = (KEY_CONFIG_PATH, backup_offsite.CONFIG_PATH)
# More than that and the disk is what is waited for.
MOST_PROCESSES = 8
# Small files of a cluster go into bundles, without which a repository has a thousand files per backup.
BUNDLE_VERSION = (2, 39)


@dataclass(frozen=True)
class Wanted:
    """What the role asks for. ``settings`` are those of the cluster that archiving needs.

    An empty ``cluster`` means that there is none to back up. ``repository`` is the second place as the user wrote it,
    and ``offsite`` what :func:`backup_offsite.describe` makes of it; both are empty without one. With ``recover`` only
    that place is made reachable, of whose backups this host is to be made again.
    """

    directory: str
    cluster: str
    version: str
    full_count: int
    settings: Mapping[str, Any]
    restart: bool
    repository: Mapping[str, Any] = field(default_factory=dict)
    offsite: Mapping[str, Any] = field(default_factory=dict)
    recover: bool = False


def fingerprint(key: str) -> str:
    """What may be shown of a key."""
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


def read_key(path: str = KEY_PATH) -> str:
    """The host's key, or an empty text."""
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read().strip()
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise RingstandError(f"Failed to read the backup key {path}: {error}") from error


def find_key() -> str:
    """The host's key or, when its file is lost, the one that pgBackRest's configurations hold as well; else empty.

    Raises :class:`RingstandError` when these hold different ones.
    """
    own = read_key()
    if own:
        return own
    copies = {path: found for path in KEY_COPIES for found in [_copied_key(path)] if found}
    if len(set(copies.values())) > 1:
        raise RingstandError(
            f"Failed to find the backup key: {KEY_PATH} is gone, and {' and '.join(copies)} hold different ones. "
            f"Nothing was changed. Put the right one into {KEY_PATH}"
        )
    return next(iter(copies.values()), "")


def _copied_key(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as stream:
            found = re.search(r"^repo1-cipher-pass=(\S+)$", stream.read(), re.MULTILINE)
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise RingstandError(f"Failed to read the backup key from {path}: {error}") from error
    return found[1] if found else ""


def made(wanted: Wanted) -> list[str]:
    """The repositories on this host that hold something."""
    signs = (f"pgbackrest/backup/{wanted.cluster}/backup.info", "restic/config")
    paths = [os.path.join(wanted.directory, name) for name in signs]
    return [os.path.dirname(path) for path in paths if os.path.exists(path)]


def refuse_new_key(wanted: Wanted) -> None:
    """Raise :class:`RingstandError` where a new key would only hide that the one of existing backups is lost."""
    places = [str(wanted.offsite.get("where") or "the second place")] if wanted.recover else made(wanted)
    if places:
        raise RingstandError(
            f"Failed to find the backup key: {KEY_PATH} is not there, no key was given, and the backups in "
            f"{' and '.join(places)} can be read with the key that they were made with only. Nothing was changed. Put "
            "it into the escrow file on this controller (backup-keys/<host>.key.txt beside the inventory), or set "
            "backup_key" + ("" if wanted.recover else ". To begin anew without these backups, move them away")
        )


def choose_key(given: str, found: str) -> str:
    """The key to use: the host's, which the given one has to equal, else the given one.

    Raises :class:`RingstandError` for two that differ: a repository takes one key only, and never another.
    """
    if given and found and given != found:
        raise RingstandError(
            f"Failed to accept the backup key: this host has another one. Its key is {fingerprint(found)}, the given "
            f"one is {fingerprint(given)}. The backups that are there need the host's key: take that one over on the "
            f"controller. To begin anew without them, move {KEY_PATH} and the backup directory away"
        )
    return found or given


def config_text(wanted: Wanted, stanza: Stanza, data_dir: str, port: int, version: tuple[int, ...]) -> str:
    """The text of pgBackRest's configuration, without the key."""
    processes = min(os.cpu_count() or 1, MOST_PROCESSES)
    lines = [
        f"{HEADER}.",
        "[global]",
        f"repo1-path={stanza.repository}",
        "repo1-cipher-type=aes-256-cbc",
        f"repo1-retention-full={wanted.full_count}",
        "repo1-retention-full-type=count",
        *(["repo1-bundle=y"] if version >= BUNDLE_VERSION else []),
        "compress-type=zst",
        "# Three times as fast as the default, and hardly larger (bin/soak speed): quicker than pg_basebackup.",
        "compress-level=1",
        "# Backups are removed by ringstand, and only once a newer one has been read back.",
        "expire-auto=n",
        "start-fast=y",
        "# What goes wrong is in the journal, and in the server's log when it archives.",
        "log-level-file=off",
        "",
        "[global:restore]",
        "# The machine has nothing else to do then.",
        f"process-max={processes}",
        "",
        "[global:backup]",
        "# It runs at the lowest priority: whoever else wants a processor gets it.",
        f"process-max={processes}",
        "# By content, not by time and size: a page that the disk has damaged is then read and found every night.",
        "delta=y",
        "",
        *cluster_lines(stanza.name, data_dir, port),
        "",
    ]
    return "\n".join(lines)


def cluster_lines(name: str, data_dir: str, port: int) -> list[str]:
    """The section of a configuration that tells where the cluster is."""
    return [f"[{name}]", f"pg1-path={data_dir}", f"pg1-port={port}", f"pg1-socket-path={SOCKET_DIR}"]


def entries(wanted: Wanted, key: str, config: str) -> list[Entry]:
    """The directories and files, as :mod:`files` takes them; without a key or configuration those are left out."""
    raw: list[dict[str, Any]] = [
        {"path": "/etc/ringstand", "state": "directory"},
        {"path": "/etc/ringstand/backup", "state": "directory", "mode": "0700"},
    ]
    if key:
        raw.append({"path": KEY_PATH, "secret_content": f"{key}\n", "mode": "0600"})
    if wanted.recover:
        return [files.parse_entry(item) for item in raw]
    raw += [
        {"path": wanted.directory, "state": "directory"},
        *({"path": f"{wanted.directory}/{name}", "state": "directory", "mode": "0700"}
          for name in ("dumps", "globals", "restic")),
    ]
    if wanted.cluster:
        raw += [
            {"path": "/etc/pgbackrest", "state": "directory", "force": False},
            {"path": "/etc/pgbackrest/conf.d", "state": "directory", "force": False},
            {"path": f"{wanted.directory}/pgbackrest", "state": "directory", "owner": OWNER, "group": OWNER,
             "mode": "0750"},
        ]
    if key and wanted.cluster:
        text = f"{HEADER}.\n[global]\nrepo1-cipher-pass={key}\n"
        raw.append({"path": KEY_CONFIG_PATH, "secret_content": text, "group": OWNER, "mode": "0640"})
    if config:
        raw.append({"path": CONFIG_PATH, "content": config})
    return [files.parse_entry(item) for item in raw]


def ensure(wanted: Wanted, given: str, check: bool) -> tuple[dict[str, Any], list[Change]]:
    """Bring the host to what is wanted, or with ``check`` tell what would change; returns the state and the changes.

    ``key`` in the state is missing, kept (the host's, which was not given) or known. A missing one changes nothing.
    """
    if wanted.cluster:
        foreign_archiving.refuse_config()
    # Whoever has moved key and backups away wants to begin anew.
    key = choose_key(given, find_key() if made(wanted) or not given else read_key())
    if not key:
        refuse_new_key(wanted)
    cluster = find(wanted, check) if wanted.cluster else None
    state: dict[str, Any] = {
        "key": "missing" if not key else "known" if given else "kept",
        "fingerprint": fingerprint(key) if key else "",
        "backups": 0,
        "changes": [],
        "warnings": [],
    }
    stanza = Stanza(wanted.cluster, f"{wanted.directory}/pgbackrest")
    installed: tuple[int, ...] = BUNDLE_VERSION
    if cluster and (not check or os.path.exists("/usr/bin/pgbackrest")):
        installed = pgbackrest.version()
        backup_offsite_host.check_possible(wanted.repository, installed, check)
    backup_offsite_host.check_mounted(wanted.repository, wanted.offsite)
    if not key and not check:
        return state, []
    is_new = backup_offsite_look.look(wanted.repository, wanted.offsite, key, wanted.recover, check)
    config, lines = "", [] if cluster is None else cluster_lines(wanted.cluster, cluster.data_dir, cluster.port)
    if cluster:
        config = config_text(wanted, stanza, cluster.data_dir, cluster.port, installed)
    items = entries(wanted, key, config)
    elsewhere = backup_offsite_host.entries(wanted.repository, wanted.offsite, key, lines)
    items += [files.parse_entry(item) for item in elsewhere]
    if not check:
        backup_offsite_host.leave(elsewhere)
    changes = files.plan(items, check=True) if check else file_transaction.apply(items, [])
    state["changes"] = [change.entry.path for change in changes]
    if not check:
        backup_offsite_host.arrive(elsewhere, state["changes"])
    if wanted.recover:
        state["backups"] = backup_offsite_host.require_backups(wanted.offsite, wanted.cluster)
        return state, changes
    if cluster and cluster.running:
        _ensure_cluster(wanted, cluster, stanza, state, check)
    elif wanted.cluster and not check:
        raise RingstandError(f"Failed to set up the backup of the cluster {cluster}: it is not running")
    elif wanted.cluster:
        state["changes"].append(f"stanza {stanza.name}")
    if wanted.offsite:
        data_dir = cluster.data_dir if cluster else "/srv"
        backup_offsite_host.ensure(wanted.offsite, wanted.cluster, data_dir, state, check, is_new)
    else:
        state["warnings"].append(ONLY_HERE)
    return state, changes


def find(wanted: Wanted, check: bool) -> Cluster | None:
    """The cluster; None only with ``check``, on a host that has none yet."""
    host = Host.read(wanted.cluster)
    version = host.choose(wanted.version, wanted.cluster)
    cluster = host.cluster(version, wanted.cluster)
    if cluster is None and not check:
        raise RingstandError(
            f"Failed to set up backups: this host has no PostgreSQL cluster {wanted.cluster!r}. Create it first, for "
            "example with the role postgresql, name another one in backup_cluster, or set that to '' to back up files "
            "only"
        )
    return cluster


def _ensure_cluster(wanted: Wanted, cluster: Cluster, stanza: Stanza, state: dict[str, Any], check: bool) -> None:
    """The stanza first: a server that archives before it is there would fail to."""
    try:
        information = pgbackrest.information(stanza)
    except RingstandError:
        if not check:  # there, nothing of it is installed yet
            raise
        information = pgbackrest.Information(False)
    state["backups"] = len(information.good)
    if check and not cluster.running:
        state["warnings"].append(f"The cluster {cluster} does not run: what archiving needs cannot be foreseen")
        return
    created = not information.exists
    if created:
        state["changes"].append(f"stanza {stanza.name}")
        if not check:
            pgbackrest.create(stanza)
    differs, pending = backup_archiving.differing(cluster, wanted.settings)
    waiting = [name for name in differs if name in pending]
    changing = differs if wanted.restart else [name for name in differs if name not in pending]
    if changing:
        foreign_archiving.refuse(cluster, wanted.settings)
        state["changes"] += [f"setting {name}" for name in changing]
        if not check:
            waiting = _load_settings(wanted, cluster)
    if waiting and not (check and wanted.restart):
        state["warnings"].append(
            f"The cluster {cluster} takes {', '.join(sorted(waiting))} only after a restart, and archives no WAL until "
            f"then: set backup_restart_enabled to true for one run, or run systemctl restart {cluster.unit}"
        )
    elif (created or changing) and not check:
        pgbackrest.check(stanza)


def _load_settings(wanted: Wanted, cluster: Cluster) -> list[str]:
    """Write the drop-in file and let the server load it; returns the settings that wait for a restart."""
    path = os.path.join(cluster.config_dir, backup_archiving.DROP_IN)
    server = f"/usr/lib/postgresql/{cluster.version}/bin/postgres"
    validate = f"runuser -u {OWNER} -- {server} -C config_file -c config_file={cluster.config_dir}/postgresql.conf"
    text = backup_archiving.drop_in(wanted.settings)
    file_transaction.apply([Entry(path, content=text.encode(), mode=0o644)], [validate])
    cluster.query("SELECT to_json(pg_reload_conf())")
    differs, pending = _settled(cluster, wanted.settings)
    if pending and wanted.restart:
        systemctl("restart", cluster.unit)
        differs, pending = _settled(cluster, wanted.settings)
    if set(differs) - set(pending):
        raise RingstandError(
            f"Failed to set {', '.join(differs)} of the cluster {cluster}: another file has the last word. Look for "
            f"them in {cluster.config_dir} and in postgresql.auto.conf"
        )
    return [name for name in differs if name in pending]


def _settled(cluster: Cluster, wanted: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """As :func:`backup_archiving.differing`, given the server the second that a reload may take."""
    for _attempt in range(20):
        differs, pending = backup_archiving.differing(cluster, wanted)
        if not set(differs) - set(pending):
            break
        run(["sleep", "0.1"])
    return differs, pending

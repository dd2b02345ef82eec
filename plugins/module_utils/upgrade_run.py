# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Upgrade a cluster to another major version, or take the old one back. Debian's own tools do the work.

The old cluster is copied, not linked, and kept stopped under another name, so that the way back is to start it again.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from . import maintenance_apps, pgbackrest, postgresql_programs, restore_replay
from .backup_settings import SETTINGS_PATH
from .commands import Result, redact, run
from .errors import RingstandError
from .host_program import PROGRAM
from .pgbackrest import CONFIG_PATH, Stanza
from .postgresql_cluster import Cluster, Host, identifier
from .postgresql_programs import execute
from .releases import write_durably
from .restore_run import server_log, stop
from .systemd import systemctl
from .upgrade_plan import UpgradePlan, kept_name

Say = Callable[[str], None]
_DAY_SECONDS = 86_400.0
CONFIG_ROOT = "/etc/postgresql"
_UPDATES_SQL = """
SELECT coalesce(json_agg(name ORDER BY name), '[]') FROM pg_available_extensions
WHERE installed_version IS NOT NULL AND installed_version <> default_version
"""


def perform(plan: UpgradePlan, backup: bool, say: Say) -> dict[str, Any]:
    """Upgrade, and return the result; raises :class:`RingstandError`, and then the old cluster runs as before."""
    old = plan.cluster
    if backup:
        say("backing up, and reading the backup back")
        _must("back up before the upgrade, so nothing was changed", PROGRAM, "backup")
    with maintenance_apps.of_databases(f"upgrade of PostgreSQL to {plan.version}", say):
        began = time.monotonic()
        say(f"stopping {old} and copying it to {plan.upgraded} with pg_upgrade")
        try:
            _copy(plan)
            _must("rename the old cluster", "pg_renamecluster", old.version, old.name, plan.kept_name)
            upgraded = _find(plan.version, old.name)
            _take_settings(old, plan.kept_name, upgraded)
            _start(upgraded)
        except (RingstandError, OSError) as error:
            raise _put_back(plan, error, say) from error
        say("updating extensions and statistics")
        problems = _after(upgraded, say)
        seconds = round(time.monotonic() - began, 1)
    _archive_as(old.data_dir, upgraded, problems)
    if backup:
        say("taking a new full backup")
        with _noted(problems):
            _must("take a new full backup", PROGRAM, "backup", "--full")
    return {
        "upgraded": str(upgraded),
        "kept": f"{old.version}/{plan.kept_name}",
        "downtime_seconds": seconds,
        "problems": problems,
    }


def roll_back(name: str, say: Say) -> dict[str, Any]:
    """Start the old cluster again in the place of the upgraded one, which is kept stopped.

    What was written since the upgrade is in the upgraded cluster only. Raises :class:`RingstandError`.
    """
    host = Host.read(name)
    current = next((cluster for cluster in host.clusters if cluster.name == name), None)
    kept = kept_name(name, current.version) if current else ""
    old = next((cluster for cluster in host.clusters if cluster.name == kept), None)
    if current is None or old is None:
        raise RingstandError("Failed to roll back: this host has no cluster that was kept by an upgrade")
    aside = f"{name}_rolled_back"
    if host.cluster(current.version, aside):
        raise RingstandError(
            f"Failed to roll back: {current.version}/{aside} is there from an earlier one. When nobody needs it: "
            f"pg_dropcluster {current.version} {aside}"
        )
    problems: list[str] = []
    with maintenance_apps.of_databases(f"PostgreSQL back to {old.version}", say):
        began = time.monotonic()
        say(f"stopping {current}, starting {old.version}/{name}")
        stop(current)
        _must("rename the upgraded cluster", "pg_renamecluster", current.version, name, aside)
        _configure(replace(current, name=aside), old.port, "manual")
        _must("rename the old cluster", "pg_renamecluster", old.version, old.name, name)
        _configure(replace(old, name=name), current.port, "auto")
        back = _find(old.version, name)
        _start(back)
        seconds = round(time.monotonic() - began, 1)
    _archive_as(current.data_dir, back, problems)
    return {
        "upgraded": str(back),
        "kept": f"{current.version}/{aside}",
        "downtime_seconds": seconds,
        "problems": problems,
    }


def _must(what: str, *command: str) -> Result:
    done = run(command, timeout_seconds=_DAY_SECONDS)
    if done.rc != 0:
        said = [line for line in redact(f"{done.stderr}\n{done.stdout}").splitlines() if line.strip()]
        raise RingstandError(f"Failed to {what}: {' / '.join(said[-4:])}", rc=done.rc, output="\n".join(said[-30:]))
    return done


def _copy(plan: UpgradePlan) -> None:
    _must(
        f"upgrade {plan.cluster}",
        *("pg_upgradecluster", "-v", plan.version, "-m", "upgrade", "--no-start"),
        *(f"--jobs={len(os.sched_getaffinity(0))}", plan.cluster.version),
        plan.cluster.name,
    )


def _take_settings(old: Cluster, kept: str, new: Cluster) -> None:
    """The files that pg_upgradecluster leaves behind: drop-in files, certificates and what else is beside them."""
    source, wanted = f"{CONFIG_ROOT}/{old.version}/{kept}", f"{CONFIG_ROOT}/{new.version}/{new.name}"
    for directory, _names, files in os.walk(source):
        there = os.path.normpath(os.path.join(wanted, os.path.relpath(directory, source)))
        os.makedirs(there, exist_ok=True)
        for name in files:
            path, target = os.path.join(directory, name), os.path.join(there, name)
            if os.path.lexists(target):
                continue
            if os.path.islink(path) or not name.endswith(".conf"):
                shutil.copy2(path, target, follow_symlinks=False)
            else:
                with open(path, encoding="utf-8", errors="surrogateescape") as stream:
                    text = stream.read().replace(f"{old.config_dir}/", f"{new.config_dir}/")
                with open(target, "w", encoding="utf-8", errors="surrogateescape") as stream:
                    stream.write(text)
                shutil.copymode(path, target)
            status = os.lstat(path)
            os.chown(target, status.st_uid, status.st_gid, follow_symlinks=False)


def _find(version: str, name: str) -> Cluster:
    found = Host.read(name).cluster(version, name)
    if found is None:
        raise RingstandError(f"Failed to find the cluster {version}/{name}, which should be there by now")
    return replace(found, owner="postgres")


def _start(cluster: Cluster) -> None:
    systemctl("daemon-reload")
    systemctl("reset-failed", cluster.unit, check=False)
    systemctl("start", cluster.unit, timeout_seconds=600)
    restore_replay.wait_until_ready(cluster)


def _configure(cluster: Cluster, port: int, start: str) -> None:
    _must("set the port", "pg_conftool", cluster.version, cluster.name, "set", "port", str(port))
    path = f"{cluster.config_dir}/start.conf"
    write_durably(path, f"# See pg_createcluster(8): auto, manual or disabled.\n{start}\n")
    shutil.chown(path, "postgres", "postgres")


def _put_back(plan: UpgradePlan, error: Exception, say: Say) -> RingstandError:
    """The cluster as it was, and running; the copy is removed, because nobody has written to it."""
    say("putting the old cluster back")
    old, details = plan.cluster, error.details if isinstance(error, RingstandError) else {}
    try:
        host = Host.read(old.name)
        copy, kept = host.cluster(plan.version, old.name), host.cluster(old.version, plan.kept_name)
        if copy:
            details = {"output": server_log(copy), **details}
            _must("remove the copy", "pg_dropcluster", "--stop", plan.version, old.name)
            shutil.rmtree(copy.config_dir, ignore_errors=True)  # of which it leaves what it does not know
        if kept:
            _must("rename the old cluster back", "pg_renamecluster", old.version, plan.kept_name, old.name)
        _configure(old, old.port, "auto")
        _start(old)
    except (RingstandError, OSError) as second:
        return RingstandError(
            f"{error}. Putting the old cluster back failed as well: {second}. Its data is untouched in {old.data_dir}, "
            f"or beside it as {plan.kept_name}: see pg_lsclusters, pg_renamecluster(8) and pg_ctlcluster(1)",
            **details,
        )
    return RingstandError(f"{error}. The cluster {old} runs as before", **details)


def _after(cluster: Cluster, say: Say) -> list[str]:
    """What makes the new server as good as the old one; what fails of it is a problem and no reason to go back."""
    problems: list[str] = []
    for database in cluster.databases():
        for name in cluster.query(_UPDATES_SQL, database):
            with _noted(problems):
                say(f"updating the extension {name} in {database}")
                execute(cluster, f"ALTER EXTENSION {identifier(name)} UPDATE", database)
    with _noted(problems):
        jobs = f"--jobs={len(os.sched_getaffinity(0))}"
        postgresql_programs.run(
            cluster, "collect statistics", "vacuumdb", "--all", "--analyze-in-stages", "--quiet", "-w", jobs
        )
    return problems


def _archive_as(before: str, cluster: Cluster, problems: list[str]) -> None:
    """Let pgBackRest know the other data directory and its version, where it is set up."""
    if not os.path.exists(CONFIG_PATH):
        return
    with _noted(problems):
        for path in [CONFIG_PATH, *glob.glob("/etc/pgbackrest/conf.d/*.conf")]:
            with open(path, encoding="utf-8") as stream:
                text = stream.read()
            changed = text.replace(f"pg1-path={before}\n", f"pg1-path={cluster.data_dir}\n")
            if changed != text:
                write_durably(path, changed, os.stat(path).st_mode & 0o777)
        _follow_version(cluster.version)
        stanza = Stanza(cluster.name, "")
        pgbackrest.upgrade(stanza)
        pgbackrest.check(stanza)


def _follow_version(version: str) -> None:
    """The backups name a version only when the inventory does."""
    with open(SETTINGS_PATH, encoding="utf-8") as stream:
        settings = json.load(stream)
    if settings.get("version") and settings["version"] != version:
        write_durably(SETTINGS_PATH, json.dumps({**settings, "version": version}, indent=1))


@contextlib.contextmanager
def _noted(problems: list[str]) -> Iterator[None]:
    try:
        yield
    except (RingstandError, OSError) as error:
        problems.append(str(error))

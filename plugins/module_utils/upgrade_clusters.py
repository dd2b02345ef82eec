# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The steps of an upgrade on Debian's clusters, each of which can be taken again when it was cut half-way."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
from dataclasses import replace

from . import restore_replay, restore_run
from .commands import Result, redact, run
from .errors import RingstandError
from .pgbackrest import AS_OWNER
from .postgresql_cluster import Cluster, Host
from .releases import write_durably
from .systemd import systemctl

CONFIG_ROOT = "/etc/postgresql"
_DAY_SECONDS = 86_400.0
_END_SECONDS = 60
_STOP_SECONDS = 900
# pg_ctl's for a server that does not run.
_NOT_RUNNING = 3


def must(what: str, *command: str) -> Result:
    """Run a command that may not fail; raises :class:`RingstandError` with what it said."""
    return _judged(what, run(command, timeout_seconds=_DAY_SECONDS))


def must_to_the_last(what: str, *command: str) -> Result:
    """The same with a command that starts others: when this process is told to stop, all of them end before it does."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                                   env={**os.environ, "LC_ALL": "C.UTF-8"}, start_new_session=True)
        try:
            process.wait(_DAY_SECONDS)
        except BaseException:
            _end(process)
            raise
        output.seek(0)
        return _judged(what, Result(process.returncode, output.read().decode(errors="replace"), ""))


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END_SECONDS)


def _judged(what: str, done: Result) -> Result:
    if done.rc != 0:
        said = [line for line in redact(f"{done.stderr}\n{done.stdout}").splitlines() if line.strip()]
        raise RingstandError(f"Failed to {what}: {' / '.join(said[-4:])}", rc=done.rc, output="\n".join(said[-30:]))
    return done


def find(version: str, name: str) -> Cluster:
    """The cluster; raises :class:`RingstandError` when it is not there."""
    found = Host.read(name).cluster(version, name)
    if found is None:
        raise RingstandError(f"Failed to find the cluster {version}/{name}, which should be there by now")
    return replace(found, owner="postgres")


def start(cluster: Cluster) -> None:
    """Start it and wait until it answers."""
    systemctl("daemon-reload")
    systemctl("reset-failed", cluster.unit, check=False)
    systemctl("start", cluster.unit, timeout_seconds=600)
    restore_replay.wait_until_ready(cluster)


def stop(cluster: Cluster) -> None:
    """Stop it, also when pg_upgrade has started it, which systemd knows nothing of."""
    if os.path.exists(f"{cluster.data_dir}/postmaster.pid"):
        systemctl("stop", cluster.unit, timeout_seconds=_STOP_SECONDS)
    if os.path.exists(f"{cluster.data_dir}/postmaster.pid"):
        control = [*AS_OWNER, f"/usr/lib/postgresql/{cluster.version}/bin/pg_ctl", "-D", cluster.data_dir]
        said = run([*control, "stop", "-m", "fast", "-w", "-t", str(_STOP_SECONDS)], timeout_seconds=_STOP_SECONDS + 60)
        if run([*control, "status"]).rc != _NOT_RUNNING:
            raise RingstandError(f"Failed to stop the cluster {cluster}: {redact(said.stderr or said.stdout).strip()}")
    restore_run.stop(cluster)


def starting(cluster: Cluster, how: str) -> None:
    """Let it start at boot or not: ``how`` is auto or manual."""
    path = f"{CONFIG_ROOT}/{cluster.version}/{cluster.name}/start.conf"
    write_durably(path, f"# See pg_createcluster(8): auto, manual or disabled.\n{how}\n")
    shutil.chown(path, "postgres", "postgres")
    systemctl("daemon-reload")


def configure(cluster: Cluster, port: int, how: str) -> None:
    """Give it a port, and let it start at boot or not."""
    must("set the port", "pg_conftool", cluster.version, cluster.name, "set", "port", str(port))
    starting(cluster, how)


def rename(version: str, before: str, after: str) -> None:
    """Rename a cluster that is stopped, or bring to its end what a pg_renamecluster has begun that was killed.

    That moves the configuration first and the data then, and writes down last where the data is.
    """
    if os.path.exists(f"{CONFIG_ROOT}/{version}/{before}/postgresql.conf"):
        must(f"rename the cluster {version}/{before}", "pg_renamecluster", version, before, after)
        return
    path = f"{CONFIG_ROOT}/{version}/{after}/postgresql.conf"
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            text = stream.read()
    except FileNotFoundError as error:
        raise RingstandError(f"Failed to find the cluster {version}/{before}, which should be there by now") from error
    renamed = re.sub(rf"\b{version}([-/]){re.escape(before)}\b", rf"{version}\g<1>{after}", text)
    if renamed == text:
        return
    there, wanted = _data_dir(text), _data_dir(renamed)
    if os.path.isdir(there) and not os.path.exists(wanted):
        os.rename(there, wanted)
    _rewrite(path, renamed)


def _data_dir(text: str) -> str:
    found = re.search(r"^\s*data_directory\s*=\s*'([^']*)'", text, re.MULTILINE)
    return found[1] if found else ""


def _rewrite(path: str, text: str) -> None:
    status = os.stat(path)
    write_durably(path, text, status.st_mode & 0o777)
    os.chown(path, status.st_uid, status.st_gid)


def forget(version: str, name: str) -> None:
    """Remove what pg_dropcluster has left of a cluster that an upgrade had given this name: what it does not know."""
    path = f"{CONFIG_ROOT}/{version}/{name}"
    if os.path.isdir(path) and not os.path.exists(f"{path}/postgresql.conf"):
        shutil.rmtree(path)


def remove_copy(version: str, name: str) -> None:
    """Remove a cluster that nobody has written to, however much there is of it."""
    if os.path.exists(f"{CONFIG_ROOT}/{version}/{name}/postgresql.conf"):
        run(["pg_dropcluster", "--stop", version, name], timeout_seconds=_DAY_SECONDS)  # which may know only a part
    for path in (f"{CONFIG_ROOT}/{version}/{name}", f"/var/lib/postgresql/{version}/{name}"):
        if os.path.isdir(path):
            shutil.rmtree(path)


def take_settings(old: Cluster, kept: str, new: Cluster) -> None:
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

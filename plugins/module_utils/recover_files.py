# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A lost host's files on a fresh one, each in its own place again, with owners that exist here.

What the roles write is left to them. What cannot be made anew comes back: the apps' secrets and uploads, certificates
with their account, what Redis kept, and whatever else was backed up of the host.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
from collections.abc import Sequence

from . import backup_redis, restic
from .backup_offsite_run import DUMPS
from .commands import run
from .errors import RingstandError
from .layout import SECRETS_DIR, Layout, user_comment
from .restic import Repository, Snapshot
from .restore_files import choose

HOST = "host"
# The roles write them, for the apps that there will be.
_WRITTEN_ANEW = ("/etc/ringstand", "/var/lib/ringstand", "/etc/nginx/ringstand")


def restore(
    repository: Repository, snapshots: Sequence[Snapshot], target: float | None, redis_dir: str
) -> tuple[dict[str, str], list[str]]:
    """Put everything in its place; returns the time of each set's snapshot, and what has to be done by hand.

    Doing it once more does it again: nothing of it is in use yet.
    """
    taken, left = {}, []
    for name in sorted({snapshot.name for snapshot in snapshots} - {DUMPS}):
        snapshot = choose(snapshots, name, target)
        if name == backup_redis.SET:
            left += _redis(repository, snapshot, redis_dir)
        elif name == HOST:
            restic.restore(repository, snapshot.id, "/", exclude=_WRITTEN_ANEW)
            restic.restore(repository, snapshot.id, "/", include=[SECRETS_DIR])
        else:
            restic.restore(repository, snapshot.id, "/")
            if snapshot.paths == [Layout(name).shared_dir]:
                _adopt(name, Layout(name).shared_dir)
        taken[name] = snapshot.time[:19] + "Z"
    return taken, left


def _adopt(app: str, directory: str) -> None:
    """Give an app its uploads: its user gets the number that it had, or they get the number that it has here."""
    if not os.path.isdir(directory):
        return
    number = os.stat(directory).st_uid
    if not number:
        return
    try:
        user = pwd.getpwnam(app)
    except KeyError:
        user = _add_user(app, number)
    if user.pw_uid != number:
        _must("chown", "-Rh", f"--from={number}", f"{user.pw_uid}", directory)
        _must("chown", "-Rh", f"--from=:{number}", f":{user.pw_gid}", directory)


def _add_user(app: str, number: int) -> pwd.struct_passwd:
    """As the role gunicorn makes it, which then takes it for its own."""
    taken = any(user.pw_uid == number for user in pwd.getpwall())
    _must(
        "useradd", "--system", "--user-group", *([] if taken else [f"--uid={number}"]), "--no-create-home",
        f"--comment={user_comment(app)}", f"--home-dir={Layout(app).shared_dir}", "--shell=/usr/sbin/nologin",
        "--password=!", app,
    )
    return pwd.getpwnam(app)


def _must(*command: str) -> None:
    done = run(command, timeout_seconds=restic.DAY_SECONDS)
    if done.rc != 0:
        raise RingstandError(f"Failed to restore files: {command[0]} said: {done.stderr.strip()}", rc=done.rc)


def _redis(repository: Repository, snapshot: Snapshot, directory: str) -> list[str]:
    """What Redis kept, before its instances start for the first time; returns what could not be put in place."""
    try:
        owner = pwd.getpwnam("redis")
    except KeyError:
        return [f"the files of Redis were left out, because there is none here: restore --files {backup_redis.SET}"]
    staged = os.path.join(directory, backup_redis.FOLDER)
    shutil.rmtree(staged, ignore_errors=True)
    restic.restore(repository, snapshot.id, "/")
    left = []
    for name in sorted(os.listdir(staged)) if os.path.isdir(staged) else []:
        source, target = os.path.join(staged, name), os.path.join(directory, name)
        if not stat.S_ISDIR(os.lstat(source).st_mode) or name == "appendonlydir":
            continue
        if os.path.isdir(target) and os.listdir(target):
            left.append(f"{target} holds data already; that of the backup was left out")
            continue
        _must("chown", "-Rh", f"{owner.pw_uid}:{owner.pw_gid}", source)
        os.chmod(source, 0o750)
        if os.path.isdir(target):
            os.rmdir(target)
        os.rename(source, target)
    shutil.rmtree(staged, ignore_errors=True)
    return left

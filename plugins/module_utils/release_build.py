# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From an archive to a release that could serve: everything of a deploy that touches neither traffic nor database."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

from . import app_hints, builds, disk_reserve, hooks, procfile, release_values, releases, static_files
from .app_unit import run_in_unit
from .build_settings import build_settings
from .errors import RingstandError
from .layout import AppSettings
from .ledger import Progress, utc
from .release_unit import release_unit
from .writable_dirs import link_writable_dirs

_FREE_MB_MIN = 300


@dataclass(frozen=True)
class Source:
    """What to deploy: an archive on this host, and what it is called. ``sha`` is a commit or a hash of the content.

    ``root_directory`` is the folder of the source that the archive has, None when that was not said.
    """

    archive: str
    sha: str
    version: str
    root_directory: str | None = None


def build(settings: AppSettings, source: Source, release: str, progress: Progress) -> None:
    """Build, freeze and import a release; one that fails is removed."""
    layout = settings.layout
    with _removed_on_error(settings, release), disk_reserve.kept(settings):
        with progress.phase("unpack"):
            tree = builds.unpack(settings, source.archive, release)
        said = release_values.check(settings, tree, progress)
        hooks.run(settings, hooks.BEFORE_BUILD, release, progress)
        with progress.phase("dependencies"):
            venv, progress.about["venv_built"] = builds.ensure_venv(settings, tree)
            os.symlink(os.path.relpath(venv, layout.release_dir(release)), f"{layout.release_dir(release)}/venv")
            for notice in app_hints.notices(settings, tree, venv):
                progress.notice(notice)
            link_writable_dirs(settings, tree)
        with progress.phase("release_command"):
            _run_release_commands(settings, release, said)
        hooks.run(settings, hooks.AFTER_BUILD, release, progress)
        static_files.check(settings, tree)
        with progress.phase("freeze"):
            releases.freeze(layout.release_dir(release), settings.name)
            os.sync()
            about = {"id": release, "version": source.version, "sha": source.sha, "created": utc(time.time())}
            built = build_settings(settings, source.root_directory)
            manifest = {**about, "settings": built, "procfile": procfile.as_manifest(said)}
            releases.write_manifest(layout, release, manifest)
        with progress.phase("import test"):
            _import_test(settings, release)


@contextlib.contextmanager
def _removed_on_error(settings: AppSettings, release: str) -> Iterator[None]:
    try:
        yield
    except BaseException:
        releases.discard(settings.layout, release)
        raise


def check_space(settings: AppSettings, archive: str) -> None:
    """Raise :class:`RingstandError` when the disk may not hold another release."""
    layout = settings.layout
    status = os.statvfs(layout.app_dir)
    free_mb = status.f_bavail * status.f_frsize // 2**20
    needed_mb = _FREE_MB_MIN + 4 * os.path.getsize(archive) // 2**20
    if free_mb < needed_mb:
        raise RingstandError(
            f"Failed to deploy {settings.name}: {layout.app_dir} has {free_mb} MB free and a release may need "
            f"{needed_mb} MB. Free some, or lower keep_releases (now {settings.keep_releases})."
        )
    if status.f_files and status.f_favail < 20000:
        raise RingstandError(
            f"Failed to deploy {settings.name}: the file system of {layout.app_dir} has {status.f_favail} inodes left."
        )
    reason = disk_reserve.shortage()
    if reason:
        raise RingstandError(f"Failed to deploy {settings.name}: {reason}. Free some (df -h, df -i) and run it again.")


def _run_release_commands(settings: AppSettings, release: str, said: procfile.Procfile) -> None:
    unit = release_unit(settings, release, "release", source_is_writable=True)
    for command in procfile.release_commands(settings.release_command, said, settings.migrations != "none"):
        done = run_in_unit(["/bin/sh", "-ec", command], app=unit, timeout_seconds=settings.migration_timeout_seconds)
        builds.must_succeed(done, f"run release_command {command!r} of {settings.name}")


def _import_test(settings: AppSettings, release: str) -> None:
    layout = settings.layout
    gunicorn = f"{layout.release_dir(release)}/venv/bin/gunicorn"
    command = [gunicorn, "--check-config", "--config", layout.gunicorn_config]
    unit = release_unit(settings, release, "import")
    done = run_in_unit(command, app=unit, timeout_seconds=settings.start_timeout_seconds)
    hint = app_hints.remedy(
        done.stdout + done.stderr, settings, unit.working_dir, f"{layout.release_dir(release)}/venv"
    )
    target = release_values.wsgi_of(settings, release)
    builds.must_succeed(done, f"import {target!r}", f"{hint} Nothing was migrated or switched.".lstrip())

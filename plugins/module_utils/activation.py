# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The life of a release on its host: build, migrate, start in the idle slot, gate, switch, retire the old one.

Runs as root inside the unit whose name is the lock. Everything before the switch leaves the old release serving;
killed at any step, the next run converges, because each step either repairs or repeats what the last one left.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from . import app_hints, builds, gates, releases, schema_of_release, static_files, switch
from .app_unit import activation_pattern, run_in_unit
from .errors import RingstandError
from .layout import AppSettings
from .ledger import SCHEMA, Progress, append_line, good_releases, utc
from .links import point
from .release_unit import release_unit
from .systemd import journal_tail, systemctl
from .writable_dirs import link_writable_dirs

_FREE_MB_MIN = 300
# What waits in the queue of a release that lost the traffic again is answered once systemd has started it anew.
_RETURN_QUEUE_SECONDS = 10


@dataclass(frozen=True)
class Source:
    """What to deploy: an archive on this host, and what it is called. ``sha`` is a commit or a hash of the content."""

    archive: str
    sha: str
    version: str


def recover(settings: AppSettings) -> None:
    """Put right whatever an activation that was killed, or a reboot, has left."""
    layout = settings.layout
    systemctl("stop", activation_pattern(settings.name), check=False)
    for directory in (layout.releases_dir, layout.venvs_dir, layout.slots_dir, layout.static_dir, layout.state_dir):
        if not os.path.isdir(directory):
            raise RingstandError(f"Failed to prepare {settings.name}: {directory} is missing. Run site.yml.")
    switch.repair(layout)
    releases.remove_incomplete(layout)


def deploy(settings: AppSettings, source: Source, progress: Progress) -> None:
    """Build a release from ``source`` and make it live."""
    layout = settings.layout
    with progress.phase("preflight"):
        recover(settings)
        _check_space(settings, source.archive)
        release = releases.new_id(layout, source.sha, time.time())
        progress.about.update(release=release, version=source.version, sha=source.sha)
    with _build_removed_on_error(settings, release):
        with progress.phase("unpack"):
            tree = builds.unpack(settings, source.archive, release)
        with progress.phase("dependencies"):
            venv, progress.about["venv_built"] = builds.ensure_venv(settings, tree)
            os.symlink(os.path.relpath(venv, layout.release_dir(release)), f"{layout.release_dir(release)}/venv")
            for notice in app_hints.notices(settings, tree, venv):
                progress.notice(notice)
            link_writable_dirs(settings, tree)
        with progress.phase("release_command"):
            _run_release_commands(settings, release)
        with progress.phase("freeze"):
            releases.freeze(layout.release_dir(release), settings.name)
            os.sync()
            releases.write_manifest(
                layout,
                release,
                {"id": release, "version": source.version, "sha": source.sha, "created": utc(time.time())},
            )
        with progress.phase("import test"):
            _import_test(settings, release)
    with progress.phase("migrate"):
        progress.about["migration"] = schema_of_release.upgrade(settings, release, progress)
    with progress.phase("static files"):
        static_files.publish(settings, tree)
    activate(settings, release, progress)
    with progress.phase("prune"):
        releases.prune(layout, settings.keep_releases, [*good_releases(layout), release])
        static_files.prune(settings, time.time())


def switch_to(settings: AppSettings, wanted: str, progress: Progress, force: bool = False) -> None:
    """Make a release that is on disk live: ``previous`` is a rollback, ``live`` a restart without losing a request.

    Another release than the live one must fit the database as it is now, unless ``force``.
    """
    layout = settings.layout
    with progress.phase("preflight"):
        recover(settings)
        release = releases.find_release(layout, wanted, good_releases(layout))
        manifest = releases.read_manifest(layout, release) or {}
        progress.about.update(release=release, version=manifest.get("version"), sha=manifest.get("sha"))
        is_checked = not force and release != switch.live_release(layout)
    # Beside the start of the release, which takes longer.
    with ThreadPoolExecutor(1) as beside:
        fits = beside.submit(schema_of_release.check_fits, settings, release) if is_checked else None
        activate(settings, release, progress, lambda: _tell(progress, fits.result()) if fits else None)


def _tell(progress: Progress, notice: str) -> None:
    if notice:
        progress.notice(notice)


def activate(
    settings: AppSettings, release: str, progress: Progress, last_check: Callable[[], None] = lambda: None
) -> None:
    """Start a release in the idle slot, and move all traffic to it once it has proven healthy.

    ``last_check`` is called before the switch and may raise; until the probation is over the old release can take the
    traffic back.
    """
    layout = settings.layout
    old, new = switch.live_slot(layout), switch.idle_slot(layout)
    with progress.phase("free the idle slot"):
        switch.wait_stopped(layout, new, settings.graceful_timeout_seconds)
        point(layout.slot_link(new), f"../releases/{release}")
    with switch.rejected_on_error(layout, new, time.time()):
        with progress.phase("start"):
            switch.start(layout, new, settings.start_timeout_seconds)
        with progress.phase("gate"):
            gates.gate(settings, release, new)
        with progress.phase("observe"):
            gates.observe_slot(settings, release, new)
        last_check()
    with _traffic_returned_on_error(settings, old, new, time.time()):
        with progress.phase("switch"):
            switch.set_live(layout, new)
        with progress.phase("probe"):
            gates.probe(settings)
        if old:
            with progress.phase("probation"):
                gates.probation(settings, release, new)
    if old:
        with progress.phase("drain"):
            if not switch.drain(layout, old, settings.graceful_timeout_seconds):
                progress.notice(f"Requests still waited for the old release of {settings.name} when it was retired.")


@contextlib.contextmanager
def _traffic_returned_on_error(settings: AppSettings, old: str | None, new: str, began: float) -> Iterator[None]:
    """Give the traffic back to the old slot when the block fails, and let the new one answer what it has accepted."""
    layout = settings.layout
    try:
        yield
    except BaseException as error:
        switch.set_live(layout, old)
        if isinstance(error, RingstandError):
            error.details.setdefault("journal", journal_tail(layout.service_unit(new), began))
        if old is None:
            switch.kill(layout, new)
        else:
            switch.drain(layout, new, _RETURN_QUEUE_SECONDS)
        raise


@contextlib.contextmanager
def _build_removed_on_error(settings: AppSettings, release: str) -> Iterator[None]:
    try:
        yield
    except BaseException:
        shutil.rmtree(settings.layout.release_dir(release), ignore_errors=True)
        raise


def _check_space(settings: AppSettings, archive: str) -> None:
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


def _run_release_commands(settings: AppSettings, release: str) -> None:
    unit = release_unit(settings, release, "release", source_is_writable=True)
    for command in settings.release_command:
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
    builds.must_succeed(done, f"import {settings.wsgi!r}", f"{hint} Nothing was migrated or switched.".lstrip())


def run_recorded(settings: AppSettings, progress: Progress, what: Callable[[], None]) -> dict[str, Any]:
    """Run an activation and write what came of it to the ledger; never raises for a failure, returns it."""
    before = switch.live_release(settings.layout)
    entry: dict[str, Any] = {"schema": SCHEMA, "kind": progress.kind, "by": progress.by, "previous": before}
    try:
        what()
        entry.update(result="ok")
    except RingstandError as error:
        entry.update(result="failed", reason=error.message, details=error.details)
    except Exception as error:  # the ledger must say what happened, whatever it was
        entry.update(result="failed", reason=f"{type(error).__name__}: {error}", details={})
    finally:
        entry.update(
            progress.about,
            started=utc(progress.started),
            seconds=round(time.time() - progress.started, 3),
            phases=progress.phases,
            notices=progress.notices,
            live=switch.live_release(settings.layout),
        )
        append_line(settings.layout.ledger, entry)
        progress.result(entry)
    return entry

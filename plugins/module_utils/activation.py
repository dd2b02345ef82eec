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
from dataclasses import dataclass
from typing import Any

from . import builds, releases, static_files, switch
from .app_unit import AppUnit, activation_pattern, run_in_unit
from .errors import RingstandError
from .health import HealthCheck, observe, wait_healthy
from .layout import AppSettings
from .ledger import SCHEMA, Progress, append_line, good_releases, utc
from .migrations import MigrationRequest, migrate, unit_runner
from .systemd import systemctl

_FREE_MB_MIN = 300


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


def deploy(settings: AppSettings, source: Source, progress: Progress) -> dict[str, Any]:
    """Build a release from ``source`` and make it live."""
    layout = settings.layout
    with progress.phase("preflight"):
        recover(settings)
        _check_space(settings, source.archive)
        release = releases.new_id(layout, source.sha, time.time())
    with _build_removed_on_error(settings, release):
        with progress.phase("unpack"):
            tree = builds.unpack(settings, source.archive, release)
        with progress.phase("dependencies"):
            venv, built = builds.ensure_venv(settings, tree)
            os.symlink(os.path.relpath(venv, layout.release_dir(release)), f"{layout.release_dir(release)}/venv")
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
        schema = _migrate(settings, release)
    with progress.phase("static files"):
        static_files.publish(settings, tree)
    activate(settings, release, progress)
    with progress.phase("prune"):
        releases.prune(layout, settings.keep_releases, [*good_releases(layout), release])
        static_files.prune(settings, time.time())
    return {"release": release, "version": source.version, "sha": source.sha, "venv_built": built, "schema": schema}


def switch_to(settings: AppSettings, wanted: str, progress: Progress) -> dict[str, Any]:
    """Make a release that is on disk live: ``previous`` is a rollback, ``live`` a restart without losing a request."""
    layout = settings.layout
    with progress.phase("preflight"):
        recover(settings)
        release = releases.find_release(layout, wanted, good_releases(layout))
        manifest = releases.read_manifest(layout, release) or {}
    activate(settings, release, progress)
    return {"release": release, "version": manifest.get("version"), "sha": manifest.get("sha")}


def activate(settings: AppSettings, release: str, progress: Progress) -> None:
    """Start a release in the idle slot, and move all traffic to it once it has proven healthy."""
    layout = settings.layout
    old, new = switch.live_slot(layout), switch.idle_slot(layout)
    with progress.phase("free the idle slot"):
        switch.wait_stopped(layout, new, settings.graceful_timeout_seconds)
        switch.point(layout.slot_link(new), f"../releases/{release}")
    with switch.rejected_on_error(layout, new, time.time()):
        with progress.phase("start"):
            switch.start(layout, new, settings.start_timeout_seconds)
        with progress.phase("gate"):
            _gate(settings, release, new)
        with progress.phase("observe"):
            _observe(settings, release, new)
        with progress.phase("switch"):
            switch.set_live(layout, new)
        with progress.phase("probe"):
            try:
                _probe(settings, progress)
            except BaseException:
                switch.set_live(layout, old)
                raise
    if old:
        with progress.phase("drain"):
            if not switch.drain(layout, old, settings.graceful_timeout_seconds):
                progress.notice(f"Requests still waited for the old release of {settings.name} when it was retired.")


@contextlib.contextmanager
def _build_removed_on_error(settings: AppSettings, release: str) -> Any:
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


def _release_environment(settings: AppSettings, release: str) -> dict[str, str]:
    venv_bin = f"{settings.layout.release_dir(release)}/venv/bin"
    return {
        "PATH": f"{venv_bin}:/usr/local/bin:/usr/bin:/bin",
        "HOME": settings.layout.shared_dir,
        "RELEASE_ID": release,
        "SENTRY_RELEASE": release,
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _release_unit(settings: AppSettings, release: str, purpose: str, source_is_writable: bool = False) -> AppUnit:
    """The unit that runs a command of a release: in its source, with the app's environment and rights."""
    layout = settings.layout
    source = os.path.join(layout.release_dir(release), "src")
    return builds.app_unit(
        settings,
        purpose,
        source,
        environment_file=layout.environment_file,
        environment=_release_environment(settings, release),
        writable_paths=[layout.shared_dir, *([source] if source_is_writable else [])],
    )


def _run_release_commands(settings: AppSettings, release: str) -> None:
    unit = _release_unit(settings, release, "release", source_is_writable=True)
    for command in settings.release_command:
        done = run_in_unit(["/bin/sh", "-ec", command], app=unit, timeout_seconds=settings.migration_timeout_seconds)
        builds.must_succeed(done, f"run release_command {command!r} of {settings.name}")


def _import_test(settings: AppSettings, release: str) -> None:
    layout = settings.layout
    gunicorn = f"{layout.release_dir(release)}/venv/bin/gunicorn"
    command = [gunicorn, "--check-config", "--config", layout.gunicorn_config]
    unit = _release_unit(settings, release, "import")
    done = run_in_unit(command, app=unit, timeout_seconds=settings.start_timeout_seconds)
    builds.must_succeed(done, f"import {settings.wsgi!r}", "Nothing was migrated or switched.")


def _migrate(settings: AppSettings, release: str) -> dict[str, Any]:
    if settings.migrations == "none":
        return {}
    unit = _release_unit(settings, release, "migrate")
    request = MigrationRequest(
        app=settings.name,
        app_dir=unit.working_dir,
        venv_dir=f"{settings.layout.release_dir(release)}/venv",
        lock_timeout_seconds=settings.migration_lock_timeout_seconds,
        timeout_seconds=settings.migration_timeout_seconds,
        required=settings.migrations == "flask",
    )
    result = migrate(request, unit_runner(unit))
    return {"before": result.before, "after": result.after, "applied": result.applied}


def _health_check(settings: AppSettings, **where: Any) -> HealthCheck:
    health = settings.health
    return HealthCheck(
        status=health["status"],
        host=health.get("host") or "",
        json=health.get("json") or {},
        text=health.get("text") or "",
        headers={"X-Forwarded-Proto": "https", "X-Forwarded-For": "127.0.0.1"},
        **where,
    )


def _slot_check(settings: AppSettings, release: str, slot: str, **limits: Any) -> HealthCheck:
    return _health_check(
        settings,
        path=settings.health["path"],
        socket_path=settings.layout.socket(slot),
        release=f"{settings.name}/{release}",
        **limits,
    )


def _gate(settings: AppSettings, release: str, slot: str) -> None:
    check = _slot_check(
        settings,
        release,
        slot,
        consecutive=settings.health["consecutive"],
        timeout_seconds=settings.health["timeout_seconds"],
        interval_seconds=0.1,
    )
    result = wait_healthy(check, alive=lambda: switch.reason_not_alive(settings.layout, slot))
    if not result.healthy:
        raise RingstandError(f"Failed to pass the health gate of {release} ({check.target}): {result.seen}")


def _observe(settings: AppSettings, release: str, slot: str) -> None:
    seconds = float(settings.health["observe_seconds"])
    if seconds <= 0:
        return
    check = _slot_check(settings, release, slot, interval_seconds=0.25)
    result = observe(check, seconds, alive=lambda: switch.reason_not_alive(settings.layout, slot))
    died = switch.reason_not_alive(settings.layout, slot)  # it may have died after its last answer
    if not result.healthy or died:
        raise RingstandError(
            f"Failed to observe {release}: it was healthy, then not within {seconds:g} s: {died or result.seen}"
        )


def _probe(settings: AppSettings, progress: Progress) -> None:
    """Ask through nginx, as a visitor would: the right name, TLS, the switched socket."""
    if settings.probe_port is None:
        return
    domain = settings.health.get("host") or settings.domains[0]
    check = _health_check(
        settings,
        url=f"https://{domain}{settings.health['path']}",
        connect_address=f"127.0.0.1:{settings.probe_port}",
        verify=False,  # the connection never leaves the host, and the certificate may still be the placeholder
        consecutive=1,
        timeout_seconds=10,
    )
    result = wait_healthy(check)
    if not result.healthy:
        raise RingstandError(
            f"Failed to reach {settings.name} through nginx after the switch ({check.target}): {result.seen}. "
            "Traffic was moved back."
        )


def run_recorded(settings: AppSettings, progress: Progress, what: Any) -> dict[str, Any]:
    """Run an activation and write what came of it to the ledger; never raises for a failure, returns it."""
    before = switch.live_release(settings.layout)
    entry: dict[str, Any] = {"schema": SCHEMA, "kind": progress.kind, "by": progress.by, "previous": before}
    try:
        entry.update(result="ok", **what())
    except RingstandError as error:
        entry.update(result="failed", reason=error.message, details=error.details)
    except Exception as error:  # the ledger must say what happened, whatever it was
        entry.update(result="failed", reason=f"{type(error).__name__}: {error}", details={})
    finally:
        entry.update(
            started=utc(progress.started),
            seconds=round(time.time() - progress.started, 3),
            phases=progress.phases,
            notices=progress.notices,
            live=switch.live_release(settings.layout),
        )
        append_line(settings.layout.ledger, entry)
        progress.result(entry)
    return entry

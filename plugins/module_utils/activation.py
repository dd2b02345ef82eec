# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The life of a release on its host: build, migrate, start in the idle slot, gate, switch, retire the old one.

Runs as root inside the unit whose name is the lock. Everything before the switch leaves the old release serving;
killed at any step, the next run converges, because each step either repairs or repeats what the last one left.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

from . import (
    build_settings,
    gates,
    hooks,
    in_place,
    process_moves,
    process_plan,
    release_values,
    releases,
    schema_of_release,
    static_files,
    switch,
    unproven,
)
from .activation_unit import remove_orphans
from .app_unit import activation_pattern
from .errors import RingstandError
from .layout import AppSettings
from .ledger import Progress, good_releases
from .links import point
from .release_build import Source, build, check_space
from .systemd import journal_tail, systemctl


def recover(settings: AppSettings) -> None:
    """Put right whatever an activation that was killed, or a reboot, has left."""
    layout = settings.layout
    systemctl("stop", activation_pattern(settings.name), check=False)
    for directory in (layout.releases_dir, layout.venvs_dir, layout.slots_dir, layout.static_dir, layout.state_dir):
        if not os.path.isdir(directory):
            raise RingstandError(f"Failed to prepare {settings.name}: {directory} is missing. Run site.yml.")
    switch.repair(layout)
    remove_orphans(layout)
    releases.remove_incomplete(layout)
    static_files.remove_prepared(settings)


def deploy(settings: AppSettings, source: Source, progress: Progress) -> None:
    """Build a release from ``source`` and make it live."""
    layout = settings.layout
    with progress.phase("preflight"):
        recover(settings)
        # Now, too: it may be what makes room. What an early build or a failed deploy has built may be what is needed.
        _prune(settings, spare_venvs=1)
        check_space(settings, source.archive)
        release = releases.new_id(layout, source.sha, time.time())
        progress.about.update(release=release, version=source.version, sha=source.sha)
        _tell(progress, _why_again(settings, source))
    build(settings, source, release, progress)
    with progress.phase("migrate"):
        progress.about["migration"] = schema_of_release.upgrade(settings, release, progress)
    hooks.run_first_deploy_command(settings, release, progress)
    activate(settings, release, progress)
    with progress.phase("prune"):
        _prune(settings, release)
        static_files.prune(settings, time.time())


def _prune(settings: AppSettings, *proven: str, spare_venvs: int = 0) -> None:
    """Remove old releases; ``proven`` are good, too, although the ledger does not have them yet."""
    layout = settings.layout
    in_use = process_plan.releases_in_use(layout)
    releases.prune(layout, settings.keep_releases, [*good_releases(layout), *proven], in_use, spare_venvs)


def _why_again(settings: AppSettings, source: Source) -> str:
    """Why what is live is built once more, for people; empty when it is another source, or was asked for."""
    layout = settings.layout
    live = releases.read_manifest(layout, switch.live_release(layout) or "") or {}
    wanted = build_settings.build_settings(settings, source.root_directory)
    changed = build_settings.changed(live.get("settings"), wanted) if live.get("sha") == source.sha else []
    return f"{source.version} is built anew, with other settings: {', '.join(changed)}." if changed else ""


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
        try:
            activate(settings, release, progress, fits)
        except RingstandError as error:
            refusal = fits.exception() if fits else None
            # Code that does not fit is mostly not healthy either: the reason of that is what helps.
            if refusal and refusal is not error:
                raise refusal from error
            raise


def settle_processes(settings: AppSettings, progress: Progress, scale: Mapping[str, int] | None = None) -> None:
    """Bring what runs beside the web to the settings, and to ``scale``, which is kept when it is given."""
    layout = settings.layout
    recover(settings)
    release = releases.find_release(layout, "live", [])
    manifest = releases.read_manifest(layout, release) or {}
    progress.about.update(release=release, version=manifest.get("version"), sha=manifest.get("sha"))
    before = process_plan.read_scale(layout)
    processes = process_moves.Move(settings, progress)
    try:
        if scale is not None:
            process_plan.write_scale(layout, scale)
        processes.to(release, is_strict=True)
    except BaseException:
        if scale is not None:
            process_plan.write_scale(layout, before)
        processes.back()
        raise


def _tell(progress: Progress, notice: str) -> None:
    if notice:
        progress.notice(notice)


def activate(settings: AppSettings, release: str, progress: Progress, fits: Future[str] | None = None) -> None:
    """Start a release in the idle slot, and move all traffic to it once it has proven healthy.

    ``fits`` comes to a notice, mostly empty, or to an error that ends it before the switch. Until the probation is over
    the old release can take the traffic back.
    """
    release_values.check_built(settings, release)
    try:
        with progress.phase("static files"):
            static = static_files.prepare(settings, release)
        _activate(settings, release, progress, static, fits)
    except BaseException:
        static_files.remove_prepared(settings)
        raise


def _activate(
    settings: AppSettings,
    release: str,
    progress: Progress,
    static: static_files.Prepared,
    fits: Future[str] | None,
) -> None:
    layout = settings.layout
    old, new = switch.live_slot(layout), switch.idle_slot(layout)
    processes = process_moves.Move(settings, progress)

    def before_switch() -> None:
        if fits:
            _tell(progress, fits.result())
        hooks.run(settings, hooks.BEFORE_SWITCH, release, progress)

    reason = in_place.reason_for(settings, old)
    if reason:
        progress.notice(f"{settings.name} is restarted in place, and visitors wait for it: {reason}.")
        in_place.activate(settings, release, progress, before_switch, static, processes)
        hooks.run(settings, hooks.AFTER_SWITCH, release, progress)
        return
    with progress.phase("free the idle slot"):
        switch.wait_stopped(layout, new, settings.graceful_timeout_seconds)
        point(layout.slot_link(new), f"../releases/{release}")
    with switch.rejected_on_error(layout, new, time.time()):
        with progress.phase("start"):
            switch.start(layout, new, settings.start_timeout_seconds)
        with progress.phase("gate"):
            gates.gate(settings, release, new, lambda: _refusal(fits))
        if old:
            with progress.phase("observe"):
                gates.observe_slot(settings, release, new)
        before_switch()
        unproven.begin(layout, _note(settings, release, old, new, progress))
    with _all_returned_on_error(settings, progress, old, new, processes):
        with progress.phase("switch"):
            switch.set_live(layout, new)
            static_files.place(static)
        gates.prove(settings, release, new, progress, processes, is_first=old is None)
    hooks.run(settings, hooks.AFTER_SWITCH, release, progress)
    if old:
        with progress.phase("drain"):
            if not switch.drain(layout, old, settings.graceful_timeout_seconds):
                progress.notice(f"Requests still waited for the old release of {settings.name} when it was retired.")


def _refusal(fits: Future[str] | None) -> str:
    """Why a release that is being started does not fit, as soon as that is known."""
    error = fits.exception() if fits and fits.done() else None
    return str(error) if error else ""


def _note(settings: AppSettings, release: str, old: str | None, new: str, progress: Progress) -> unproven.Note:
    """What to go back to while the release is not proven, and whether the code of before could be started again."""
    before = switch.release_of(settings.layout, old)
    at = (progress.about.get("migration") or {}).get("after")
    unknown = schema_of_release.unknown_revision(settings, release, before, at) if before else ""
    has_served = release in good_releases(settings.layout)
    return unproven.Note(new, release, old, before, has_served, unknown)


@contextlib.contextmanager
def _all_returned_on_error(
    settings: AppSettings, progress: Progress, old: str | None, new: str, processes: process_moves.Move
) -> Iterator[None]:
    """When the block fails, give the traffic back to the old slot, and let the new one answer what it has accepted.

    Its static files come back with it; then the processes move back too, as far as they had come.
    """
    layout, began = settings.layout, time.time()
    try:
        yield
    except BaseException as error:
        switch.set_live(layout, old)
        _tell(progress, static_files.publish(settings, switch.release_of(layout, old)))
        if isinstance(error, RingstandError):
            error.details.setdefault("journal", journal_tail(layout.service_unit(new), began))
        if old is None:
            switch.kill(layout, new)
        else:
            switch.drain(layout, new, unproven.RETURN_QUEUE_SECONDS)
        processes.back()
        unproven.end(layout)
        raise

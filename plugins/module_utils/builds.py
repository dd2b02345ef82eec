# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Build a release on its host: unpack the source, make or reuse the virtual environment.

Nothing is built as root. A virtual environment is built in place (its scripts hold its path) and is valid only once
its marker file is on disk; its name is a hash of all that decides its content, so that an unchanged lock costs nothing.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from dataclasses import replace

from . import build_cache, uv, uv_errors
from .app_unit import AppUnit, Completed, run_in_unit
from .dependencies import Dependencies, read_dependencies
from .errors import RingstandError
from .layout import UV, AppSettings
from .links import sync_file_system
from .package_index import INDEX_NAME
from .python_version import choose_python, interpreter_version
from .releases import VENV_MARKER, freeze, write_durably
from .systemd import redact

SYSTEM_CA = "/etc/ssl/certs/ca-certificates.crt"
_BUILD_TIMEOUT_SECONDS = 1800


def app_unit(settings: AppSettings, purpose: str, working_dir: str, **changes: object) -> AppUnit:
    """The unit that runs a command of this app during an activation: it ends when the activation ends."""
    unit = AppUnit(
        name=settings.name,
        user=settings.name,
        group=settings.name,
        working_dir=working_dir,
        purpose=f"activation-{purpose}",
        outbound_network=settings.outbound_network,
        binds_to=settings.layout.activation_unit,
    )
    return replace(unit, **changes)  # type: ignore[arg-type]


def must_succeed(done: Completed, action: str, remedy: str = "") -> None:
    """Raise :class:`RingstandError` with the end of the command's output unless it exited 0."""
    if done.rc == 0:
        return
    output = redact("\n".join(part for part in (done.stdout.strip(), done.stderr.strip()) if part))[-4000:]
    reason = "it did not end in time" if done.timed_out else f"exit status {done.rc}"
    lines = output.splitlines()
    last = f": {lines[-1].strip()}" if lines else ""
    message = f"Failed to {action}: {reason}{last}"
    raise RingstandError(f"{message.rstrip('.')}. {remedy}" if remedy else message, rc=done.rc, output=output)


def unpack(settings: AppSettings, archive: str, release: str) -> str:
    """Unpack a tar archive into a new release as the app's user; returns the source folder.

    A single folder at the top of the archive, as forges make them, is stripped.
    """
    layout = settings.layout
    source = os.path.join(layout.release_dir(release), "src")
    os.makedirs(source, mode=0o755)
    shutil.chown(source, settings.name, settings.name)
    listing = subprocess.run(["tar", "-tf", archive], capture_output=True, text=True, check=False)
    if listing.returncode != 0:
        raise RingstandError(f"Failed to read the source archive: {listing.stderr.strip()}")
    names = [name.removeprefix("./") for name in listing.stdout.splitlines() if name not in (".", "./")]
    tops = {name.split("/", 1)[0] for name in names}
    strip = ["--strip-components=1"] if len(tops) == 1 and all("/" in name for name in names) else []
    unit = app_unit(settings, "unpack", source, writable_paths=[source], outbound_network=False)
    with open(archive, "rb") as stream:
        done = run_in_unit(
            ["tar", "-x", *_decompression(archive), "--no-same-owner", "--no-same-permissions", *strip],
            app=unit,
            timeout_seconds=_BUILD_TIMEOUT_SECONDS,
            stdin=stream,
        )
    must_succeed(done, f"unpack the source of release {release}")
    return source


def _decompression(archive: str) -> list[str]:
    """tar cannot guess from a pipe: tell it."""
    with open(archive, "rb") as stream:
        magic = stream.read(6)
    for prefix, option in ((b"\x1f\x8b", "-z"), (b"BZh", "-j"), (b"\xfd7zXZ", "-J"), (b"\x28\xb5\x2f\xfd", "--zstd")):
        if magic.startswith(prefix):
            return [option]
    return []


def venv_key(settings: AppSettings, needed: Dependencies, python: str) -> str:
    """A hash of all that decides what the virtual environment contains."""
    parts = [needed.name, needed.digest(), python, interpreter_version(python), settings.package_index_url]
    return hashlib.sha256("\0".join([*parts, *settings.extra_packages]).encode()).hexdigest()[:16]


def ensure_venv(settings: AppSettings, source: str) -> tuple[str, bool]:
    """Build the virtual environment of a source, or find it built; returns its folder and whether it was built."""
    layout = settings.layout
    needed = read_dependencies(source, settings.requirements_path)
    python = choose_python(settings.python, source)
    venv = os.path.join(layout.venvs_dir, venv_key(settings, needed, python))
    if os.path.isfile(os.path.join(venv, VENV_MARKER)):
        return venv, False
    uv.ensure()
    if os.path.isdir(venv):  # a build that was killed
        shutil.rmtree(venv)
    os.makedirs(venv, mode=0o750)
    shutil.chown(venv, settings.name, settings.name)
    with build_cache.trusted(layout):
        try:
            _install(settings, needed, python, source, venv)
        except BaseException:
            shutil.rmtree(venv, ignore_errors=True)
            raise
    freeze(venv, settings.name)
    sync_file_system(venv)
    write_durably(os.path.join(venv, VENV_MARKER), time.strftime("%Y-%m-%dT%H:%M:%SZ\n", time.gmtime()))
    return venv, True


def _install(settings: AppSettings, needed: Dependencies, python: str, source: str, venv: str) -> None:
    layout = settings.layout
    credentials = layout.build_environment_file
    unit = app_unit(
        settings,
        "build",
        source,
        # What is built from the source itself leaves its traces there, as build backends do.
        writable_paths=[venv, layout.cache_dir, *([source] if needed.local else [])],
        outbound_network=True,
        build=True,
        environment=_uv_environment(settings, venv),
        environment_file=credentials if os.path.exists(credentials) else None,
    )
    for command in uv_commands(settings, needed, python, venv):
        done = run_in_unit(command, app=unit, timeout_seconds=_BUILD_TIMEOUT_SECONDS)
        if done.rc != 0:
            raise _uv_failure(settings, done)
    if not os.path.exists(f"{venv}/bin/gunicorn"):
        raise RingstandError(
            f"Failed to build the virtual environment: {needed.name} does not contain gunicorn. "
            f"Add it there, or set extra_packages: [gunicorn] for {settings.name}."
        )


def _uv_failure(settings: AppSettings, done: Completed) -> RingstandError:
    output = redact(f"{done.stdout}\n{done.stderr}".strip())
    reason = f"it took longer than {_BUILD_TIMEOUT_SECONDS} s" if done.timed_out else uv_errors.headline(output)
    remedy = uv_errors.remedy(output)
    message = f"Failed to install the packages of {settings.name}: {reason or f'exit status {done.rc}'}."
    message += f" {remedy}." if remedy else ""
    return RingstandError(f"{message} Nothing was switched.", rc=done.rc, output=output[-4000:])


def _uv_environment(settings: AppSettings, venv: str) -> dict[str, str]:
    environment = {
        "HOME": settings.layout.cache_dir,
        "UV_CACHE_DIR": settings.layout.cache_dir,
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_CONFIG": "1",
        "UV_NO_PROGRESS": "1",
        "UV_LINK_MODE": "copy",  # a hard link would hand the cache's own files to root when the build is frozen
        "UV_COMPILE_BYTECODE": "1",  # without it the first requests of every release pay
        "UV_PROJECT_ENVIRONMENT": venv,
        "VIRTUAL_ENV": venv,
        "SSL_CERT_FILE": settings.package_index_ca_path or SYSTEM_CA,
    }
    if settings.package_index_url:
        environment["UV_DEFAULT_INDEX"] = f"{INDEX_NAME}={settings.package_index_url}"
    return environment


def uv_commands(settings: AppSettings, needed: Dependencies, python: str, venv: str) -> list[list[str]]:
    """The command lines that make the virtual environment and install into it, in order."""
    commands = [[UV, "venv", "--quiet", "--python", python, "--allow-existing", venv]]
    install = [UV, "pip", "install"]
    if needed.is_uv_lock and not settings.package_index_url:
        without = ["--no-dev", "--no-install-project", "--no-editable"]
        commands.append([UV, "sync", "--frozen", *without, "--python", python])
    elif needed.is_uv_lock:  # a sync would ask the index that the lock names; only the versions and hashes are to count
        exported = os.path.join(venv, "exported-requirements.txt")
        without = ["--no-dev", "--no-emit-project", "--no-editable"]
        export = ["--quiet", "--frozen", *without, "--python", python, "--output-file", exported]
        commands += [[UV, "export", *export], [*install, "--requirements", exported]]
    else:
        commands.append([*install, "--requirements", needed.name])
    if settings.extra_packages:  # apart: a file with hashes would demand one for each of them
        commands.append([*install, *settings.extra_packages])
    return commands

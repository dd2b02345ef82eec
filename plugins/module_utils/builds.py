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
from collections.abc import Sequence
from dataclasses import replace

from .app_unit import AppUnit, Completed, run_in_unit
from .errors import RingstandError
from .layout import UV, AppSettings
from .releases import freeze, write_durably
from .systemd import redact

_MARKER = ".ringstand-complete"
_SYSTEM_CA = "/etc/ssl/certs/ca-certificates.crt"
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
    raise RingstandError(f"{message} {remedy}".rstrip(), rc=done.rc, output=output)


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


def dependency_file(source: str) -> str:
    """The file that says what to install: ``uv.lock`` beside ``pyproject.toml``, else ``requirements.txt``."""
    if os.path.isfile(f"{source}/uv.lock") and os.path.isfile(f"{source}/pyproject.toml"):
        return "uv.lock"
    if os.path.isfile(f"{source}/requirements.txt"):
        return "requirements.txt"
    raise RingstandError(
        "Failed to install dependencies: the source has neither uv.lock (with pyproject.toml) nor requirements.txt. "
        "Make one, for example with `uv lock` or `uv pip compile pyproject.toml -o requirements.txt --generate-hashes`."
    )


def _read(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read()


def venv_key(settings: AppSettings, source: str) -> str:
    """A hash of all that decides what the virtual environment contains."""
    lock = dependency_file(source)
    interpreter = subprocess.run(
        [settings.python, "-c", "import sys; print(sys.implementation.cache_tag, sys.version)"],
        capture_output=True,
        text=True,
        check=False,
    )
    if interpreter.returncode != 0:
        raise RingstandError(f"Failed to run {settings.python}: {interpreter.stderr.strip()}")
    parts = [lock.encode(), _read(f"{source}/{lock}"), settings.python.encode(), interpreter.stdout.encode()]
    if lock == "uv.lock":
        parts.append(_read(f"{source}/pyproject.toml"))
    parts += [package.encode() for package in settings.extra_packages]
    parts.append(settings.package_index_url.encode())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def ensure_venv(settings: AppSettings, source: str) -> tuple[str, bool]:
    """Build the virtual environment of a source, or find it built; returns its folder and whether it was built."""
    layout = settings.layout
    venv = os.path.join(layout.venvs_dir, venv_key(settings, source))
    if os.path.isfile(os.path.join(venv, _MARKER)):
        return venv, False
    if os.path.isdir(venv):  # a build that was killed
        shutil.rmtree(venv)
    for directory in (venv, layout.cache_dir):
        os.makedirs(directory, mode=0o750, exist_ok=True)
        shutil.chown(directory, settings.name, settings.name)
    unit = app_unit(
        settings,
        "build",
        source,
        writable_paths=[venv, layout.cache_dir],
        outbound_network=True,
        build=True,
        environment=_uv_environment(settings, venv),
    )
    for command in _uv_commands(settings, source, venv):
        done = run_in_unit(command, app=unit, timeout_seconds=_BUILD_TIMEOUT_SECONDS)
        must_succeed(done, f"build the virtual environment ({' '.join(command[1:3])})")
    if not os.path.exists(f"{venv}/bin/gunicorn"):
        raise RingstandError(
            f"Failed to build the virtual environment: {dependency_file(source)} does not contain gunicorn. "
            f"Add it there, or set extra_packages: [gunicorn] for {settings.name}."
        )
    freeze(venv, settings.name)
    subprocess.run(["sync", "--file-system", venv], check=True)
    write_durably(os.path.join(venv, _MARKER), time.strftime("%Y-%m-%dT%H:%M:%SZ\n", time.gmtime()))
    return venv, True


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
        "SSL_CERT_FILE": settings.package_index_ca_path or _SYSTEM_CA,
    }
    if settings.package_index_url:
        environment["UV_DEFAULT_INDEX"] = settings.package_index_url
    return environment


def _uv_commands(settings: AppSettings, source: str, venv: str) -> list[list[str]]:
    commands = [[UV, "venv", "--python", settings.python, "--allow-existing", venv]]
    extra: Sequence[str] = settings.extra_packages
    if dependency_file(source) == "uv.lock":
        commands.append([UV, "sync", "--frozen", "--no-dev", "--no-install-project", "--python", settings.python])
        if extra:
            commands.append([UV, "pip", "install", *extra])
    else:
        commands.append([UV, "pip", "install", "--requirements", "requirements.txt"])
        if extra:  # apart: a file with hashes would demand one for each of them
            commands.append([UV, "pip", "install", *extra])
    return commands

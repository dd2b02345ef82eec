# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Take an app out of service: its units and what they read go, its data stays until it is purged.

What stays: database and role, Redis' files, ``/srv/<app>``, the ledger, generated secrets, the system user, backups.
"""

from __future__ import annotations

import contextlib
import glob
import os
import pwd
import shutil
from collections.abc import Sequence

from .errors import RingstandError
from .layout import Layout, app_names, user_comment
from .systemd import systemctl

UNITS_DIR = "/etc/systemd/system"


def unit_patterns(app: str) -> list[str]:
    """Everything that may run of an app; no name of another app begins or goes on like this."""
    return [
        f"ringstand-activation-{app}.service",
        f"ringstand-{app}@*",
        f"ringstand-{app}.*",
        f"ringstand-*.{app}.*",
    ]


def files(app: str, root: str = "/") -> list[str]:
    """What is on disk of an app's set-up, without its data. The settings come last: they say that it is set up."""
    layout = Layout(app, root)
    name = glob.escape(app)
    patterns = [
        os.path.join(root, UNITS_DIR.lstrip("/"), f"ringstand-{name}@*"),
        os.path.join(root, UNITS_DIR.lstrip("/"), f"ringstand-{name}.*"),
        os.path.join(root, "etc/tmpfiles.d", f"ringstand-{name}.conf"),
        glob.escape(layout.gunicorn_config),
        *map(glob.escape, layout.secret_files),
        glob.escape(layout.run_dir),
        os.path.join(root, "etc/ringstand/maintenance", f"{name}.*"),
        # Ours of it; certbot's own goes by its role. A site whose certificate cannot be read would be a problem.
        os.path.join(root, "etc/ringstand/certificates", name),
        os.path.join(root, "etc/ringstand/apps", f"{name}.json"),
    ]
    return [path for pattern in patterns for path in sorted(glob.glob(pattern))]


def running_units(app: str) -> list[str]:
    """The names of the units that systemd has in memory."""
    listed = systemctl("list-units", "--all", "--plain", "--no-legend", "--no-pager", *unit_patterns(app), check=False)
    return [line.split()[0] for line in listed.stdout.splitlines() if line.split()]


def remains(app: str) -> list[str]:
    """What :func:`remove` would remove: units and files."""
    return [*running_units(app), *files(app)]


def remove(app: str) -> list[str]:
    """Stop and remove; returns what was there. Killed at any point, the next run completes it."""
    units = running_units(app)
    # Listeners first: a connection would start their service again.
    for chosen in (
        [name for name in units if "activation" in name or name.endswith(".socket")],
        [name for name in units if "activation" not in name and not name.endswith(".socket")],
    ):
        if chosen:
            systemctl("stop", *chosen, check=False, timeout_seconds=3700)  # requests under way may take their time
    found = files(app)
    for path in found:
        delete(path)
    if any(path.startswith(UNITS_DIR) for path in found):
        systemctl("daemon-reload")
    if units:
        systemctl("reset-failed", *units, check=False)
    return [*units, *found]


def delete(path: str) -> None:
    """Remove a file, a link or a whole directory; what is gone already is fine."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def kept(names: Sequence[str] | None = None) -> list[str]:
    """The apps that are not set up any more and were not purged: their system users, made for them, are still there."""
    present = app_names() if names is None else names
    return sorted(
        entry.pw_name
        for entry in pwd.getpwall()
        if entry.pw_gecos.split(",")[0] == user_comment(entry.pw_name) and entry.pw_name not in present
    )


def check_absent(app: str) -> None:
    """Raise :class:`RingstandError` when the app is set up on this host."""
    if app in app_names():
        raise RingstandError(
            f"Failed to purge {app}: it is set up on this host. First give it `state: absent` in flask_apps and run "
            "site.yml. Nothing was removed."
        )

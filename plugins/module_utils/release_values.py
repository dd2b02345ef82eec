# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a release serves: as the app's settings say, else as the Procfile of the release does."""

from __future__ import annotations

import os

from . import procfile
from .errors import RingstandError
from .layout import AppSettings
from .ledger import Progress
from .releases import read_manifest


def check(settings: AppSettings, source: str, progress: Progress) -> procfile.Procfile:
    """The Procfile of a source, before anything is built of it; its notices are told.

    Raises :class:`RingstandError` when neither it nor the settings say what is to be served.
    """
    found = procfile.read(source)
    if not settings.wsgi and not found.wsgi:
        raise RingstandError(
            f"Failed to find what to serve of {settings.name}: it has no wsgi, and {found.wsgi_problem}. "
            'Set wsgi of the app, as "module:attribute" or "module:factory()". Nothing was built.'
        )
    migrates = settings.migrations != "none"
    for notice in procfile.notices(found, settings.release_command, migrates):
        progress.notice(notice)
    return found


def wsgi_of(settings: AppSettings, release: str) -> str | None:
    """The WSGI target of a release on this host, also of one that is being built."""
    if settings.wsgi:
        return settings.wsgi
    layout = settings.layout
    manifest = read_manifest(layout, release)
    if manifest is None:
        return procfile.read(os.path.join(layout.release_dir(release), "src")).wsgi
    found = (manifest.get("procfile") or {}).get("wsgi")
    return str(found) if found else None


def check_built(settings: AppSettings, release: str) -> None:
    """Raise :class:`RingstandError` when nothing says any more what a release on this host serves."""
    if not wsgi_of(settings, release):
        raise RingstandError(
            f"Failed to find what to serve of {settings.name}: it has no wsgi any more, and no Procfile of {release} "
            "names it. Set wsgi again, or deploy a release with a Procfile. Nothing was switched."
        )


def environment(settings: AppSettings, release: str) -> dict[str, str]:
    """What every command and process of a release has in its environment beside the app's own variables."""
    layout = settings.layout
    flask_app = wsgi_of(settings, release) if settings.flask_app is None else settings.flask_app
    return {
        "PATH": f"{layout.release_dir(release)}/venv/bin:/usr/local/bin:/usr/bin:/bin",
        "HOME": layout.shared_dir,
        "RELEASE_ID": release,
        "SENTRY_RELEASE": release,
        "PYTHONDONTWRITEBYTECODE": "1",
        # The app's environment file, where it has the variable too, wins over this.
        **({"FLASK_APP": flask_app} if flask_app else {}),
    }

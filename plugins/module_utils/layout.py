# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where everything of an app lives on its host, and the app's settings as the roles wrote them."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field, fields
from typing import Any

from .errors import RingstandError

SETTINGS_DIR = "/etc/ringstand/apps"
# The secrets that were generated: one file per app, with a name and a value each.
SECRETS_DIR = "/var/lib/ringstand/secrets"
UV = "/opt/ringstand/uv/bin/uv"
SLOTS = ("blue", "green")
# How a release takes over from another one.
AUTO, TWO_SLOTS, IN_PLACE = SWITCHES = ("auto", "two_slots", "in_place")
_APP_NAME = re.compile(r"[a-z][a-z0-9_-]{0,30}")


def user_comment(app: str) -> str:
    """The comment (GECOS) by which a system user is known to have been made for an app."""
    return f"Flask app {app}"


@dataclass(frozen=True)
class Layout:
    """The paths and unit names of one app. ``root`` is ``/`` on a host, and another folder in tests."""

    app: str
    root: str = "/"

    def _path(self, *parts: str) -> str:
        return os.path.join(self.root, *parts)

    @property
    def app_dir(self) -> str:
        return self._path("srv", self.app)

    @property
    def releases_dir(self) -> str:
        return self._path("srv", self.app, "releases")

    @property
    def venvs_dir(self) -> str:
        return self._path("srv", self.app, "venvs")

    @property
    def static_dir(self) -> str:
        return self._path("srv", self.app, "static")

    @property
    def shared_dir(self) -> str:
        return self._path("srv", self.app, "shared")

    @property
    def slots_dir(self) -> str:
        return self._path("srv", self.app, "slots")

    @property
    def live_link(self) -> str:
        """The persistent truth about which slot serves: a link to ``slots/<slot>``."""
        return self._path("srv", self.app, "live")

    @property
    def run_dir(self) -> str:
        return self._path("run", self.app)

    @property
    def live_socket(self) -> str:
        """What nginx connects to: a link to ``<slot>.sock``; renaming it is the switch."""
        return self._path("run", self.app, "live.sock")

    @property
    def state_dir(self) -> str:
        return self._path("var/lib/ringstand", self.app)

    @property
    def ledger(self) -> str:
        return self._path("var/lib/ringstand", self.app, "ledger.jsonl")

    @property
    def progress(self) -> str:
        """The steps of the activation under way or last done, one JSON object a line."""
        return self._path("var/lib/ringstand", self.app, "activation.jsonl")

    @property
    def unproven(self) -> str:
        """There while a release has the traffic and is not proven: what served before it."""
        return self._path("var/lib/ringstand", self.app, "unproven.json")

    @property
    def cache_dir(self) -> str:
        return self._path("var/cache/ringstand", self.app)

    @property
    def environment_file(self) -> str:
        return self._path("etc/ringstand/environment", f"{self.app}.env")

    @property
    def build_environment_file(self) -> str:
        """What only builds get: the credentials of the package index. It may be missing."""
        return self._path("etc/ringstand/environment", f"{self.app}.build.env")

    @property
    def migration_environment_file(self) -> str:
        """What is different for migrations, dumps and psql: a DATABASE_URL without a pooler. It may be missing."""
        return self._path("etc/ringstand/environment", f"{self.app}.migration.env")

    @property
    def secret_files(self) -> tuple[str, ...]:
        """All files with secrets that are written for the app; only the first is there for each."""
        others = (self.build_environment_file, self.migration_environment_file, self.webhook_file)
        return (self.environment_file, *others)

    @property
    def gunicorn_config(self) -> str:
        return self._path("etc/ringstand/gunicorn", f"{self.app}.py")

    @property
    def activation_unit(self) -> str:
        """The fixed name is the lock: systemd refuses a second unit of this name while the first one runs."""
        return f"ringstand-activation-{self.app}.service"

    def release_dir(self, release: str) -> str:
        return os.path.join(self.releases_dir, release)

    def slot_link(self, slot: str) -> str:
        return os.path.join(self.slots_dir, slot)

    def socket(self, slot: str) -> str:
        return os.path.join(self.run_dir, f"{slot}.sock")

    def service_unit(self, slot: str) -> str:
        return f"ringstand-{self.app}@{slot}.service"

    def socket_unit(self, slot: str) -> str:
        return f"ringstand-{self.app}@{slot}.socket"

    @property
    def units_dir(self) -> str:
        return self._path("etc/systemd/system")

    @property
    def process_plan(self) -> str:
        """What last ran beside the web, with the texts of its units: what a move that fails goes back to."""
        return self._path("var/lib/ringstand", self.app, "processes.json")

    @property
    def process_scale(self) -> str:
        """The numbers that an operator gave by ``ringstand scale``, by process."""
        return self._path("var/lib/ringstand", self.app, "scale.json")

    @property
    def first_deploy_record(self) -> str:
        """There once the app's first_deploy_command has succeeded."""
        return self._path("var/lib/ringstand", self.app, "first-deploy.json")

    @property
    def webhook_file(self) -> str:
        return self._path("etc/ringstand/environment", f"{self.app}.webhook")

    def process_unit(self, process: str, number: int | str = "") -> str:
        """The unit of a process, or its template. No app's name has a dot, so that no two apps' units share a name."""
        return f"ringstand-{self.app}.{process}@{number}.service"


# Of the settings, in seconds, those that a single deploy can be given others of.
MIGRATION_LIMITS = (
    "migration_lock_timeout_seconds",
    "migration_statement_timeout_seconds",
    "migration_timeout_seconds",
)


@dataclass(frozen=True)
class AppSettings:
    """What the host program must know of an app: ``/etc/ringstand/apps/<app>.json``, without any secret.

    Times are seconds, sizes are MB. ``health`` has the keys path, status, host, json, text, consecutive,
    timeout_seconds, observe_seconds and probation_seconds. ``static`` is None or has url and dir (inside the source).
    ``python`` empty means the one that the source asks for, else the system's.
    ``writable_dirs`` are folders of the source that become links into ``shared``. ``database_url_scheme`` is what
    DATABASE_URL begins with, empty without one. ``migration_command`` replaces ``flask db upgrade``.
    ``local_database`` tells that the app's database is in the cluster ``main`` of this host.
    Without ``wsgi`` the release's Procfile names it, and without ``processes`` what runs beside it; ``flask_app`` is
    then the same, unless it is given ("" leaves FLASK_APP unset).
    ``switch`` is one of SWITCHES; ``memory_mb`` limits what one slot may use.
    ``probe_port`` is the port on which nginx answers this app over TLS; None leaves that probe out.
    """

    name: str
    health: dict[str, Any]
    wsgi: str | None = None
    flask_app: str | None = None
    domains: list[str] = field(default_factory=list)
    python: str = ""
    requirements_path: str = ""
    extra_packages: list[str] = field(default_factory=list)
    package_index_url: str = ""
    package_index_ca_path: str = ""
    release_command: list[str] = field(default_factory=list)
    writable_dirs: list[str] = field(default_factory=list)
    first_deploy_command: list[str] = field(default_factory=list)
    hooks: dict[str, list[str]] = field(default_factory=dict)
    hook_timeout_seconds: float = 600
    processes: dict[str, dict[str, Any]] | None = None
    migrations: str = "auto"
    migrations_dir: str = ""
    migration_command: str = ""
    migration_unversioned_tables_allowed: bool = False
    migration_lock_timeout_seconds: float = 5
    migration_timeout_seconds: float = 1800
    migration_statement_timeout_seconds: float = 0
    local_database: bool = False
    database_url_scheme: str = ""
    static: dict[str, str] | None = None
    start_timeout_seconds: float = 60
    graceful_timeout_seconds: float = 30
    keep_releases: int = 5
    switch: str = AUTO
    memory_mb: int | None = None
    outbound_network: bool = True
    probe_port: int | None = None

    @property
    def layout(self) -> Layout:
        return Layout(self.name)


def check_app_name(app: str) -> str:
    """Return ``app``; raises :class:`RingstandError` when no app can have that name."""
    if not _APP_NAME.fullmatch(app):
        raise RingstandError(f"Failed to find app {app!r}: that is not a name of an app")
    return app


def load_settings(app: str, settings_dir: str = SETTINGS_DIR) -> AppSettings:
    """Read an app's settings; keys that this version does not know are ignored.

    Raises :class:`RingstandError` when the app is not set up on this host or its file is damaged.
    """
    path = os.path.join(settings_dir, f"{check_app_name(app)}.json")
    try:
        with open(path, encoding="utf-8") as stream:
            data = json.load(stream)
        if not isinstance(data, dict) or data.get("name") != app:
            raise ValueError(f"these are not the settings of {app}")
        known = {entry.name for entry in fields(AppSettings)}
        return AppSettings(**{key: value for key, value in data.items() if key in known})
    except FileNotFoundError as error:
        names = ", ".join(app_names(settings_dir)) or "none"
        raise RingstandError(
            f"Failed to find app {app!r}: {path} does not exist. Apps on this host: {names}."
        ) from error
    except (ValueError, TypeError) as error:
        raise RingstandError(f"Failed to read {path}: {error}. Run site.yml to write it again.") from error


def app_names(settings_dir: str = SETTINGS_DIR) -> list[str]:
    """The names of all apps set up on this host, sorted."""
    try:
        return sorted(name[:-5] for name in os.listdir(settings_dir) if name.endswith(".json"))
    except FileNotFoundError:
        return []

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The keys of an app in ``flask_apps``: their types, choices and ranges."""

from __future__ import annotations

from ..apps import HOOKS, PROCESS_KINDS, STATES, TLS_CERTIFICATES
from ..layout import SWITCHES
from .edge_fields import EDGE_FIELDS, MEDIA
from .schema import Field

TEXT = Field((str,))
SECRET = Field((str,), secret=True)
SWITCH = Field((bool,))
TEXTS = Field((list,), elements=TEXT)
COMMANDS = Field((str, list), elements=TEXT)


# What workers stop at gracefully: Celery and RQ at TERM and INT, others at QUIT, HUP or one of the user's own.
STOP_SIGNALS = ("SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGWINCH")


def _number(minimum: int, maximum: int) -> Field:
    return Field((int,), minimum=minimum, maximum=maximum)


def _seconds(minimum: int, maximum: int) -> Field:
    return Field((int, float), minimum=minimum, maximum=maximum)


CERTIFICATE = {"chain": TEXT, "key": SECRET, "chain_path": TEXT, "key_path": TEXT}
REDIS_INSTANCE = Field(
    (dict,),
    options={
        "maxmemory_mb": _number(8, 1_048_576),
        "port": _number(1024, 65535),
        "clients": TEXTS,
        "tls": Field((dict,), options=CERTIFICATE),
    },
)

READER = {"name": Field((str,), required=True), "password": SECRET}
DATABASE = {
    "name": TEXT,
    "extensions": TEXTS,
    "readers": Field((list,), elements=Field((dict,), options=READER)),
}

MAINTENANCE = {
    "allow": Field((list, str), elements=TEXT),
    "page": TEXT,
    "retry_after_seconds": _number(1, 86_400),
}

SOURCE_FIELDS = {
    "git": TEXT,
    "version": TEXT,
    "deploy_key_path": TEXT,
    "submodules": SWITCH,
    "path": TEXT,
    "archive": TEXT,
    "root_directory": TEXT,
}

PROCESS_FIELDS = {
    "command": Field((str,), required=True),
    "kind": Field((str,), choices=PROCESS_KINDS),
    "count": _number(0, 100),
    "memory_mb": _number(16, 16_777_216),
    "stop_signal": Field((str,), choices=STOP_SIGNALS),
    "stop_timeout_seconds": _seconds(1, 86_400),
}

APP_FIELDS = {
    "state": Field((str,), choices=STATES),
    "domains": Field((list,), elements=TEXT, required=True),
    "source": Field((dict,), options=SOURCE_FIELDS, required=True),
    "wsgi": TEXT,
    # 128: no one machine runs more; gunicorn's advice is 2 to 4 per CPU.
    "workers": Field((int, str), choices=("auto",), minimum=1, maximum=128),
    "threads": _number(1, 256),
    "worker_class": TEXT,
    "timeout_seconds": _number(1, 3600),
    "graceful_timeout_seconds": _number(1, 3600),
    "start_timeout_seconds": _number(1, 3600),
    "max_requests": _number(0, 10_000_000),
    "max_requests_jitter": _number(0, 10_000_000),
    "environment": Field((dict,), secret=True),
    "secret_key": SECRET,
    "database": Field((bool, dict), options=DATABASE),
    "database_url": SECRET,
    "database_url_scheme": TEXT,
    "redis": Field((bool, dict), options={"queue": REDIS_INSTANCE, "cache": REDIS_INSTANCE}),
    "redis_password": SECRET,
    "migrations": Field((str,), choices=("auto", "flask", "alembic", "none")),
    "migrations_dir": TEXT,
    "migration_command": TEXT,
    "migration_database_url": SECRET,
    "migration_unversioned_tables_allowed": SWITCH,
    "migration_lock_timeout_seconds": _seconds(1, 600),
    "migration_timeout_seconds": _seconds(10, 86_400),
    "migration_statement_timeout_seconds": _seconds(0, 86_400),
    "flask_app": TEXT,
    "release_command": COMMANDS,
    "first_deploy_command": COMMANDS,
    "hooks": Field((dict,), options=dict.fromkeys(HOOKS, COMMANDS)),
    "hook_timeout_seconds": _seconds(1, 86_400),
    # Each of them is checked by check_processes.
    "processes": Field((dict,)),
    "webhook_url": SECRET,
    "health": Field(
        (dict,),
        options={
            "path": TEXT,
            "status": Field((int, list), elements=_number(100, 599), minimum=100, maximum=599),
            "host": TEXT,
            "json": Field((dict,)),
            "text": TEXT,
            "consecutive": _number(1, 100),
            "timeout_seconds": _seconds(1, 3600),
            "observe_seconds": _seconds(0, 600),
            "probation_seconds": _seconds(0, 600),
        },
    ),
    "static": Field((dict,), options={"url": Field((str,), required=True), "dir": Field((str,), required=True)}),
    "tls": Field(
        (dict,),
        options={
            "certificate": Field((str,), choices=TLS_CERTIFICATES),
            "dns_plugin": TEXT,
            **CERTIFICATE,
        },
    ),
    "maintenance": Field((dict,), options=MAINTENANCE),
    "media": Field((dict,), options=MEDIA),
    **EDGE_FIELDS,
    "client_max_body_size_mb": _number(1, 102_400),
    "max_connections": _number(0, 65_535),
    "keep_releases": _number(2, 100),
    "switch": Field((str,), choices=SWITCHES),
    "apt_packages": TEXTS,
    "extra_packages": TEXTS,
    "python": TEXT,
    "python_path": TEXT,
    "requirements_path": TEXT,
    "writable_dirs": TEXTS,
    "outbound_network": SWITCH,
    "backup": SWITCH,
    "memory_mb": _number(64, 16_777_216),
    "package_index_url": SECRET,
    "package_index_ca_path": TEXT,
}

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The keys of an app in ``flask_apps``: their types, choices and ranges."""

from __future__ import annotations

from ..apps import STATES, TLS_CERTIFICATES
from .schema import Field

TEXT = Field((str,))
SECRET = Field((str,), secret=True)
SWITCH = Field((bool,))
TEXTS = Field((list,), elements=TEXT)


def _number(minimum: int, maximum: int) -> Field:
    return Field((int,), minimum=minimum, maximum=maximum)


def _seconds(minimum: int, maximum: int) -> Field:
    return Field((int, float), minimum=minimum, maximum=maximum)


REDIS_INSTANCE = Field((dict,), options={"maxmemory_mb": _number(8, 1_048_576), "port": _number(1024, 65535)})

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

APP_FIELDS = {
    "state": Field((str,), choices=STATES),
    "domains": Field((list,), elements=TEXT, required=True),
    "source": Field((dict,), options=SOURCE_FIELDS, required=True),
    "wsgi": Field((str,), required=True),
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
    "database": Field((bool, dict), options={"name": TEXT, "extensions": TEXTS}),
    "database_url": SECRET,
    "database_url_scheme": TEXT,
    "redis": Field((bool, dict), options={"queue": REDIS_INSTANCE, "cache": REDIS_INSTANCE}),
    "redis_password": SECRET,
    "migrations": Field((str,), choices=("auto", "flask", "alembic", "none")),
    "migrations_dir": TEXT,
    "migration_command": TEXT,
    "migration_lock_timeout_seconds": _seconds(1, 600),
    "migration_timeout_seconds": _seconds(10, 86_400),
    "migration_statement_timeout_seconds": _seconds(0, 86_400),
    "flask_app": TEXT,
    "release_command": Field((str, list), elements=TEXT),
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
    "tls": Field((dict,), options={"certificate": Field((str,), choices=TLS_CERTIFICATES)}),
    "maintenance": Field((dict,), options=MAINTENANCE),
    "client_max_body_size_mb": _number(1, 102_400),
    "keep_releases": _number(2, 100),
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

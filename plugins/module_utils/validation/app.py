# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One app of ``flask_apps``: what types and ranges cannot say."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from ..apps import MEDIA_DEFAULTS, OWN, as_list, is_absent
from ..errors import RingstandError
from ..procfile import WSGI, read
from .app_fields import APP_FIELDS
from .domains import check_domain, check_domains
from .edge import check_edge
from .maintenance import check_maintenance
from .names import check_app_name, check_database_name, check_environment, check_packages, check_role_name
from .problems import Problems, join
from .processes import check_commands, check_processes, check_webhook
from .redis import check_redis
from .schema import check_keys
from .secrets import check_postgresql_password, check_secret, check_url
from .sources import URL_PASSWORD, app_folder, check_absolute_path, check_relative_dir, check_source
from .tls import check_tls

WORKER_CLASSES = ("gthread", "sync", "gevent")
WORKER_CLASS_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
DATABASE_SCHEME = re.compile(r"postgres(ql)?(\+[a-z0-9]+)?")
DATABASE_SCHEMES = ("postgresql", "postgres", "mysql", "mariadb", "sqlite", "oracle", "mssql")
URL_PATH = re.compile(r"/[^\s\0]*")


def _text(app: Mapping[str, Any], key: str) -> str | None:
    value = app.get(key)
    return value if isinstance(value, str) else None


def _mapping(app: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = app.get(key)
    return value if isinstance(value, dict) else {}


def _number(app: Mapping[str, Any], key: str, default: float) -> float:
    value: Any = app.get(key)
    return value if type(value) in (int, float) else default


def _check_wsgi(app: Mapping[str, Any], path: str, problems: Problems) -> None:
    """Without it, the Procfile has to say it; whether it does can be seen here of a folder on this machine."""
    folder = None if _text(app, "wsgi") else app_folder(_mapping(app, "source"))
    if not folder:
        return
    try:
        procfile = read(folder)
    except RingstandError as error:
        problems.add(join(path, "source.path"), error.message.rstrip("."), "Or set wsgi")
        return
    if procfile.wsgi is None:
        remedy = 'Write it as "module:attribute" or "module:factory()"'
        problems.add(join(path, "wsgi"), f"this is required, because {procfile.wsgi_problem}", remedy)


def _check_process(app: Mapping[str, Any], path: str, problems: Problems) -> None:
    wsgi, worker_class = _text(app, "wsgi"), _text(app, "worker_class")
    if wsgi and (not WSGI.fullmatch(wsgi) or wsgi.split(":")[0].endswith(".py")):
        remedy = 'Write "module:attribute" or "module:factory()"'
        problems.add(join(path, "wsgi"), "this does not name a module and its attribute", remedy, wsgi)
    if worker_class and worker_class not in WORKER_CLASSES and not WORKER_CLASS_PATH.fullmatch(worker_class):
        remedy = f"Choose {', '.join(WORKER_CLASSES)} or the dotted path of a class"
        problems.add(join(path, "worker_class"), "gunicorn has no such kind of worker for Flask", remedy, worker_class)
    threads = _number(app, "threads", 1)
    if worker_class in WORKER_CLASSES and worker_class != "gthread" and threads > 1:
        rule = f"threads have no meaning with worker_class {worker_class}"
        problems.add(join(path, "threads"), rule, "Remove it or choose worker_class gthread", threads)
    timeout, graceful = _number(app, "timeout_seconds", 30), _number(app, "graceful_timeout_seconds", 30)
    if graceful < timeout:
        rule = f"it is less than timeout_seconds ({timeout}), so that a deploy would cut requests which are allowed"
        remedy = f"Set it to {timeout} or more"
        problems.add(join(path, "graceful_timeout_seconds"), rule, remedy, graceful)


def _check_database(app: Mapping[str, Any], path: str, problems: Problems) -> None:
    database, url = app.get("database"), app.get("database_url")
    if url and (database is True or isinstance(database, dict)):
        rule = "database_url names a database elsewhere, but database asks for a local one"
        problems.add(join(path, "database"), rule, "Remove one of both")
    check_url(url, DATABASE_SCHEMES, join(path, "database_url"), problems)
    direct, here = app.get("migration_database_url"), join(path, "migration_database_url")
    if direct and not url:
        rule = "it is the direct way to the database of database_url, which is not set"
        problems.add(here, rule, "Set database_url as well, or remove it")
    elif direct and str(direct).partition("://")[0] != str(url).partition("://")[0]:
        problems.add(here, "it begins with another scheme than database_url", "The app reads both, so write the same")
    scheme = _text(app, "database_url_scheme")
    if scheme is not None and not DATABASE_SCHEME.fullmatch(scheme):
        remedy = "Write postgresql or postgresql+driver"
        problems.add(join(path, "database_url_scheme"), "this is not PostgreSQL", remedy, scheme)
    settings = _mapping(app, "database")
    if isinstance(settings.get("name"), str):
        check_database_name(settings["name"], join(join(path, "database"), "name"), problems)
    readers = settings.get("readers")
    for position, reader in enumerate(readers if isinstance(readers, list) else []):
        if isinstance(reader, dict):
            here = join(join(join(path, "database"), "readers"), position)
            check_role_name(str(reader.get("name", "")), join(here, "name"), problems)
            check_postgresql_password(reader.get("password"), join(here, "password"), problems)
    if app.get("migrations") == "flask" and database is False and not url:
        rule = "the app has no database to migrate"
        problems.add(join(path, "migrations"), rule, "Set migrations: none, or give it a database", "flask")
    if app.get("migrations") == "none" and app.get("migration_command"):
        remedy = "Remove one of both"
        problems.add(join(path, "migration_command"), "it does not run with migrations: none", remedy)
    lock = _number(app, "migration_lock_timeout_seconds", 5)
    if lock > _number(app, "migration_timeout_seconds", 1800):
        rule = "the wait for a lock is longer than migration_timeout_seconds"
        problems.add(join(path, "migration_lock_timeout_seconds"), rule, "Lower it", lock)


def _check_health(app: Mapping[str, Any], path: str, problems: Problems) -> None:
    health = _mapping(app, "health")
    url_path = _text(health, "path")
    if url_path is not None and not URL_PATH.fullmatch(url_path):
        problems.add(
            join(path, "path"), "the path does not begin with '/'", "Write only the path, as /health", url_path
        )
    if "host" in health:
        check_domain(health["host"], join(path, "host"), problems)
    if health.get("status") == []:
        problems.add(join(path, "status"), "no answer would count as healthy", "Name at least one, as [200]", [])


def check_static_url(url: Any, path: str, problems: Problems) -> None:
    """The path of a directory in URLs."""
    if isinstance(url, str) and not re.fullmatch(r"/[\w./-]*\w/", url):
        problems.add(path, "the URL does not begin and end with '/'", "Write it as /static/", url)


def _check_static(app: Mapping[str, Any], path: str, problems: Problems) -> None:
    static, source = _mapping(app, "static"), app_folder(_mapping(app, "source"))
    url, directory = _text(static, "url"), static.get("dir")
    check_static_url(url, join(path, "url"), problems)
    here = join(path, "dir")
    inside = directory is not None and check_relative_dir(directory, here, problems)
    if inside and source and not os.path.isdir(os.path.join(source, str(directory))):
        problems.add(here, "the source has no such directory", "Correct it or remove static", directory)


def _check_media(app: Mapping[str, Any], path: str, problems: Problems) -> None:
    media, static = _mapping(app, "media"), _mapping(app, "static")
    check_static_url(media.get("url"), join(path, "url"), problems)
    directory = _text(media, "dir")
    if directory is not None and not re.fullmatch(r"[\w-][\w.-]*", directory):
        rule = "a folder of the app's shared one has letters, digits, '_', '.' and '-', and is in no other folder"
        problems.add(join(path, "dir"), rule, "Write it as media", directory)
    if media and static and media.get("url", MEDIA_DEFAULTS["url"]) == static.get("url"):
        problems.add(join(path, "url"), "the static files are served there", "Choose another URL", static.get("url"))


def _check_paths(app: Mapping[str, Any], path: str, problems: Problems) -> None:
    for key in ("requirements_path", "migrations_dir", "python_path"):
        if app.get(key):
            check_relative_dir(app[key], join(path, key), problems)
    for position, directory in enumerate(as_list(app.get("writable_dirs"))):
        here = join(join(path, "writable_dirs"), position)
        if check_relative_dir(directory, here, problems) and not re.fullmatch(r"[\w./-]+", directory):
            problems.add(here, "a folder has letters, digits, '_', '.', '-' and '/'", "Rename it", directory)
    for key in ("python", "package_index_ca_path"):
        if app.get(key):
            check_absolute_path(app[key], join(path, key), problems)
    index, here = app.get("package_index_url"), join(path, "package_index_url")
    if isinstance(index, str) and index.startswith("http://") and URL_PASSWORD.match(index):
        problems.add(here, "the URL holds a password, which http sends in clear text", "Use https")
    check_url(index or None, ("https", "http", "file"), here, problems)
    check_packages(as_list(app.get("apt_packages")), join(path, "apt_packages"), problems)
    for position, package in enumerate(as_list(app.get("extra_packages"))):
        if isinstance(package, str) and not re.match(r"[A-Za-z0-9]", package):
            remedy = "Write it as name==version"
            problems.add(join(join(path, "extra_packages"), position), "this is not a requirement", remedy, package)


def check_release(app: Mapping[str, Any], path: str, problems: Problems) -> None:
    """What gunicorn and a release need to know; items of ``gunicorn_apps`` have these keys too."""
    if isinstance(app.get("source"), dict):
        check_source(app["source"], app, join(path, "source"), problems)
    _check_wsgi(app, path, problems)
    _check_process(app, path, problems)
    _check_health(app, join(path, "health"), problems)
    _check_static(app, join(path, "static"), problems)
    _check_media(app, join(path, "media"), problems)
    check_commands(app, path, problems)
    check_processes(app.get("processes"), join(path, "processes"), problems)
    check_webhook(app.get("webhook_url"), join(path, "webhook_url"), problems)
    check_url(app.get("migration_database_url"), DATABASE_SCHEMES, join(path, "migration_database_url"), problems)
    _check_paths(app, path, problems)


def check_app(name: str, app: Any, problems: Problems) -> None:
    """Every problem of one app, its overrides merged in."""
    path = join("flask_apps", name)
    check_app_name(name, path, problems)
    if not isinstance(app, dict):
        problems.add(path, "an app is described by a dictionary", "Give it domains and source", app)
        return
    if is_absent(app):
        return  # whatever else is written of it has no effect
    check_keys(app, APP_FIELDS, path, problems)
    tls = _mapping(app, "tls")
    wildcards = tls.get("certificate") == OWN or bool(tls.get("dns_plugin"))
    check_domains(as_list(app.get("domains")), join(path, "domains"), problems, wildcards)
    check_tls(app, path, problems)
    check_release(app, path, problems)
    _check_database(app, path, problems)
    check_maintenance(_mapping(app, "maintenance"), join(path, "maintenance"), problems)
    check_edge(app, path, problems)
    check_redis(app.get("redis"), join(path, "redis"), problems)
    redis = app.get("redis") is not False
    check_environment(_mapping(app, "environment"), join(path, "environment"), problems, redis)
    for key in ("secret_key", "redis_password"):
        check_secret(app.get(key), join(path, key), problems)

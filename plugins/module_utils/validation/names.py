# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Names that become users, databases, packages and environment variables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .problems import Problems, join

APP_NAME = re.compile(r"[a-z][a-z0-9_-]{0,30}")
ITEM_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
DATABASE_NAME = re.compile(r"[a-z_][a-z0-9_-]*")
PACKAGE_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")
ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# Users and groups of Debian and Ubuntu (base-passwd, and the packages that a host of ours or a cloud image has).
_SYSTEM_USERS = """
    root daemon bin sys sync games man lp mail news uucp proxy www-data backup list irc gnats nobody nogroup _apt adm
    admin ansible audio avahi cdrom chrony crontab debian deploy dialout dip disk dnsmasq fax floppy ftp fwupd input
    kmem kvm landscape lpadmin lxd messagebus mysql netdev nginx ntp operator plugdev polkitd pollinate postfix postgres
    redis render rtkit sasl sgx shadow ssh sshd ssl-cert staff sudo syslog systemd-journal systemd-network
    systemd-resolve systemd-timesync tape tcpdump tss tty ubuntu ufw users usbmux utmp uuidd vagrant video voice wheel
"""
# An app owns /run/<name>, /srv/<name>, units named ringstand-<name>.* and a PostgreSQL role and database of its name;
# these are somebody else's.
_OTHERS = """
    blkid cloud-init credentials cryptsetup dbus gunicorn initctl lock log lvm mount netns network postgresql ringstand
    screen shm systemd udev user boot restore postgres template0 template1 public none all sameuser samerole replication
"""
RESERVED_APP_NAMES = frozenset(_SYSTEM_USERS.split() + _OTHERS.split())
# Databases that exist already, and words with a meaning of their own in pg_hba.conf.
RESERVED_DATABASE_NAMES = frozenset(
    {"postgres", "template0", "template1", "all", "sameuser", "samerole", "samegroup", "replication"}
)
RESERVED_ROLE_NAMES = frozenset({"postgres", "public", "none", "all", "current_role", "current_user", "session_user"})
# PostgreSQL cuts longer names off silently (NAMEDATALEN - 1).
NAME_BYTES = 63

# What decides how the process runs is the units' business; a wrong value breaks every command of the app.
FORBIDDEN_ENVIRONMENT = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|IFS|ENV|BASH_ENV|LD_.*|PYTHONHOME|PYTHONPATH|PYTHONSTARTUP|PYTHONINSPECT|VIRTUAL_ENV"
    r"|GUNICORN_CMD_ARGS|LISTEN_.*|NOTIFY_SOCKET|MAINPID|WATCHDOG_.*|INVOCATION_ID|JOURNAL_STREAM|CREDENTIALS_DIRECTORY"
)
MANAGED_ENVIRONMENT = {
    "DATABASE_URL": "Set the app's database_url instead",
    "SECRET_KEY": "Set the app's secret_key instead",
    "REDIS_URL": "Set the app's redis, or redis: false and another name",
    "REDIS_CACHE_URL": "Set the app's redis, or redis: false and another name",
    "WEB_CONCURRENCY": "Set the app's workers instead",
    "FLASK_APP": "Set the app's flask_app instead",
    "RELEASE_ID": "Remove it; every release sets its own",
    "SENTRY_RELEASE": "Remove it; every release sets its own",
}
REDIS_ENVIRONMENT = ("REDIS_URL", "REDIS_CACHE_URL")


def check_app_name(name: str, path: str, problems: Problems, variable: str = "flask_apps") -> None:
    """An app's name is a user, a role, a database, a directory and part of unit names at once."""
    if not APP_NAME.fullmatch(name):
        rule = "a name has 1 to 31 characters: a lower-case letter, then lower-case letters, digits, '-' and '_'"
        problems.add(path, rule, f"Rename the app in {variable}", name)
    elif name in RESERVED_APP_NAMES or name.startswith(("systemd-", "pg_", "ringstand-")):
        rule = "the name belongs to the system, PostgreSQL or this collection"
        problems.add(path, rule, f"Rename the app in {variable}, for example '{name}-app'", name)


def check_item_name(name: Any, path: str, problems: Problems) -> None:
    """A name that becomes part of file and unit names, and of nothing else."""
    if not isinstance(name, str) or not ITEM_NAME.fullmatch(name):
        rule = "a name has 1 to 63 lower-case letters, digits, '-' and '_', and begins with a letter or digit"
        problems.add(path, rule, "Rename it", name)


def check_database_name(name: str, path: str, problems: Problems) -> None:
    """Names that need no quoting anywhere but in SQL, of at most 63 bytes, and not PostgreSQL's own."""
    if len(name.encode()) > NAME_BYTES:
        problems.add(path, f"a name in PostgreSQL has at most {NAME_BYTES} bytes", "Shorten it", name)
    elif name in RESERVED_DATABASE_NAMES:
        problems.add(path, "the name is reserved by PostgreSQL", "Choose another", name)
    elif not DATABASE_NAME.fullmatch(name):
        rule = "a name has lower-case letters, digits, '-' and '_', and begins with a letter or '_'"
        problems.add(path, rule, "Choose another", name)


def check_role_name(name: str, path: str, problems: Problems) -> None:
    """As a database's name, less PostgreSQL's own roles."""
    if name in RESERVED_ROLE_NAMES or name.startswith("pg_"):
        problems.add(path, "the name is reserved by PostgreSQL", "Choose another", name)
    else:
        check_database_name(name, path, problems)


def check_packages(names: list[Any], path: str, problems: Problems) -> None:
    """Names of Debian packages, without a version or an option."""
    for position, name in enumerate(names):
        if isinstance(name, str) and not PACKAGE_NAME.fullmatch(name):
            problems.add(join(path, position), "this is not the name of a package", "Write only its name", name)


def _environment_value_remedy(value: Any) -> str | None:
    if isinstance(value, (bool, float)):
        return "Put it in quotes, so that the app gets exactly this text"
    if value is None:
        return 'Write "" for an empty value, or remove it'
    if not isinstance(value, (str, int)):
        return "Write text, for example with the filter to_json"
    return None


def check_environment_names(environment: Mapping[Any, Any], path: str, problems: Problems) -> None:
    """Names that a shell would accept and that do not change how the process itself runs."""
    for name in map(str, environment):
        item = join(path, name)
        if not ENVIRONMENT_NAME.fullmatch(name):
            rule = "a name has letters, digits and '_', and does not begin with a digit"
            problems.add(item, rule, "Rename the variable")
        elif FORBIDDEN_ENVIRONMENT.fullmatch(name.upper()):
            problems.add(item, "this decides how the process itself runs", "Remove it")


def check_environment(environment: Mapping[Any, Any], path: str, problems: Problems, redis: bool = True) -> None:
    """The environment that a user gives an app; values are never shown, they may be secret."""
    check_environment_names(environment, path, problems)
    for key, value in environment.items():
        name = str(key)
        item = join(path, name)
        if name in MANAGED_ENVIRONMENT and (redis or name not in REDIS_ENVIRONMENT):
            problems.add(item, "the collection sets this itself", MANAGED_ENVIRONMENT[name])
        elif name == "FLASK_DEBUG" and str(value) != "0":
            problems.add(item, "debug mode lets a visitor run code", 'Remove it or write "0"')
        remedy = _environment_value_remedy(value)
        if remedy:
            problems.add(item, "the value must be text or an integer", remedy)
        elif "\0" in str(value):
            problems.add(item, "the value holds a NUL character, which no environment can", "Encode it, say in base64")

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Facts about a host, read from files and a few short commands."""

from __future__ import annotations

import fnmatch
import glob
import os
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from . import commands, storage
from .errors import RingstandError
from .firewall_state import read_firewall
from .kernel_settings import read as read_kernel_settings
from .layout import Layout, app_names
from .ssh_ports import ssh_client_address, ssh_ports
from .storage import read_text

_PACKAGE = re.compile(r"(?P<name>[a-z0-9][a-z0-9+.-]*)(?::(?P<architecture>[a-z0-9-]+))?(?:=(?P<version>[^\s=]+))?")
_PLUGIN_PREFIX = "python3-certbot-dns-"
_LOCALE = re.compile(r"\.utf-?8", re.IGNORECASE)
_FREE_SPACE_PATHS = ("/", "/var", "/srv")
_TIME_DAEMONS = ("systemd-timesyncd", "chrony", "ntpsec", "openntpd", "ntp")
_KERNEL_SETTINGS = ("net.core.somaxconn", "vm.overcommit_memory")
_MEBIBYTE = 1024 * 1024


def gather(packages: Iterable[str]) -> tuple[dict[str, Any], list[str]]:
    """All facts, and which of the packages are missing.

    A package is a name with an optional ``:architecture`` and ``=version`` (``*`` allowed in it), or several joined by
    ``|``, of which one is enough; the first one is then what is missing.
    Raises RingstandError for a package name that cannot be one.
    """
    wanted = [parse_package(package) for package in packages]
    release = read_os_release()
    names = [one["name"] for choices in wanted for one in choices]
    installed = installed_packages(["certbot", "systemd", "dpkg", *_TIME_DAEMONS, *names])
    facts = {
        "os_id": release.get("ID", ""),
        "os_version": release.get("VERSION_ID", ""),
        "os_codename": release.get("VERSION_CODENAME", ""),
        "architecture": next(iter(installed.get("dpkg", {})), os.uname().machine),
        "systemd_version": _systemd_version(installed),
        "container": read_text("/run/systemd/container").strip(),
        "memory_mb": memory_mb(),
        "cpu_count": cpu_count(),
        "free_mb": {path: free_mb(path) for path in _FREE_SPACE_PATHS},
        "ssh_ports": ssh_ports(),
        "ssh_client": ssh_client_address(),
        "time_daemon": next((name for name in _TIME_DAEMONS if name in installed), ""),
        "timezone": timezone(),
        "timezone_file_path": "/etc/timezone" if os.path.exists("/etc/timezone") else "",
        "locales": locales(),
        "locale_file_path": os.path.realpath("/etc/default/locale"),
        "firewall": read_firewall(),
        "apps_with_release": [name for name in app_names() if os.path.islink(Layout(name).live_link)],
        "kernel": read_kernel_settings(_KERNEL_SETTINGS),
        "certbot_version": re.split(r"[-+~]", next(iter(installed.get("certbot", {}).values()), ""))[0],
        "postgresql_clusters": postgresql_clusters(),
        "postgresql_storage": storage.read("/var/lib/postgresql"),
        # What apt itself looks at before it says "dpkg was interrupted".
        "dpkg_interrupted": any(name.isdigit() for name in _list("/var/lib/dpkg/updates")),
    }
    return facts, _missing(wanted, installed)


def missing_packages(packages: Iterable[str]) -> list[str]:
    """Which of the packages, as :func:`gather` takes them, are missing."""
    wanted = [parse_package(package) for package in packages]
    # Without a name dpkg would tell of all that there are.
    return _missing(wanted, installed_packages(one["name"] for choices in wanted for one in choices)) if wanted else []


def _missing(
    wanted: Iterable[list[dict[str, str]]], installed: Mapping[str, Mapping[str, str]]
) -> list[str]:
    return [choices[0]["text"] for choices in wanted if not any(is_installed(one, installed) for one in choices)]


def read_os_release(text: str | None = None) -> dict[str, str]:
    """os-release(5) as a dictionary."""
    found = {}
    if text is None:
        text = read_text("/etc/os-release") or read_text("/usr/lib/os-release")
    for line in text.splitlines():
        name, separator, value = line.strip().partition("=")
        if separator and not name.startswith("#"):
            try:
                found[name] = "".join(shlex.split(value))
            except ValueError:
                found[name] = value.strip("\"'")
    return found


def parse_package(text: str) -> list[dict[str, str]]:
    """The alternatives of one entry of a package list, each with name, architecture, version and text."""
    choices = []
    for choice in text.split("|"):
        match = _PACKAGE.fullmatch(choice.strip())
        if not match:
            raise RingstandError(
                f"Failed to check packages: {choice.strip()!r} is not a package such as 'nginx' or 'nginx=1.26*'"
            )
        choices.append({**{key: value or "" for key, value in match.groupdict().items()}, "text": choice.strip()})
    return choices


def installed_packages(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Versions of the installed ones by name and architecture, from one query."""
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Status}\t${Package}\t${Architecture}\t${Version}\n"]
    result = commands.run([*query, *sorted(set(names))])  # ends with 1 when it does not know a package
    if result.rc not in (0, 1):
        raise RingstandError(
            f"Failed to read package states: {result.stderr.strip()}", rc=result.rc, stderr=result.stderr
        )
    found: dict[str, dict[str, str]] = {}
    for line in result.stdout.splitlines():
        status, name, architecture, version = line.split("\t")
        if status == "installed":
            found.setdefault(name, {})[architecture] = version
    return found


def unavailable(missing: Iterable[str]) -> list[str]:
    """Those of certbot's plugins among the missing packages that the distribution does not have.

    Of others nobody can tell: they may be newer than the lists, or come from an archive that is not set up yet. Without
    lists, as on a fresh machine, it is for apt to say.
    """
    plugins = [package for package in missing if package.startswith(_PLUGIN_PREFIX)]
    known = commands.run(["apt-cache", "pkgnames", _PLUGIN_PREFIX]).stdout.split() if plugins else []
    return [package for package in plugins if known and package not in known]


def is_installed(package: Mapping[str, str], installed: Mapping[str, Mapping[str, str]]) -> bool:
    """Whether a parsed package is among the installed ones."""
    return any(
        package["architecture"] in ("", architecture) and fnmatch.fnmatchcase(version, package["version"] or "*")
        for architecture, version in installed.get(package["name"], {}).items()
    )


def _systemd_version(installed: Mapping[str, Mapping[str, str]]) -> int | None:
    """Of a systemd that runs this host; None when something else does."""
    match = re.match(r"(?:\d+:)?(\d+)", next(iter(installed.get("systemd", {}).values()), ""))
    return int(match.group(1)) if match and os.path.isdir("/run/systemd/system") else None


def memory_mb() -> int:
    """Memory in MiB that this host may use: what it has, or the limit of its container."""
    match = re.search(r"^MemTotal:\s+(\d+) kB", read_text("/proc/meminfo"), re.MULTILINE)
    sizes = [int(match.group(1)) * 1024] if match else []
    limit = read_text("/sys/fs/cgroup/memory.max").strip()
    sizes += [int(limit)] if limit.isdigit() else []
    return min(sizes, default=0) // _MEBIBYTE


def cpu_count() -> int:
    """Processors that this host may use: those it sees, or the quota of its container, rounded up."""
    count = len(os.sched_getaffinity(0))
    quota, period = read_text("/sys/fs/cgroup/cpu.max").strip().partition(" ")[::2]
    if quota.isdigit() and period.isdigit() and int(period):
        count = min(count, -(-int(quota) // int(period)))
    return max(count, 1)


def free_mb(path: str) -> int:
    """MiB free for unprivileged users on the file system on which the path is, or will be."""
    while not os.path.exists(path):
        path = os.path.dirname(path)
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize // _MEBIBYTE


def postgresql_clusters(root: str = "/") -> list[str]:
    """The PostgreSQL clusters that have data or a configuration, as Debian names them (17/main)."""
    data = glob.glob(os.path.join(root, "var/lib/postgresql/*/*/PG_VERSION"))
    known = glob.glob(os.path.join(root, "etc/postgresql/*/*/postgresql.conf"))
    return sorted({"/".join(path.split("/")[-3:-1]) for path in (*data, *known)})


def timezone() -> str:
    """The name of the time zone; empty when /etc/localtime does not tell."""
    try:
        return os.readlink("/etc/localtime").partition("/zoneinfo/")[2]
    except OSError:
        return ""


def locales() -> list[str]:
    """The locales that programs can use, with UTF-8 spelt as in LANG."""
    return sorted({_LOCALE.sub(".UTF-8", name) for name in commands.run(["locale", "-a"]).stdout.split()})


def _list(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []

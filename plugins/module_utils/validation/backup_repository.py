# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The second place of backups, as the user writes it in backup_repository."""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Mapping
from typing import Any

from .backup_values import NOT_FOR_BACKUPS, below
from .problems import Problems, join, nearest
from .schema import is_integer
from .secrets import is_placeholder

# Of each type what it needs, and what it may have beside it.
_BY_SSH = ("path", "host", "user", "private_key", "known_hosts")
NEEDED = {
    "sftp": _BY_SSH,
    "ssh": _BY_SSH,
    "s3": ("endpoint", "bucket", "access_key", "secret_key"),
    "path": ("path",),
}
OPTIONAL = {"sftp": ("port",), "ssh": ("port",), "s3": ("path", "region", "path_style", "ca_certificate"), "path": ()}
COMMON = ("type", "name", "retention_full_count", "retention_files_days", "dumps", "replaces")
_SAFE_PATH = re.compile(r"/[A-Za-z0-9/._-]*")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:_-]{0,252}")
_ENDPOINT = re.compile(r"(?:https://)?[A-Za-z0-9][A-Za-z0-9.-]*(?::\d{1,5})?/*")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_MACHINE = re.compile(r"[0-9a-f]{8}")
_REGION = re.compile(r"[A-Za-z0-9-]{1,50}")
_PRIVATE_KEY = re.compile(r"-----BEGIN ([A-Z0-9 ]*)PRIVATE KEY-----\n.+\n-----END \1PRIVATE KEY-----", re.DOTALL)
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\n.+\n-----END CERTIFICATE-----", re.DOTALL)
_SCAN = "Write the lines that ssh-keyscan prints of it, once you have compared them with the server's own"


def check_backup_repository(variable: str, value: Any, problems: Problems) -> None:
    """Everything that its type needs, nothing that belongs to another type, and each value usable."""
    if not isinstance(value, Mapping) or not value:
        return
    kind = value.get("type")
    if kind not in NEEDED:
        problems.add(join(variable, "type"), "it says how the place is reached", f"Write {', '.join(NEEDED)}", kind)
        return
    known = (*COMMON, *NEEDED[kind], *OPTIONAL[kind])
    for key in value:
        if key not in known:
            close = nearest(str(key), known)
            remedy = f"Do you mean {close}?" if close else "Remove it"
            problems.add(join(variable, str(key)), f"a repository of type {kind} has no such key", remedy)
    for key in NEEDED[kind]:
        if value.get(key) in (None, "", []):
            problems.add(join(variable, key), f"a repository of type {kind} needs it", "Add it")
    for key, check in _CHECKS.items():
        if key in known and value.get(key) not in (None, ""):
            check(join(variable, key), value[key], problems, value)


def _path(path: str, value: Any, problems: Problems, given: Mapping[str, Any]) -> None:
    if not _SAFE_PATH.fullmatch(str(value)) or ".." in str(value).split("/"):
        rule = "this is a path from / on, of letters, digits, '.', '_' and '-'"
        problems.add(path, rule, "Write one such as /backups", value)
    elif given["type"] == "path":
        folder = os.path.normpath(value)
        if folder == "/" or any(below(folder, directory) for directory in NOT_FOR_BACKUPS):
            problems.add(path, "backups do not belong there", "Name a directory of another disk, or of a mount", value)


def _text(pattern: re.Pattern[str], rule: str, remedy: str) -> Any:
    def check(path: str, value: Any, problems: Problems, _given: Mapping[str, Any]) -> None:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            problems.add(path, rule, remedy, value)

    return check


def _number(low: int, high: int) -> Any:
    def check(path: str, value: Any, problems: Problems, _given: Mapping[str, Any]) -> None:
        if not is_integer(value) or not low <= value <= high:
            problems.add(path, f"this is an integer from {low} to {high}", "Correct it", value)

    return check


def _boolean(path: str, value: Any, problems: Problems, _given: Mapping[str, Any]) -> None:
    if not isinstance(value, bool):
        problems.add(path, "this is true or false", "Write it without quotes", value)


def _private_key(path: str, value: Any, problems: Problems, _given: Mapping[str, Any]) -> None:
    if not isinstance(value, str) or not _PRIVATE_KEY.fullmatch(value.strip()):
        problems.add(path, "this is not the text of a private key", "Write the whole file, from a vault")
    elif _encrypted(value):
        remedy = "Take one without, for this purpose only: ssh-keygen -t ed25519 -N ''"
        problems.add(path, "this private key has a passphrase, which nobody could enter", remedy)


def _encrypted(key: str) -> bool:
    if "ENCRYPTED" in key:
        return True
    body = "".join(line for line in key.strip().splitlines() if not line.startswith("-----"))
    try:
        data = base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        return False
    # "openssh-key-v1", a NUL, and the name of the cipher with its length (PROTOCOL.key of OpenSSH).
    return data.startswith(b"openssh-key-v1\0") and not data[15:].startswith(b"\0\0\0\x04none")


def _known_hosts(path: str, value: Any, problems: Problems, given: Mapping[str, Any]) -> None:
    port = given.get("port") or 22
    wanted = given.get("host") if port == 22 else f"[{given.get('host')}]:{port}"
    found = False
    for position, line in enumerate(value if isinstance(value, list) else []):
        words = str(line).split()
        if len(words) < 3 or not re.fullmatch(r"[a-z0-9@.-]+", words[1]) or not words[2].startswith("AAAA"):
            problems.add(join(path, position), "this is not a line of a known_hosts file", _SCAN, line)
        elif "\n" in str(line):
            problems.add(join(path, position), "these are several lines", "Make each an item of its own")
        else:
            found = found or words[0].startswith("|1|") or wanted in words[0].split(",")
    if value and not found and not any(item.path.startswith(path) for item in problems.errors):
        problems.add(path, f"no line is of {wanted}", _SCAN)


def _secret(path: str, value: Any, problems: Problems, _given: Mapping[str, Any]) -> None:
    if not isinstance(value, str) or not re.fullmatch(r"[!-~]{3,500}", value):
        problems.add(path, "this has printable characters and no space", "Copy it whole, from a vault")
    elif is_placeholder(value):
        problems.add(path, "the value is a placeholder", "Put the real one in, from a vault")


def _certificate(path: str, value: Any, problems: Problems, _given: Mapping[str, Any]) -> None:
    if not isinstance(value, str) or not _CERTIFICATE.fullmatch(value.strip()):
        problems.add(path, "this is not the text of a certificate (PEM)", "Write the whole file")


_CHECKS: dict[str, Any] = {
    "path": _path,
    "name": _text(_NAME, "a name has letters, digits, '.', '_' and '-'", "Rename it"),
    "host": _text(_HOST, "this is neither a host name nor an address", "Write it without a scheme or user"),
    "port": _number(1, 65535),
    "user": _text(re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@-]{0,99}"), "this is not the name of a user", "Correct it"),
    "private_key": _private_key,
    "known_hosts": _known_hosts,
    "endpoint": _text(_ENDPOINT, "an endpoint is a host, and it is reached by https", "Write it without the bucket"),
    "bucket": _text(_BUCKET, "a bucket has 3 to 63 lower-case letters, digits, '.' and '-'", "Correct it"),
    "region": _text(_REGION, "a region has letters, digits and '-'", "Correct it"),
    "access_key": _secret,
    "secret_key": _secret,
    "path_style": _boolean,
    "ca_certificate": _certificate,
    "retention_full_count": _number(1, 100),
    "retention_files_days": _number(1, 3650),
    "dumps": _boolean,
    "replaces": _text(_MACHINE, "a machine has 8 digits from 0 to f", "Copy it from the message, in quotes"),
}

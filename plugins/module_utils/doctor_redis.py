# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The Redis instances that an app uses, asked with what its process has in REDIS_URL and REDIS_CACHE_URL."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from urllib.parse import SplitResult, unquote, urlsplit

from . import loopback_tls, process_environment, switch
from .apps import REDIS_ADDRESS
from .doctor_findings import Finding
from .errors import RingstandError
from .layout import AppSettings

VARIABLES = ("REDIS_URL", "REDIS_CACHE_URL")
MEMORY_SHARE_MAX = 0.9
_SECONDS = 2.0


def check(settings: AppSettings) -> Iterator[Finding]:
    """Reachable, with room, and able to write."""
    if not switch.live_release(settings.layout):
        return
    environment = process_environment.read(settings)
    for variable in VARIABLES:
        url = urlsplit(environment.get(variable, ""))
        if not url.hostname or not _is_asked(url):
            continue
        where = f"the Redis in {variable} ({url.hostname}:{url.port or 6379})"
        try:
            found = information(url)
        except (OSError, RingstandError) as error:
            reason = error.message if isinstance(error, RingstandError) else error.strerror or str(error)
            purpose = "cache" if "CACHE" in variable else "queue"
            do = f"systemctl status redis-server@{settings.name}-{purpose}; then run site.yml"
            yield Finding(settings.name, f"{where} cannot be used: {reason}", do)
            continue
        yield from judge(settings.name, where, found)


def judge(app: str, where: str, found: dict[str, str]) -> Iterator[Finding]:
    """What an instance tells of itself. A cache that forgets is what it is for; one that keeps must not be full."""
    used, limit = int(found.get("used_memory", 0)), int(found.get("maxmemory", 0))
    if limit and used > limit * MEMORY_SHARE_MAX and found.get("maxmemory_policy") == "noeviction":
        what = f"{where} is {used / limit:.0%} full and forgets nothing: new jobs will be refused"
        yield Finding(app, what, "Do its workers run? Else raise redis.queue.maxmemory_mb of the app.")
    if int(found.get("evicted_keys", 0)) and found.get("maxmemory_policy", "").startswith("volatile"):
        yield Finding(app, f"{where} has evicted {found['evicted_keys']} keys", "Raise its maxmemory_mb.")
    if found.get("aof_last_write_status", "ok") != "ok":
        yield Finding(app, f"{where} cannot write to its disk", "df -h /var/lib/redis; journalctl of its unit")
    if int(found.get("rejected_connections", 0)):
        what = f"{where} has refused {found['rejected_connections']} connections since its start"
        yield Finding(app, what, "The app opens too many: use one pool per process.")


def information(url: SplitResult) -> dict[str, str]:
    """What INFO answers, by name. Raises OSError and :class:`RingstandError`."""
    with contextlib.ExitStack() as stack:
        place = (url.hostname or "", url.port or 6379)
        connection = stack.enter_context(socket.create_connection(place, timeout=_SECONDS))
        if url.scheme == "rediss":
            connection = stack.enter_context(loopback_tls.unverified().wrap_socket(connection))
        stream = connection.makefile("rwb")
        if url.password:
            user = [unquote(url.username)] if url.username else []
            _ask(stream, "AUTH", *user, unquote(url.password))
        answer = _ask(stream, "INFO")
    pairs = (line.partition(":") for line in answer.splitlines() if not line.startswith("#"))
    return {name: value for name, _colon, value in pairs if name}


def _is_asked(url: SplitResult) -> bool:
    """Over TLS only an instance of this host: how an app verifies another one may be in the app and not in its URL."""
    return url.scheme == "redis" or (url.scheme == "rediss" and url.hostname == REDIS_ADDRESS)


def _ask(stream: object, *words: str) -> str:
    encoded = [word.encode() for word in words]
    request = b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)
    stream.write(request)  # type: ignore[attr-defined]
    stream.flush()  # type: ignore[attr-defined]
    line = stream.readline().decode().rstrip("\r\n")  # type: ignore[attr-defined]
    if not line or line.startswith("-"):
        raise RingstandError(f"it refused {words[0]}: {line[1:] or 'it closed the connection'}")
    if line.startswith("$"):
        return bytes(stream.read(int(line[1:]) + 2)).decode(errors="replace")  # type: ignore[attr-defined]
    return line[1:]

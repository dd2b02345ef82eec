"""Visitors: keep-alive connections over TLS that ask many times a second and never retry.

Not as fast as they can: a saturated machine would measure its own queue, and slow down what runs beside it. At their
usual pace they are a hundred requests a second, which no gap of a tenth of a second escapes.
"""

from __future__ import annotations

import collections
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from probe import Connection

PAUSE_SECONDS = 0.05


@dataclass
class Seen:
    """What the visitors got: answers by release, and everything that was not the expected answer."""

    releases: collections.Counter[str] = field(default_factory=collections.Counter)
    posts: int = 0
    failures: collections.Counter[str] = field(default_factory=collections.Counter)


def visit(address: str, name: str, pause_seconds: float, seen: Seen, stop: threading.Event) -> None:
    order = json.dumps({"product": "none-of-that-name"}).encode()
    connection = Connection(address, 443, name, 40)
    while not stop.is_set():
        try:
            connection.request("GET", "/health")
            answer = connection.getresponse()
            body = answer.read()
            if answer.status == 200:
                seen.releases[json.loads(body)["release"]] += 1
            else:
                seen.failures[f"GET {answer.status}"] += 1
            connection.request("POST", "/orders", body=order, headers={"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            if answer.status == 404:  # the app's own answer: it looked in its database and knows no such product
                seen.posts += 1
            else:
                seen.failures[f"POST {answer.status}"] += 1
        except Exception as error:
            seen.failures[type(error).__name__] += 1
            connection.close()
        stop.wait(pause_seconds)
    connection.close()


@contextlib.contextmanager
def visitors(address: str, name: str, count: int = 4, pause_seconds: float = PAUSE_SECONDS) -> Iterator[Seen]:
    """Let ``count`` visitors ask during the block."""
    seen, stop = Seen(), threading.Event()
    threads = [threading.Thread(target=visit, args=(address, name, pause_seconds, seen, stop), daemon=True)
               for _ in range(count)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    try:
        yield seen
        time.sleep(0.5)
    finally:
        stop.set()
        for thread in threads:
            thread.join(45)

"""Requests at a steady rate, whether or not those before were answered; what came of them as JSON.

  open_loop.py NAME PATH RATE SECONDS

Runs on the host that is asked, over TLS on its loopback address, with the standard library only. A connection is used
again once it has answered, so that as many are open as requests are under way.
"""

from __future__ import annotations

import asyncio
import collections
import json
import ssl
import sys
import time

TIMEOUT_SECONDS = 60


class Visitors:
    """Connections that wait for their next request, and what was answered so far."""

    def __init__(self, name: str, path: str) -> None:
        self.name = name
        self.request = f"GET {path} HTTP/1.1\r\nHost: {name}\r\n\r\n".encode()
        self.idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.outcomes: collections.Counter[str] = collections.Counter()
        self.slowest = 0.0
        self.tls = ssl.create_default_context()
        self.tls.check_hostname, self.tls.verify_mode = False, ssl.CERT_NONE

    async def visit(self) -> None:
        began = time.monotonic()
        try:
            outcome = await asyncio.wait_for(self._ask(), TIMEOUT_SECONDS)
        except (OSError, EOFError, ValueError, asyncio.TimeoutError) as error:
            outcome = f"0 {type(error).__name__}"
        self.outcomes[outcome] += 1
        self.slowest = max(self.slowest, time.monotonic() - began)

    async def _ask(self) -> str:
        # An idle connection can be closed while a request is on its way, as any client has to know; a new one cannot.
        if self.idle:
            reader, writer = self.idle.pop()
            try:
                return await self._answer(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError):
                writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", 443, ssl=self.tls, server_hostname=self.name)
        return await self._answer(reader, writer)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        writer.write(self.request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status, *lines = head.split("\r\n")
        headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
        if "content-length" in headers:
            await reader.readexactly(int(headers["content-length"]))
        if "content-length" in headers and headers.get("connection") != "close":
            self.idle.append((reader, writer))
        else:
            writer.close()
        return status.split()[1]


async def main(name: str, path: str, rate: float, seconds: float) -> None:
    visitors, under_way = Visitors(name, path), set()
    began = time.monotonic()
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
        under_way.add(asyncio.ensure_future(visitors.visit()))
    sent = time.monotonic() - began
    await asyncio.gather(*under_way)
    sys.stdout.write(json.dumps({"outcomes": visitors.outcomes, "slowest_seconds": round(visitors.slowest, 2),
                                 "seconds": round(sent, 2)}))


asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])))

"""An app that is overloaded gets its share of nginx's connections and leaves the rest to the visitors of others."""

from __future__ import annotations

import asyncio
import ssl

import pytest
from once import once_per_host

OVERLOADED, WELL = "edge.example.com", "shop.example.com"
# Of four sites, one of which has said 100: see converge.yml.
SAID, OTHERS = 100, 3
MORE = 25


@pytest.fixture(scope="module", autouse=True)
def once(host):
    once_per_host(host, "overload")


def share(host) -> int:
    """With Debian's 768 connections for each process, of which a third is shared out."""
    third = 768 * int(host.check_output("nproc")) // 3
    return min((third - SAID) // OTHERS, 256)


async def ask(address: str, name: str, path: str) -> int:
    """The status of the answer."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(address, 443, ssl=context, server_hostname=name)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
        return int((await reader.readline()).split()[1])
    finally:
        writer.close()


async def overload(address: str, visitors: int) -> tuple[list[int], int]:
    """The statuses of those that were turned away, and that of a visit to another site meanwhile."""
    under_way = {asyncio.create_task(ask(address, OVERLOADED, "/slow")) for _visitor in range(visitors)}
    turned_away: set[asyncio.Task[int]] = set()
    while len(turned_away) < MORE and under_way:
        done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
        turned_away |= done
    other = await ask(address, WELL, "/static/shop.css")
    for task in under_way:
        task.cancel()
    await asyncio.gather(*under_way, return_exceptions=True)
    return [task.result() for task in turned_away], other


def test_it_gets_its_share_and_the_others_are_served(host):
    address = host.ansible.get_variables()["ansible_host"]
    turned_away, other = asyncio.run(overload(address, share(host) + MORE))
    assert (turned_away, other) == ([503] * MORE, 200)

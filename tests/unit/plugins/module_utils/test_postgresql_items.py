from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import postgresql_items

SHOP = {"domains": ["shop.example.com"], "source": {"path": "/shop"}}
READER = {"name": "shop_reader", "password": "Zq7-wr2_Xp9-m4K"}


def shop(**changes: Any) -> dict[str, Any]:
    return {"shop": {**SHOP, **changes}}


@pytest.mark.parametrize(
    ("changes", "connections", "memory"),
    [
        # 2 workers of 4 threads in 2 slots; 2 × 150 MB in 2 slots and 2 × 64 MB of Redis
        ({}, 16, 728),
        ({"switch": "in_place", "redis": False}, 8, 300),
        ({"workers": 3, "threads": 2, "memory_mb": 400}, 12, 928),
        ({"worker_class": "gevent", "workers": 1}, 30, 428),
        ({"processes": {"worker": {"command": "rq worker", "count": 2, "memory_mb": 256}}}, 26, 1240),
        ({"database": False}, 0, 728),
        ({"database_url": "postgresql://db.example.com/shop"}, 0, 728),
    ],
)
def test_what_an_app_takes(changes: dict[str, Any], connections: int, memory: int) -> None:
    assert postgresql_items.postgresql_connections(shop(**changes), 2, 4096) == connections
    assert postgresql_items.postgresql_reserved_memory(shop(**changes), 2, 4096) == memory


def test_readers_are_roles_of_their_database() -> None:
    apps = shop(database={"readers": [READER]})
    assert postgresql_items.postgresql_roles(apps) == [{"name": "shop"}, READER]
    assert postgresql_items.postgresql_databases(apps)[0]["readers"] == ["shop_reader"]

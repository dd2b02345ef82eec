"""What the redis role writes, with every condition both ways."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from role_templates import Role

PASSWORD = "p%$w\"#{{x}}' canary"
QUEUE = {"name": "shop-queue", "purpose": "queue", "port": 20123, "users": [{"name": "shop", "password": PASSWORD}]}
CACHE = {**QUEUE, "name": "shop-cache", "purpose": "cache", "port": 20124, "maxmemory_mb": 128}


def role(*instances: dict[str, Any], os_version: str = "13", container: str = "", **variables: Any) -> Role:
    facts = {"ringstand": {"os_version": os_version, "container": container, "kernel": {}}}
    return Role("redis", redis_instances=list(instances), ansible_facts=facts, **variables)


def files(*instances: dict[str, Any], **variables: Any) -> dict[str, dict[str, Any]]:
    return {entry["path"]: entry for entry in role(*instances, **variables).value("__redis_files")}


def configuration(instance: dict[str, Any], **variables: Any) -> list[str]:
    text = files(instance, **variables)[f"/etc/redis/redis-{instance['name']}.conf"]["content"]
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def users(instance: dict[str, Any], **variables: Any) -> list[str]:
    entry = files(instance, **variables)[f"/etc/redis/redis-{instance['name']}.acl"]
    assert "content" not in entry
    return entry["secret_content"].splitlines()


def test_a_queue_keeps_everything() -> None:
    assert configuration(QUEUE) == [
        "bind 127.0.0.1 -::1",
        "port 20123",
        "aclfile /etc/redis/redis-shop-queue.acl",
        "dir /var/lib/redis/shop-queue",
        "pidfile /run/redis-shop-queue/redis-server.pid",
        'logfile ""',
        "maxmemory 64mb",
        'save ""',
        "maxmemory-policy noeviction",
        "appendonly yes",
        "appendfsync everysec",
    ]


def test_a_cache_keeps_nothing() -> None:
    lines = configuration(CACHE)
    assert {"maxmemory 128mb", "maxmemory-policy allkeys-lru", "appendonly no", 'save ""'} <= set(lines)
    assert not any(line.startswith("appendfsync") for line in lines)


def test_other_addresses() -> None:
    assert configuration({**QUEUE, "bind": ["10.0.0.1"]})[0] == "bind 10.0.0.1"


def test_addresses_that_a_machine_may_lack() -> None:
    assert configuration({**QUEUE, "bind": ["0.0.0.0", "::"]})[0] == "bind 0.0.0.0 -::"


def test_with_a_certificate_nothing_is_said_in_the_clear() -> None:
    given = {"chain": "-----BEGIN CERTIFICATE-----\nx", "key": "-----BEGIN PRIVATE KEY-----\ncanary"}
    remote = {**QUEUE, "bind": ["10.0.0.1"], "tls": given}
    lines = configuration(remote)
    assert lines[:5] == [
        "bind 10.0.0.1", "port 0", "tls-port 20123", "tls-cert-file /etc/redis/redis-shop-queue.crt",
        "tls-key-file /etc/redis/redis-shop-queue.key",
    ]
    assert "canary" in files(remote)["/etc/redis/redis-shop-queue.key"]["secret_content"]
    units = role(remote, container="podman").value("__redis_units")
    assert "/etc/redis/redis-shop-queue.key" in units[0]["restart_if_newer"]
    theirs = {**QUEUE, "tls": {"chain_path": "/etc/tls/a.pem", "key_path": "/etc/tls/a.key"}}
    assert "tls-key-file /etc/tls/a.key" in configuration(theirs)
    for instance in (theirs, QUEUE):
        assert files(instance)["/etc/redis/redis-shop-queue.key"]["state"] == "absent"


def test_users() -> None:
    off, shop = users(QUEUE)
    assert off == "user default off"
    digest = hashlib.sha256(PASSWORD.encode()).hexdigest()
    assert shop.startswith(f"user shop on #{digest} ~* &* -@all +@read ")
    assert "-@dangerous" in shop
    assert "canary" not in json.dumps(files(QUEUE, CACHE))


@pytest.mark.parametrize(("instance", "allowed"), [(QUEUE, False), (CACHE, True)])
def test_only_a_cache_may_be_flushed(instance: dict[str, Any], allowed: bool) -> None:
    assert ("+flushdb" in users(instance)[1].split()) is allowed


def test_redis_6_0_knows_no_channels_and_no_missing_addresses() -> None:
    assert "&*" not in users(QUEUE, os_version="22.04")[1]
    assert configuration(QUEUE, os_version="22.04")[0] == "bind 127.0.0.1 ::1"


def test_nobody_else_reads_the_users() -> None:
    entries = files(QUEUE, CACHE)
    written = [entry for path, entry in entries.items() if path.startswith("/etc/redis/") and "state" not in entry]
    assert {entry["mode"] for entry in written} == {"0640"}


@pytest.mark.parametrize(
    ("enabled", "container", "written"), [(True, "", True), (False, "", False), (True, "podman", False)]
)
def test_overcommit(enabled: bool, container: str, written: bool) -> None:
    options: dict[str, Any] = {"container": container, "redis_memory_overcommit_enabled": enabled}
    assert ("/etc/sysctl.d/50-ringstand-redis.conf" in files(QUEUE, **options)) is written
    units = role(QUEUE, **options).value("__redis_units")
    assert ("systemd-sysctl.service" in [unit["name"] for unit in units]) is written


def test_nothing_without_instances() -> None:
    assert files(redis_memory_overcommit_enabled=False) == {}
    assert role(container="podman").value("__redis_units") == []


def test_units() -> None:
    units = role(QUEUE, CACHE, container="podman").value("__redis_units")
    assert [unit["name"] for unit in units] == ["redis-server@shop-queue.service", "redis-server@shop-cache.service"]
    assert "/etc/redis/redis-shop-queue.acl" in units[0]["restart_if_newer"]

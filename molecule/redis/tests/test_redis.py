"""What a host with the role looks like, asked as root and as clients over TCP."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from once import once_per_host

PASSWORD = "canary%$w\"#ä'shop"
PORTS = {"queue": 20123, "cache": 20124}
TLS_PORT = 20125
DENIED = [
    "ACL LIST",
    "BGREWRITEAOF",
    "CLIENT KILL TYPE normal",
    "CLIENT PAUSE 1",
    "CONFIG GET dir",
    "DEBUG SLEEP 0",
    "EVAL return(redis.call('FLUSHALL')) 0",
    "FLUSHALL",
    "MIGRATE 127.0.0.1 1 a 0 1",
    "MODULE LIST",
    "MONITOR",
    "REPLICAOF 127.0.0.1 1",
    "SAVE",
    "SHUTDOWN",
    "SLOWLOG GET",
    "SWAPDB 0 1",
]


def ask(host: Any, purpose: str, command: str, user: str = "shop", password: str = PASSWORD) -> str:
    """The answer to a command after logging in."""
    login = ["--user", user, "--no-auth-warning"] if user else []
    words = ["timeout", "5", "redis-cli", "-p", str(PORTS[purpose]), *login, *command.split()]
    return host.run("REDISCLI_AUTH=%s " + " ".join(["%s"] * len(words)), password, *words).stdout.strip()


@pytest.fixture(scope="module")
def clients(host: Any) -> Any:
    """Once on each distribution: neither a neighbour nor a restart changes what a client may do; the rest says so."""
    once_per_host(host, "redis-clients")
    if host.check_output("hostname") == "redis-existing":
        pytest.skip("redis-13 has the same packages")
    return host


def run_client(host: Any, client: str, purpose: str) -> Any:
    url = f"redis://shop:{quote(PASSWORD, safe='')}@127.0.0.1:{PORTS[purpose]}/0"
    return host.run("timeout 60 python3 -W ignore /usr/local/lib/clients.py %s %s", client, url)


def test_it_listens_on_loopback_only(host: Any) -> None:
    listening = {name for name in host.socket.get_listening_sockets() if name.rsplit(":", 1)[-1] in ("20123", "20124")}
    assert {"tcp://127.0.0.1:20123", "tcp://127.0.0.1:20124"} <= listening
    assert host.socket("tcp://0.0.0.0:20125").is_listening  # with a certificate
    assert listening <= {f"tcp://{address}:{port}" for address in ("127.0.0.1", "::1") for port in PORTS.values()}


def test_the_packages_own_instance(host: Any) -> None:
    existing = host.check_output("hostname") == "redis-existing"
    assert host.socket("tcp://127.0.0.1:6379").is_listening is existing
    assert host.service("redis-server").is_masked is not existing


@pytest.mark.parametrize("purpose", PORTS)
def test_units_and_files(host: Any, purpose: str) -> None:
    unit = host.service(f"redis-server@shop-{purpose}.service")
    assert unit.is_running
    assert unit.is_enabled
    for name in (f"redis-shop-{purpose}.conf", f"redis-shop-{purpose}.acl"):
        file = host.file(f"/etc/redis/{name}")
        assert (file.user, file.group, file.mode) == ("root", "redis", 0o640)
    assert host.file(f"/var/lib/redis/shop-{purpose}").mode == 0o750


@pytest.mark.parametrize("purpose", PORTS)
def test_nobody_else_gets_in(host: Any, purpose: str) -> None:
    assert "NOAUTH" in ask(host, purpose, "PING", user="", password="")
    assert "WRONGPASS" in ask(host, purpose, "PING", password="wrong").upper() + ask(host, purpose, "AUTH shop wrong")
    assert "WRONGPASS" in ask(host, purpose, "AUTH default x", user="", password="")
    assert ask(host, purpose, "PING") == "PONG"


@pytest.mark.parametrize("purpose", PORTS)
def test_the_server_itself_is_out_of_reach(host: Any, purpose: str) -> None:
    # One connection each, because a refused one may be closed; one round trip for all.
    login = "REDISCLI_AUTH=%s timeout 5 redis-cli --user shop --no-auth-warning -p %s"
    loop = "printf %s | while read -r command; do echo $(" + login + " $command </dev/null 2>&1); done"
    answers = host.run(loop, "\n".join(DENIED) + "\n", PASSWORD, str(PORTS[purpose])).stdout.splitlines()
    refused = ("NOPERM", "ACL failure", "can't run this command", "DEBUG command not allowed")
    allowed = [item for item in zip(DENIED, answers) if not any(text in item[1] for text in refused)]
    assert (allowed, len(answers)) == ([], len(DENIED))


@pytest.mark.parametrize("client", ["plain", "rq", "celery", "session", "limiter"])
@pytest.mark.parametrize("purpose", PORTS)
def test_clients_work(clients: Any, purpose: str, client: str) -> None:
    done = run_client(clients, client, purpose)
    assert done.rc == 0, done.stderr


@pytest.mark.parametrize(("client", "checked"), [
    *((client, "ssl_cert_reqs=required&ssl_ca_certs=/etc/tls/redis.pem") for client in ("plain", "rq", "celery")),
    *((client, "ssl_cert_reqs=none") for client in ("plain", "celery", "session", "limiter")),  # as an app on the host
])
def test_clients_work_over_tls(clients: Any, client: str, checked: str) -> None:
    local = checked == "ssl_cert_reqs=none"
    address = "127.0.0.1" if local else clients.check_output("hostname -I").split()[0]
    url = f"rediss://shop:{quote(PASSWORD, safe='')}@{address}:{TLS_PORT}/0?{checked}"
    done = clients.run("timeout 60 python3 -W ignore /usr/local/lib/clients.py %s %s", client, url)
    assert done.rc == 0, done.stderr


def test_there_is_nothing_without_tls(host: Any) -> None:
    assert "PONG" not in host.run(f"timeout 5 redis-cli -p {TLS_PORT} PING").stdout
    version = "openssl s_client -connect 127.0.0.1:20125 FLAG </dev/null 2>/dev/null | grep -c 'Cipher is [A-Z]'"
    assert [host.run(version.replace("FLAG", flag)).stdout.strip() for flag in ("-tls1_2", "-tls1_1")] == ["1", "0"]


@pytest.mark.parametrize("purpose", PORTS)
def test_flask_limiter_works(clients: Any, purpose: str) -> None:
    if clients.check_output("hostname") == "redis-12":
        pytest.skip("Debian 12 has the library below it only, which is tested above")
    done = run_client(clients, "flask_limiter", purpose)
    assert done.rc == 0, done.stderr


def test_a_cache_is_cleared(clients: Any) -> None:
    done = run_client(clients, "caching", "cache")
    assert done.rc == 0, done.stderr


def test_a_queue_is_not_flushed(host: Any) -> None:
    assert "NOPERM" in ask(host, "queue", "FLUSHDB")


@pytest.mark.parametrize(
    ("purpose", "policy", "persists"), [("queue", "noeviction", "1"), ("cache", "allkeys-lru", "0")]
)
def test_memory_and_persistence(host: Any, purpose: str, policy: str, persists: str) -> None:
    found = dict(line.split(":", 1) for line in ask(host, purpose, "INFO").split() if ":" in line)
    assert (found["maxmemory"], found["maxmemory_policy"]) == (str(16 * 1024 * 1024), policy)
    assert found["aof_enabled"] == persists


def test_a_full_queue_refuses_and_a_full_cache_evicts(host: Any) -> None:
    login = "REDISCLI_AUTH=%s timeout 20 redis-cli --user shop --no-auth-warning -p %s EVAL %s 0"
    fill = "for i=1,200 do redis.call('SET','fill:'..i,string.rep('x',131072)) end return 'filled'"
    clear = "for i=1,200 do redis.call('DEL','fill:'..i) end"
    for purpose, answer in (("cache", "filled"), ("queue", "OOM")):
        # The limit counts when a script begins, so the second one meets it.
        host.run(login, PASSWORD, str(PORTS[purpose]), fill)
        assert answer in host.run(login, PASSWORD, str(PORTS[purpose]), fill).stdout
        host.run(login, PASSWORD, str(PORTS[purpose]), clear)


def test_a_queue_outlives_a_restart_and_a_cache_does_not(host: Any) -> None:
    for purpose in PORTS:
        assert ask(host, purpose, "SET job 42") == "OK"
        assert host.run(f"systemctl restart redis-server@shop-{purpose}.service").rc == 0
    assert ask(host, "queue", "GET job") == "42"
    assert ask(host, "cache", "GET job") == ""


def test_a_queue_outlives_a_restart_of_the_host(host: Any) -> None:
    if host.file("/root/marked").exists:
        assert ask(host, "queue", "GET mark") == "42"
    else:
        assert ask(host, "queue", "SET mark 42") == "OK"
        host.run_expect([0], "touch /root/marked")


def test_the_password_is_nowhere(host: Any) -> None:
    assert host.run("grep -rl '[c]anary' /etc /var/lib/redis /var/log/redis").stdout == ""
    assert host.run("journalctl --no-pager | grep '[c]anary' | grep -v 'REDISCLI_AUTH\\|clients.py'").stdout == ""

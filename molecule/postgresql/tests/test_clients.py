"""A reader of a database, and a client from outside: one in a network namespace of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from test_postgresql import over_tcp, psql, sql

READER_PASSWORD = "canary%$w\"#ä'report"
BLOG_PASSWORD = "canary%$w\"#ä'blog"


@pytest.fixture(scope="module")
def outside(host: Any) -> Iterator[None]:
    if sql(host, "SHOW listen_addresses") != "*":
        pytest.skip("no clients, or the cluster of somebody else still has to be restarted for them")
    host.run("ip netns del outside; ip link del to-outside")
    for command in (
        "netns add outside",
        "link add to-outside type veth peer name eth0 netns outside",
        "address add 10.99.0.1/24 dev to-outside",
        "link set to-outside up",
        "-n outside address add 10.99.0.2/24 dev eth0",
        "-n outside address add 10.99.0.3/24 dev eth0",
        "-n outside link set eth0 up",
    ):
        host.check_output(f"ip {command}")
    yield
    host.run("ip netns del outside")


def connect(
    host: Any, user: str = "report", database: str = "shop", mode: str = "verify-full", source: str = ""
) -> Any:
    """As somebody outside who has a copy of the certificate."""
    host.check_output("cp /etc/postgresql/*/main/ringstand-server.crt /tmp/server.crt")
    password = READER_PASSWORD if user == "report" else BLOG_PASSWORD
    name = host.check_output("hostname")
    where = f"host={name} hostaddr=10.99.0.1 user={user} dbname={database} sslmode={mode} sslrootcert=/tmp/server.crt"
    query = "SELECT version, current_user FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    if source:
        host.check_output("ip -n outside route replace 10.99.0.1 dev eth0 src %s", source)
    else:
        host.run("ip -n outside route del 10.99.0.1")
    return host.run("PGPASSWORD=%s ip netns exec outside psql -XAtw %s -c %s", password, where, query)


def test_a_client_connects_with_tls_and_knows_the_server(host: Any, outside: None) -> None:
    done = connect(host)
    assert done.rc == 0, done.stderr
    assert done.stdout.strip() in ("TLSv1.3|report", "TLSv1.2|report")


def test_nobody_else_connects_from_outside(host: Any, outside: None) -> None:
    assert "no encryption" in connect(host, mode="disable").stderr
    assert "no pg_hba.conf entry" in connect(host, user="blog", database="blog-1").stderr
    assert "no pg_hba.conf entry" in connect(host, database="postgres").stderr
    assert "no pg_hba.conf entry" in connect(host, source="10.99.0.3").stderr


def test_the_servers_key_is_secret(host: Any) -> None:
    keys = host.run("stat -c %a:%U:%G /etc/postgresql/*/main/ringstand-server.key").stdout.split()
    assert all(key == "640:root:postgres" for key in keys)


def test_a_reader_reads_and_changes_nothing(host: Any) -> None:
    sql(host, "CREATE TABLE IF NOT EXISTS later AS SELECT 3 AS number", "shop", "shop")
    read = host.run(
        "PGPASSWORD=%s psql -XAtw -h 127.0.0.1 -U report -d shop -c 'SELECT number FROM later'", READER_PASSWORD
    )
    assert read.stdout.strip() == "3", read.stderr
    for change in ("INSERT INTO later VALUES (4)", "CREATE TABLE mine ()", "CREATE TEMP TABLE mine ()"):
        done = host.run("PGPASSWORD=%s psql -XAtw -h 127.0.0.1 -U report -d shop -c %s", READER_PASSWORD, change)
        assert "read-only transaction" in done.stderr or "permission denied" in done.stderr
    free = "SET default_transaction_read_only = off"
    command = "PGPASSWORD=%s psql -XAtw -h 127.0.0.1 -U report -d shop -c %s -c 'INSERT INTO later VALUES (4)'"
    done = host.run(command, READER_PASSWORD, free)
    assert "permission denied for table later" in done.stderr
    assert "permission denied for database" in over_tcp(host, "report", READER_PASSWORD, "blog-1").stderr


def test_statements_are_counted(host: Any) -> None:
    libraries = sql(host, "SHOW shared_preload_libraries")
    if not libraries:
        pytest.skip("the cluster of somebody else still has to be restarted")
    assert libraries == "pg_stat_statements"
    assert int(sql(host, "SELECT count(*) FROM pg_stat_statements", database="shop")) > 0


def test_a_slow_statement_is_logged_without_its_values(host: Any) -> None:
    if not host.run("psql --version | grep -E ' (1[6-9]|2)'").stdout:
        pytest.skip("this psql cannot bind values")
    script = "printf 'SELECT pg_sleep(1.05), $1 \\\\bind personal-data \\\\g\\n'"
    assert "personal-data" in host.check_output(f"{script} | runuser -u shop -- psql -XAt -h /run/postgresql -d shop")
    assert host.run("grep -r 'duration: 1[0-9]*' /var/log/postgresql").stdout
    assert host.run("grep -rl personal-data /var/log/postgresql").stdout == ""
    assert psql(host, "SHOW log_min_duration_statement").stdout.strip() == "1s"

"""What a host with the role looks like, asked as root, as the apps' users and over TCP."""

from __future__ import annotations

from typing import Any

import pytest

PASSWORD = "canary%$w\"#ä'blog"


@pytest.fixture
def existing(host: Any) -> bool:
    """Whether the cluster was there before the role."""
    return "legacy" in sql(host, "SELECT string_agg(rolname, ' ') FROM pg_roles")


@pytest.fixture
def config_dir(host: Any) -> str:
    return host.check_output("ls -d /etc/postgresql/*/main")


def psql(host: Any, query: str, user: str = "postgres", database: str = "postgres") -> Any:
    """A query over the socket as a system user."""
    return host.run("runuser -u %s -- psql -XAt -h /run/postgresql -d %s -c %s", user, database, query)


def sql(host: Any, query: str, user: str = "postgres", database: str = "postgres") -> str:
    done = psql(host, query, user, database)
    assert done.rc == 0, done.stderr
    return done.stdout.strip()


def over_tcp(host: Any, user: str, password: str, database: str) -> Any:
    return host.run("PGPASSWORD=%s psql -XAtw -h 127.0.0.1 -U %s -d %s -c 'SELECT 1'", password, user, database)


def test_it_listens_on_loopback_only(host: Any) -> None:
    if sql(host, "SHOW listen_addresses") != "localhost":
        pytest.skip("this host has remote clients")
    listening = {name for name in host.socket.get_listening_sockets() if name.endswith(":5432")}
    assert listening <= {"tcp://127.0.0.1:5432", "tcp://::1:5432"}
    assert "tcp://127.0.0.1:5432" in listening


def test_a_new_cluster_has_checksums_and_utf8(host: Any, existing: bool) -> None:
    assert sql(host, "SHOW data_checksums") == ("off" if existing else "on")
    query = "SELECT pg_encoding_to_char(encoding), datcollate FROM pg_database WHERE datname = "
    assert sql(host, query + "'shop'").startswith("UTF8|")
    assert existing or sql(host, query + "'template1'") == "UTF8|C.UTF-8"


def test_there_is_one_cluster(host: Any) -> None:
    assert len(host.check_output("pg_lsclusters --no-header").splitlines()) == 1


def test_the_settings_are_loaded(host: Any, config_dir: str, existing: bool) -> None:
    path = f"{config_dir}/conf.d/50-ringstand.conf"
    assert (host.file(path).user, host.file(path).mode) == ("root", 0o644)
    assert sql(host, "SHOW log_statement") == "all"
    assert sql(host, "SHOW password_encryption") == "scram-sha-256"
    assert sql(host, "SHOW jit") == "off"
    assert sql(host, "SELECT count(*) FROM pg_file_settings WHERE sourcefile LIKE '%50-ringstand.conf'") != "0"
    assert sql(host, "SELECT count(*) FROM pg_settings WHERE pending_restart") == "0" or existing
    assert sql(host, "SHOW shared_buffers") == "256MB" or existing


def test_an_app_connects_with_no_password(host: Any) -> None:
    assert sql(host, "SELECT current_user", "shop", "shop") == "shop"
    assert sql(host, "CREATE TABLE made (); DROP TABLE made; SELECT 1", "shop", "shop").endswith("1")


def test_nobody_connects_as_another(host: Any) -> None:
    done = host.run("runuser -u shop -- psql -h /run/postgresql -U blog -d blog-1 -c 'SELECT 1'")
    assert "Peer authentication failed" in done.stderr


def test_passwords_over_tcp(host: Any) -> None:
    assert over_tcp(host, "blog", PASSWORD, "blog-1").stdout.strip() == "1"
    assert "password authentication failed" in over_tcp(host, "blog", "wrong" + PASSWORD, "blog-1").stderr
    assert "password authentication failed" in over_tcp(host, "shop", "guess", "shop").stderr


def test_databases_are_their_owners(host: Any) -> None:
    assert "permission denied for database" in over_tcp(host, "blog", PASSWORD, "shop").stderr
    assert "permission denied for database" in psql(host, "SELECT 1", "shop", "blog-1").stderr
    pairs = "string_agg(datname || '=' || pg_get_userbyid(datdba), ' ' ORDER BY datname)"
    owners = sql(host, f"SELECT {pairs} FROM pg_database WHERE datname IN ('shop', 'blog-1')")
    assert owners == "blog-1=blog shop=shop"
    assert sql(host, "SELECT has_schema_privilege('public', 'public', 'CREATE')", database="shop") == "f"


def test_roles_have_what_is_listed(host: Any) -> None:
    query = "SELECT rolsuper, rolcreatedb, rolcanlogin, rolpassword ~ '^SCRAM' FROM pg_authid WHERE rolname = "
    assert sql(host, query + "'shop'") == "f|f|t|"
    assert sql(host, query + "'blog'") == "f|t|t|t"


def test_extensions(host: Any) -> None:
    found = sql(host, "SELECT string_agg(extname, ' ' ORDER BY extname) FROM pg_extension", database="shop")
    assert found == "citext pg_stat_statements pg_trgm plpgsql"


def test_no_password_is_in_a_log(host: Any) -> None:
    assert host.run("grep -l 'ALTER USER\\|CREATE USER' -r /var/log/postgresql").rc == 0, "statements are logged"
    assert host.run("grep -rl '[c]anary' /var/log/postgresql").stdout == ""
    # This file's own commands are there, with what they connect with.
    assert host.run("journalctl --no-pager | grep '[c]anary' | grep -v 'PGPASSWORD'").stdout == ""


def test_no_password_is_in_a_process_list(host: Any) -> None:
    assert host.run("grep -v 'PGPASSWORD\\|grep' /root/leaks").stdout == ""


def test_it_starts_at_boot(host: Any) -> None:
    assert host.service("postgresql").is_enabled


def test_what_was_there_is_still_there(host: Any, existing: bool) -> None:
    if existing:
        assert sql(host, "SELECT answer FROM data") == "42"
        query = "SELECT rolcreatedb, rolpassword IS NOT NULL FROM pg_authid WHERE rolname = 'legacy'"
        assert sql(host, query) == "t|t"
        assert sql(host, "SELECT has_database_privilege('public', 'legacy', 'CONNECT')") == "t"
    if sql(host, "SELECT to_regclass('visits')", database="shop"):
        assert sql(host, "SELECT count FROM visits", database="shop") == "7"

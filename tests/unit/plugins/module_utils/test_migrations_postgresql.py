# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Migrations on a real PostgreSQL, where the machine has its programs: locks, schemas, schemes, concurrent indexes."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from ansible_collections.ringstand.flask.plugins.module_utils.migration_runner import lock_key
from ansible_collections.ringstand.flask.plugins.module_utils.migrations import MigrationError, MigrationResult
from migrations_app import App, make_app  # type: ignore[import-not-found]

PASSWORD = "p%@:/ss word+"
ENCODED = "p%25%40%3A%2Fss%20word%2B"

pytestmark = pytest.mark.skipif(not shutil.which("initdb"), reason="this machine has no PostgreSQL server programs")


def as_server_user(path: Path) -> dict[str, Any]:
    """The server refuses to run as root: hand the folder to another user then."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name for entry in pwd.getpwall()}
    user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    os.chown(path, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A server in a folder, listening on a unix socket only; the folder's path is its host name.

    Not in pytest's own folder: each session closes that to other users again, and the server stops when it cannot
    read its files.
    """
    with tempfile.TemporaryDirectory(prefix="ringstand-postgresql-") as name:
        yield from run_server(Path(name))


def run_server(folder: Path) -> Iterator[str]:
    options = as_server_user(folder)
    subprocess.run(
        ["initdb", "-U", "admin", "--auth=trust", "--no-sync", "-D", f"{folder}/data"],
        check=True, capture_output=True, cwd=folder, **options,
    )  # fmt: skip
    settings = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={folder}", "-c", "fsync=off"]
    with subprocess.Popen(["postgres", "-D", f"{folder}/data", *settings], cwd=folder, **options) as process:
        for _attempt in range(100):
            try:
                psycopg.connect(host=str(folder), user="admin", dbname="postgres").close()
                break
            except psycopg.OperationalError:
                time.sleep(0.1)
        yield str(folder)
        process.terminate()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_app(tmp_path_factory.mktemp("template") / "app")


@pytest.fixture
def admin(server: str) -> Iterator[psycopg.Connection[Any]]:
    """Database "shop" of role "shop", new for each test; the connection is the superuser's."""
    with psycopg.connect(host=server, user="admin", dbname="postgres", autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS shop WITH (FORCE)")
        connection.execute("DROP ROLE IF EXISTS shop")
        connection.execute(f"CREATE ROLE shop LOGIN PASSWORD '{PASSWORD}'")
        connection.execute("CREATE DATABASE shop OWNER shop")
    with psycopg.connect(host=server, user="admin", dbname="shop", autocommit=True) as connection:
        yield connection


@pytest.fixture
def app(template: Path, tmp_path: Path, server: str, admin: psycopg.Connection[Any]) -> App:
    shutil.copytree(template, tmp_path / "app")
    return App(tmp_path / "app", f"postgresql://shop@/shop?host={server}")


def contents(admin: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    return admin.execute("SELECT relname, relkind, reltuples FROM pg_class WHERE oid > 16384 ORDER BY 1").fetchall()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://shop@/shop?host={host}",
        "postgres://shop@/shop?host={host}",
        "postgresql+psycopg://shop@/shop?host={host}",
        "postgresql://shop:" + ENCODED + "@/shop?host={host}",
    ],
)
def test_urls_as_people_write_them(app: App, server: str, url: str) -> None:
    app.url = url.format(host=server)
    result = app.migrate()
    assert (result.state, result.after) == ("upgraded", "c3")
    assert result.invalid_indexes == []
    assert app.migrate().state == "current"


def test_check_mode_changes_nothing(app: App, admin: psycopg.Connection[Any]) -> None:
    before = contents(admin)
    assert [entry["revision"] for entry in app.migrate(check=True).pending] == ["a1", "b2", "c3"]
    assert contents(admin) == before == []


def test_one_transaction_leaves_nothing_of_a_failure(app: App) -> None:
    (app.versions / "c3_index_of_notes.py").unlink()
    app.add_revision("d4", "b2", "op.execute('SELECT 1 / 0')")
    with pytest.raises(MigrationError) as caught:
        app.migrate()
    assert caught.value.kind == "failed"
    assert "stopped at revision d4; " in caught.value.message
    assert "DivisionByZero" in caught.value.message
    assert "the database is at no revision, 3 pending" in caught.value.message


def test_a_version_table_in_another_schema_is_found(app: App, admin: psycopg.Connection[Any]) -> None:
    app.migrate()
    admin.execute("CREATE SCHEMA audit AUTHORIZATION shop")
    admin.execute("ALTER TABLE alembic_version SET SCHEMA audit")
    assert app.migrate().state == "current"
    admin.execute("CREATE TABLE public.alembic_version (version_num text); GRANT ALL ON alembic_version TO shop")
    assert app.migrate(check=True).state == "pending"
    assert app.migrate(version_table="audit.alembic_version").state == "current"


def test_tables_of_an_extension_do_not_count(app: App, admin: psycopg.Connection[Any]) -> None:
    admin.execute("CREATE TABLE spatial_ref_sys (id int)")
    with pytest.raises(MigrationError) as caught:
        app.migrate()
    assert caught.value.kind == "unversioned_tables"
    admin.execute("CREATE EXTENSION pg_trgm; ALTER EXTENSION pg_trgm ADD TABLE spatial_ref_sys")
    assert app.migrate().state == "upgraded"


@pytest.mark.parametrize("retries", [0, 1])
def test_a_blocked_alter_is_retried_then_names_who_blocks(app: App, server: str, retries: int) -> None:
    app.migrate()
    app.add_revision("d4", "c3", "op.execute('ALTER TABLE customers ADD COLUMN age integer')")
    with psycopg.connect(host=server, user="shop", dbname="shop", application_name="report") as blocker:
        blocker.execute("SELECT count(*) FROM customers")
        pid = blocker.info.backend_pid
        with pytest.raises(MigrationError) as caught:
            app.migrate(lock_timeout_seconds=1, lock_retries=retries)
    error = caught.value
    assert error.kind == "lock_timeout"
    assert error.details["attempts"] == retries + 1
    assert [entry["pid"] for entry in error.details["blockers"]] == [pid]
    for word in ("report", "idle in transaction", "SELECT count(*) FROM customers", "lock_timeout_seconds", "at c3"):
        assert word in error.message
    assert app.migrate().after == "d4"


def test_who_blocks_is_named_when_locks_are_waited_for_without_limit(app: App, server: str) -> None:
    app.migrate()
    app.add_revision("d4", "c3", "op.execute('ALTER TABLE customers ADD COLUMN age integer')")
    with psycopg.connect(host=server, user="shop", dbname="shop", application_name="report") as blocker:
        blocker.execute("SELECT count(*) FROM customers")
        with pytest.raises(MigrationError, match=r"not granted within 8 s \(timeout_seconds\), tried 1 times.*report"):
            app.migrate(lock_timeout_seconds=0, timeout_seconds=8, lock_retries=3)


def test_a_lock_that_is_released_in_time_costs_a_retry_only(
    app: App, server: str, admin: psycopg.Connection[Any]
) -> None:
    app.migrate()
    app.add_revision("d4", "c3", "op.execute('ALTER TABLE customers ADD COLUMN age integer')")
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"

    def release_after_the_first_attempt(blocker: psycopg.Connection[Any]) -> None:
        for wanted in ((1,), (0,)):
            while admin.execute(waiting).fetchone() != wanted:
                time.sleep(0.05)
        blocker.rollback()

    with psycopg.connect(host=server, user="shop", dbname="shop") as blocker:
        blocker.execute("SELECT count(*) FROM customers")
        thread = threading.Thread(target=release_after_the_first_attempt, args=[blocker])
        thread.start()
        result = app.migrate(lock_timeout_seconds=1, lock_retries=5)
        thread.join()
    assert (result.state, result.attempts) == ("upgraded", 2)


def test_an_invalid_index_is_named_and_not_built_upon(app: App, server: str, admin: psycopg.Connection[Any]) -> None:
    (app.versions / "c3_index_of_notes.py").rename(app.folder / "c3.py")
    app.migrate()
    (app.folder / "c3.py").rename(app.versions / "c3_index_of_notes.py")
    with psycopg.connect(host=server, user="shop", dbname="shop") as blocker:
        blocker.execute("INSERT INTO customers (note) VALUES ('uncommitted')")
        with pytest.raises(MigrationError) as caught:
            app.migrate(lock_timeout_seconds=1, lock_retries=3)
    assert caught.value.kind == "lock_timeout"
    assert caught.value.details["attempts"] == 1
    assert caught.value.details["invalid_indexes"] == ["public.customers_note"]
    assert "Drop the invalid index first: public.customers_note" in caught.value.message


def test_a_statement_timeout_is_named(app: App) -> None:
    app.add_revision("d4", "c3", "op.execute('SELECT pg_sleep(30)')")
    with pytest.raises(MigrationError, match=r"cancelled after 1 s \(statement_timeout_seconds\)"):
        app.migrate(statement_timeout_seconds=1)


def test_two_at_once_migrate_once(app: App) -> None:
    """The second waits while the first builds an index concurrently, which a waiting transaction would block."""
    app.add_revision("b0", "a1", "op.execute('SELECT pg_sleep(3)')")
    path = app.versions / "b2_note_of_a_customer.py"
    path.write_text(path.read_text().replace('down_revision = "a1"', 'down_revision = "b0"'))
    results: list[MigrationResult] = []
    threads = [threading.Thread(target=lambda: results.append(app.migrate())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(result.state for result in results) == ["current", "upgraded"]
    assert {result.after for result in results} == {"c3"}


def test_waiting_for_another_migration_ends_and_names_it(app: App, server: str) -> None:
    where: dict[str, Any] = {"host": server, "user": "shop", "dbname": "shop"}
    with psycopg.connect(**where, application_name="other host", autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", [lock_key("shop")])
        pid = holder.info.backend_pid
        with pytest.raises(MigrationError) as caught:
            app.migrate(advisory_lock_wait_seconds=1)
        assert app.migrate(advisory_lock=False).state == "upgraded"
    assert caught.value.kind == "lock_timeout"
    assert [entry["pid"] for entry in caught.value.details["blockers"]] == [pid]
    assert "other host" in caught.value.message
    assert "advisory_lock_wait_seconds" in caught.value.message

"""The modules on a real host: real systemd units, a real PostgreSQL, Debian's own Flask-Migrate and SQLAlchemy."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

CANARY = "canary%5d1e@x"
URL = "postgresql://stock:canary%255d1e%40x@127.0.0.1/stock"
REVISION = '''"""added by a test"""
from alembic import op
revision = "d4"
down_revision = "c3"
def upgrade():
    op.execute("{statement}")
'''
APP = {
    "name": "stock",
    "app_dir": "/srv/stock/app",
    "venv_dir": "/srv/stock/venv",
    "user": "stock",
    "environment_file": "/etc/stock.env",
    "flask_app": "app:create_app()",
}


class Stock:
    def __init__(self, host: Any) -> None:
        self.host = host

    def sql(self, statement: str) -> str:
        return str(self.host.check_output("runuser -u postgres -- psql -qAtd stock -c %s", statement)).strip()

    def add_revision(self, statement: str) -> None:
        text = REVISION.format(statement=statement)
        self.host.run_test("printf %%s %s > /srv/stock/app/migrations/versions/d4_test.py", text)

    def module(self, module: str, check: bool = False, /, **options: Any) -> dict[str, Any]:
        """What the module returned; this way of calling drops "failed", so a failure is what has a message."""
        result: dict[str, Any] = self.host.ansible(module, json.dumps(options), check=check, become=True)
        return result

    def upgrade(self, check: bool = False, **options: Any) -> dict[str, Any]:
        return self.module("ringstand.flask.db_upgrade", check, **{**APP, **options})

    def hold_a_lock(self) -> None:
        """A session that has read the table and does not end its transaction."""
        statement = "BEGIN; SELECT count(*) FROM customers; SELECT pg_sleep(60)"
        self.host.check_output("systemd-run -q --unit holder --uid stock psql -d stock -c %s", statement)
        while self.sql("SELECT count(*) FROM pg_locks WHERE relation = 'customers'::regclass") == "0":
            time.sleep(0.1)


@pytest.fixture
def stock(host: Any) -> Iterator[Stock]:
    stock = Stock(host)
    yield stock
    host.run("systemctl stop holder; rm -f /srv/stock/app/migrations/versions/d4_test.py")
    stock.sql("UPDATE alembic_version SET version_num = 'c3'; DROP TABLE IF EXISTS added")


def test_the_database_is_at_the_head_and_nothing_is_left_behind(stock: Stock) -> None:
    assert stock.sql("SELECT version_num FROM alembic_version") == "c3"
    assert stock.sql("SELECT indisvalid FROM pg_index WHERE indexrelid = 'customers_note'::regclass") == "t"
    assert stock.host.check_output("systemctl list-units --all --plain --no-legend 'ringstand-*'") == ""
    assert stock.host.check_output("find /srv/stock/app -name __pycache__ -newer /etc/stock.env -user stock") == ""


def test_check_mode_lists_and_changes_nothing(stock: Stock) -> None:
    stock.add_revision("CREATE TABLE added (id integer)")
    dump = "runuser -u postgres -- pg_dump stock | grep -v '^.\\(un\\)\\?restrict' | sha256sum"
    before = stock.host.check_output(dump)
    result = stock.upgrade(check=True)
    assert stock.host.check_output(dump) == before
    assert (result["changed"], result["state"]) == (True, "pending")
    assert result["pending"] == [{"revision": "d4", "message": "added by a test"}]
    assert stock.upgrade()["applied"] == result["pending"]
    assert stock.host.check_output(dump) != before
    assert stock.upgrade()["changed"] is False


def test_a_blocked_migration_names_who_blocks(stock: Stock) -> None:
    stock.add_revision("ALTER TABLE customers ADD COLUMN age integer")
    stock.hold_a_lock()
    result = stock.upgrade(lock_timeout_seconds=1, lock_retries=1)
    assert (result["kind"], result["attempts"], result["after"]) == ("lock_timeout", 2, "c3")
    assert [session["application"] for session in result["blockers"]] == ["psql"]
    assert "pg_sleep" in result["msg"]


def test_two_at_once_migrate_once(stock: Stock) -> None:
    stock.add_revision("CREATE TABLE added AS SELECT 1 AS id FROM pg_sleep(8)")
    results: list[dict[str, Any]] = []
    threads = [threading.Thread(target=lambda: results.append(stock.upgrade())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(result["state"] for result in results) == ["current", "upgraded"]


def test_an_explicit_url_shows_nowhere(stock: Stock) -> None:
    stock.add_revision("CREATE TABLE added AS SELECT 1 AS id FROM pg_sleep(8)")
    results: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: results.append(stock.upgrade(database_url=URL)))
    thread.start()
    seen = ""
    while thread.is_alive():
        seen += stock.host.check_output("ps axww -o args; systemctl show 'ringstand-migrate-stock-*'")
    assert "flask db upgrade" in seen
    assert results[0]["state"] == "upgraded", results[0]
    seen += stock.host.check_output("journalctl --no-pager | grep -v 'ps axww'")
    for secret in (CANARY, URL, "canary%255d1e%40x"):
        assert secret not in seen + json.dumps(results)


def test_a_pooler_of_transactions_is_refused_and_one_of_sessions_is_not(stock: Stock) -> None:
    stock.add_revision("CREATE TABLE added (id integer)")
    pooled = URL.replace("127.0.0.1", "127.0.0.1:6432")
    assert stock.upgrade(check=True, database_url=pooled)["state"] == "pending"
    refused = stock.upgrade(database_url=pooled)
    assert (refused["kind"], refused["after"], refused["attempts"]) == ("pooler", "c3", 0)
    assert "leads to a connection pooler" in refused["msg"]
    assert "Set database_url to a direct connection" in refused["msg"]
    assert stock.upgrade(database_url=pooled.removesuffix("stock") + "sessions")["state"] == "upgraded"
    assert stock.upgrade(database_url=pooled)["state"] == "current"  # nothing to do needs no lock


def test_wrong_users_and_places_are_named(stock: Stock) -> None:
    stock.host.check_output("install -d -m 0700 /root/hidden")
    for options, words in (
        ({"user": "nobody-yet"}, "user 'nobody-yet' does not exist"),
        ({"environment_file": "/etc/none.env"}, "environment_file '/etc/none.env' does not exist"),
        ({"app_dir": "/root/hidden"}, "its working directory is not accessible to its user"),
        ({"user": "daemon"}, "the database is not reachable"),
    ):
        assert words in stock.upgrade(**options)["msg"]
    assert stock.upgrade(check=True, venv_dir="/srv/none")["state"] == "unknown"


def test_an_app_below_home_is_migrated_too(stock: Stock) -> None:
    stock.host.check_output("cp -r /srv/stock/app /home/app && chmod -R a+rX /home/app")
    assert stock.upgrade(app_dir="/home/app")["state"] == "current"
    stock.host.check_output("rm -r /home/app")


def test_health(stock: Stock) -> None:
    ask = {"socket_path": "/run/stock/app.sock", "timeout_seconds": 10}
    good = stock.module("ringstand.flask.health_check", **ask, json={"status": "ok"})
    assert (good["healthy"], good["changed"], good["attempts"]) == (True, False, 3)
    bad = stock.module("ringstand.flask.health_check", **{**ask, "timeout_seconds": 1}, path="/none")
    assert "status 404 instead of 200" in bad["msg"]
    predicted = stock.module("ringstand.flask.health_check", True, socket_path="/none", timeout_seconds=1)
    assert predicted["healthy"] is False
    assert "msg" not in predicted

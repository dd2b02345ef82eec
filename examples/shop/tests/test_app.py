"""The app, against SQLite and no Redis; against real servers where TEST_DATABASE_URL and TEST_REDIS_URL name some.

The named database and Redis are emptied.
"""

from __future__ import annotations

import io
import json
import logging
import os
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask
from flask_migrate import downgrade, upgrade
from shop import create_app
from shop.extensions import db

MIGRATIONS = str(Path(__file__).parent.parent / "migrations")
NOBODY_LISTENS = "redis://127.0.0.1:1/0"
REDIS_URL = os.environ.get("TEST_REDIS_URL")
needs_redis = unittest.skipUnless(REDIS_URL, "TEST_REDIS_URL is not set")


class AppTest(unittest.TestCase):
    redis_url = REDIS_URL or NOBODY_LISTENS
    cache_url = redis_url

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        environment = {
            "SECRET_KEY": "not-a-secret-only-a-test",
            "DATABASE_URL": os.environ.get("TEST_DATABASE_URL") or f"sqlite:///{folder.name}/test.db",
            "REDIS_URL": self.redis_url,
            "REDIS_CACHE_URL": self.cache_url,
            "RELEASE_ID": "20260101-abc",
        }
        with mock.patch.dict(os.environ, environment, clear=True):
            self.app: Flask = create_app()
        self.log = io.StringIO()
        logging.getLogger().handlers[0].setStream(self.log)  # type: ignore[attr-defined]
        self.client = self.app.test_client()
        with self.app.app_context():
            upgrade(MIGRATIONS)
            self.addCleanup(self.empty)
        if self.redis_url == REDIS_URL:
            self.app.extensions["redis"].flushdb()

    def empty(self) -> None:
        with self.app.app_context():
            downgrade(MIGRATIONS, "base")
            db.session.remove()
            db.engine.dispose()

    def seed(self) -> str:
        return self.app.test_cli_runner().invoke(args=["seed"]).output

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.log.getvalue().splitlines()]


class WithoutRedis(AppTest):
    redis_url = cache_url = NOBODY_LISTENS

    def test_alive_asks_nobody(self) -> None:
        answer = self.client.get("/health")
        self.assertEqual(answer.get_json(), {"status": "ok", "release": "20260101-abc"})
        self.assertEqual(answer.headers["Cache-Control"], "no-store")

    def test_ready_says_what_is_missing_and_tells_the_world_no_more(self) -> None:
        answer = self.client.get("/health/ready")
        self.assertEqual(answer.status_code, 503)
        checks = {"database": "ok", "redis": "failed", "cache": "failed"}
        self.assertEqual(answer.get_json(), {"status": "unavailable", "release": "20260101-abc", "checks": checks})
        logged = [line for line in self.lines() if line["message"] == "redis is not ready"]
        self.assertIn("ConnectionError", str(logged[0]["exception"]))

    def test_migrations_make_what_the_models_say(self) -> None:
        with self.app.app_context(), db.engine.connect() as connection:
            self.assertEqual(compare_metadata(MigrationContext.configure(connection), db.metadata), [])

    def test_seed_runs_twice(self) -> None:
        with mock.patch("shop.commands.cache.clear"):
            self.assertEqual(self.seed(), "3 of 3 products added\n")
            self.assertEqual(self.seed(), "0 of 3 products added\n")


class Logs(AppTest):
    def request_line(self, header: str | None) -> dict[str, object]:
        self.client.get("/nowhere", headers={"X-Request-ID": header} if header else {})
        return self.lines()[-1]

    def test_a_request_is_one_line_with_the_id_of_the_proxy(self) -> None:
        line = self.request_line("0123456789abcdef")
        line.pop("time"), line.pop("milliseconds")
        self.assertEqual(
            line,
            {
                "level": "info",
                "logger": "shop.request",
                "message": "request",
                "request_id": "0123456789abcdef",
                "method": "GET",
                "path": "/nowhere",
                "status": 404,
            },
        )

    def test_an_id_that_could_forge_a_line_is_replaced(self) -> None:
        for forged in ('x","level":"error', "short", "a" * 65, None):
            with self.subTest(forged):
                self.assertRegex(str(self.request_line(forged)["request_id"]), "^[0-9a-f]{32}$")


@needs_redis
class Shop(AppTest):
    def count(self, page: str, where: str) -> int:
        return int(page.split(f'id="visits-{where}">')[1].split("<")[0])

    def test_visits_are_counted_three_times(self) -> None:
        for expected in (1, 2):
            page = self.client.get("/", base_url="https://shop.example.com").text
            self.assertEqual([self.count(page, where) for where in ("database", "redis", "session")], [expected] * 3)

    def test_the_session_cookie_is_only_for_tls_and_for_this_site(self) -> None:
        cookie = self.client.get("/", base_url="https://shop.example.com").headers["Set-Cookie"]
        for attribute in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
            self.assertIn(attribute, cookie)

    def test_an_order_is_confirmed_by_the_worker(self) -> None:
        self.seed()
        order = self.client.post("/orders", json={"product": "stirring-rod"})
        self.assertEqual((order.status_code, order.get_json()["state"]), (201, "new"))
        self.app.test_cli_runner().invoke(args=["worker", "--burst"])
        shown = self.client.get(f"/orders/{order.get_json()['id']}").get_json()
        self.assertEqual((shown["product"], shown["state"]), ("stirring-rod", "confirmed"))

    def test_orders_that_make_no_sense_are_refused(self) -> None:
        for body, status in (({"product": "nothing"}, 404), ({}, 400), ([], 400), ({"product": 1}, 400)):
            with self.subTest(body):
                self.assertEqual(self.client.post("/orders", json=body).status_code, status)
        self.assertEqual(self.client.post("/orders", data={"product": "stirring-rod"}).status_code, 415)
        self.assertEqual(self.client.get("/orders/999999").status_code, 404)

    def test_ready(self) -> None:
        self.assertEqual(self.client.get("/health/ready").status_code, 200)


@needs_redis
class WithoutCache(AppTest):
    cache_url = NOBODY_LISTENS

    def test_the_shop_stays_open(self) -> None:
        self.assertEqual(self.client.get("/health/ready").status_code, 200)
        self.assertIn("Visits in PostgreSQL", self.client.get("/", base_url="https://shop.example.com").text)

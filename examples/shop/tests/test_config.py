from __future__ import annotations

import unittest

from shop.config import ConfigError, from_environment

NEEDED = {
    "SECRET_KEY": "not-a-secret-only-a-test",
    "DATABASE_URL": "postgresql://shop@/shop?host=/run/postgresql",
    "REDIS_URL": "redis://:p%40ss@127.0.0.1:20001/0",
}


class DatabaseUrl(unittest.TestCase):
    def test_every_form_that_platforms_hand_out(self) -> None:
        cases = {
            "postgres://u:p%25@h:5433/d": "postgresql+psycopg://u:p%25@h:5433/d",
            "postgresql://shop@/shop?host=/run/postgresql": "postgresql+psycopg://shop@/shop?host=/run/postgresql",
            "postgresql+psycopg://u@h/d": "postgresql+psycopg://u@h/d",
            "sqlite:////tmp/x.db": "sqlite:////tmp/x.db",
        }
        for given, expected in cases.items():
            with self.subTest(given):
                found = from_environment(NEEDED | {"DATABASE_URL": given})
                self.assertEqual(found["SQLALCHEMY_DATABASE_URI"], expected)


class Environment(unittest.TestCase):
    def test_what_is_missing_or_wrong_is_named(self) -> None:
        cases = {
            "SECRET_KEY is not set": {"SECRET_KEY": ""},
            "DATABASE_URL is not set": {"DATABASE_URL": ""},
            "DATABASE_URL is not a URL": {"DATABASE_URL": "shop"},
            "REDIS_URL is not set": {"REDIS_URL": ""},
            "DATABASE_POOL_SIZE must be a whole number, not 'many'": {"DATABASE_POOL_SIZE": "many"},
            "LOG_LEVEL must be one of DEBUG, INFO, WARNING, ERROR, not 'LOUD'": {"LOG_LEVEL": "loud"},
        }
        for message, change in cases.items():
            with self.subTest(message), self.assertRaises(ConfigError) as raised:
                from_environment(NEEDED | change)
            self.assertEqual(str(raised.exception), message)

    def test_the_pool_follows_the_environment(self) -> None:
        found = from_environment(NEEDED | {"DATABASE_POOL_SIZE": "7", "DATABASE_MAX_OVERFLOW": "0"})
        options = found["SQLALCHEMY_ENGINE_OPTIONS"]
        self.assertEqual((options["pool_size"], options["max_overflow"], options["pool_pre_ping"]), (7, 0, True))

    def test_defaults_are_the_safe_ones(self) -> None:
        found = from_environment(NEEDED)
        self.assertTrue(found["SESSION_COOKIE_SECURE"])
        self.assertEqual(found["REDIS_CACHE_URL"], NEEDED["REDIS_URL"])
        self.assertEqual(found["MAX_CONTENT_LENGTH"], 10 * 1024 * 1024)

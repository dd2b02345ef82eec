"""Configuration: environment variables in, Flask's configuration out. README.md lists them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any


class ConfigError(Exception):
    """A variable is missing or unusable; the message names it."""


def from_environment(environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    def required(name: str) -> str:
        value = environment.get(name, "")
        if not value:
            raise ConfigError(f"{name} is not set")
        return value

    def integer(name: str, default: int) -> int:
        value = environment.get(name) or str(default)
        if not value.isascii() or not value.isdigit():
            raise ConfigError(f"{name} must be a whole number, not {value!r}")
        return int(value)

    def choice(name: str, values: tuple[str, ...], default: str) -> str:
        value = (environment.get(name) or default).upper()
        if value not in values:
            raise ConfigError(f"{name} must be one of {', '.join(values)}, not {value!r}")
        return value

    database_url = sqlalchemy_url(required("DATABASE_URL"))
    redis_url = required("REDIS_URL")
    return {
        "SECRET_KEY": required("SECRET_KEY"),
        "RELEASE_ID": environment.get("RELEASE_ID") or "unreleased",
        "LOG_LEVEL": choice("LOG_LEVEL", ("DEBUG", "INFO", "WARNING", "ERROR"), "INFO"),
        "SENTRY_DSN": environment.get("SENTRY_DSN", ""),
        "MAX_CONTENT_LENGTH": integer("MAX_CONTENT_LENGTH_MB", 10) * 1024 * 1024,
        "SQLALCHEMY_DATABASE_URI": database_url,
        "SQLALCHEMY_ENGINE_OPTIONS": engine_options(database_url, integer),
        "REDIS_URL": redis_url,
        "REDIS_CACHE_URL": environment.get("REDIS_CACHE_URL") or redis_url,
        "REDIS_TIMEOUT_SECONDS": integer("REDIS_TIMEOUT_SECONDS", 2),
        "REDIS_MAX_CONNECTIONS": integer("REDIS_MAX_CONNECTIONS", 20),
        "SESSION_COOKIE_NAME": "session",
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "SESSION_COOKIE_SECURE": environment.get("SESSION_COOKIE_SECURE", "1") != "0",
        "PERMANENT_SESSION_LIFETIME": integer("SESSION_LIFETIME_DAYS", 14) * 24 * 3600,
        "SESSION_KEY_PREFIX": "shop:session:",
    }


def engine_options(database_url: str, integer: Any) -> dict[str, Any]:
    """Pool sizes: workers x (pool size + overflow) has to stay below the server's max_connections."""
    options: dict[str, Any] = {"pool_pre_ping": True}  # a restart of the database costs no request
    if database_url.startswith("postgresql"):
        options |= {
            "pool_size": integer("DATABASE_POOL_SIZE", 4),
            "max_overflow": integer("DATABASE_MAX_OVERFLOW", 2),
            "pool_timeout": integer("DATABASE_POOL_TIMEOUT_SECONDS", 5),
            "pool_recycle": integer("DATABASE_POOL_RECYCLE_SECONDS", 1800),
            "connect_args": {"connect_timeout": integer("DATABASE_CONNECT_TIMEOUT_SECONDS", 3)},
        }
    return options


def sqlalchemy_url(url: str) -> str:
    """The psycopg 3 form of what platforms hand out: postgres://, postgresql:// and postgresql+psycopg://."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise ConfigError("DATABASE_URL is not a URL")
    return f"postgresql+psycopg://{rest}" if scheme in ("postgres", "postgresql") else url

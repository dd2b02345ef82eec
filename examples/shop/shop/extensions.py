"""The objects that outlive a request. None of them connects before it is used."""

from __future__ import annotations

from flask import Flask, current_app
from flask_caching import Cache
from flask_migrate import Migrate
from flask_session import Session
from flask_sqlalchemy import SQLAlchemy
from redis import Redis
from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase


class Base(DeclarativeBase):
    # Named constraints, so that a later revision can drop them by name.
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


db = SQLAlchemy(model_class=Base)
migrate = Migrate()
cache = Cache()
session = Session()


def configure(app: Flask) -> None:
    db.init_app(app)
    migrate.init_app(app, db)

    options = {
        "socket_timeout": app.config["REDIS_TIMEOUT_SECONDS"],
        "socket_connect_timeout": app.config["REDIS_TIMEOUT_SECONDS"],
        "max_connections": app.config["REDIS_MAX_CONNECTIONS"],
        "health_check_interval": 30,
    }
    # Sessions, counters and jobs must not be evicted; the cache may be.
    app.extensions["redis"] = Redis.from_url(app.config["REDIS_URL"], **options)
    app.config |= {
        "SESSION_TYPE": "redis",
        "SESSION_REDIS": app.extensions["redis"],
        "CACHE_TYPE": "RedisCache",
        "CACHE_REDIS_URL": app.config["REDIS_CACHE_URL"],
        "CACHE_OPTIONS": options,
        "CACHE_KEY_PREFIX": "shop:cache:",
    }
    session.init_app(app)
    cache.init_app(app)


def redis() -> Redis:
    return current_app.extensions["redis"]

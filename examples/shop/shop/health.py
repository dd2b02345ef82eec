from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, current_app
from sqlalchemy import text

from .extensions import cache, db, redis

blueprint = Blueprint("health", __name__)


@blueprint.get("/health")
def alive() -> dict[str, Any]:
    """This process answers. It asks nobody else: a restart would not bring a lost database back."""
    return {"status": "ok", "release": current_app.config["RELEASE_ID"]}


@blueprint.get("/health/ready")
def ready() -> tuple[dict[str, Any], int]:
    """What a request needs is there."""
    checks = {
        "database": works("database", lambda: db.session.execute(text("SELECT 1"))),
        "redis": works("redis", lambda: redis().ping()),
        "cache": works("cache", lambda: cache.set("ready", True)),
    }
    ok = checks["database"] and checks["redis"]  # without the cache the shop is slower, not closed
    body = {
        "status": "ok" if ok else "unavailable",
        "release": current_app.config["RELEASE_ID"],
        "checks": {name: "ok" if passed else "failed" for name, passed in checks.items()},
    }
    return body, 200 if ok else 503


def works(name: str, check: Callable[[], object]) -> bool:
    try:
        check()
    except Exception:  # whatever it is, the log has it and the answer stays short
        current_app.logger.exception("%s is not ready", name)
        return False
    return True


@blueprint.after_request
def never_cached(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    return response

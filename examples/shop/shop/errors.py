"""Sentry, when SENTRY_DSN is set. The release comes from SENTRY_RELEASE, which the SDK reads by itself."""

from __future__ import annotations

from flask import Flask


def configure(app: Flask) -> None:
    if not app.config["SENTRY_DSN"]:
        return
    import sentry_sdk

    sentry_sdk.init(dsn=app.config["SENTRY_DSN"], send_default_pii=False)

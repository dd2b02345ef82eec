"""A small shop: the model of an app that deploys well.

Nothing is opened, read or connected to at import or in `create_app()`: connections are made by the first request,
so the app can be imported, migrated and checked while the database or Redis is away.
"""

from __future__ import annotations

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from . import commands, config, errors, extensions, health, logs, views


def create_app() -> Flask:
    app = Flask(__name__)
    app.config.from_mapping(config.from_environment())
    logs.configure(app)
    errors.configure(app)

    # One proxy stands in front: believe one address and one scheme, no more.
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1)  # type: ignore[method-assign]

    extensions.configure(app)
    app.register_blueprint(health.blueprint)
    app.register_blueprint(views.blueprint)
    app.cli.add_command(commands.seed)
    app.cli.add_command(commands.worker)
    return app

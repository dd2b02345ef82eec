"""It brings its own schema up to date whenever it starts, and knows one kind of address only."""

import os

from flask import Flask
from flask_migrate import Migrate, upgrade
from flask_sqlalchemy import SQLAlchemy

database = SQLAlchemy()


def create_app():
    if not os.environ["DATABASE_URL"].startswith("postgresql+psycopg://"):
        raise RuntimeError("DATABASE_URL must begin with postgresql+psycopg://")
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
    database.init_app(app)
    Migrate(app, database)
    with app.app_context():
        upgrade()

    @app.get("/status")
    def status():
        database.session.execute(database.text("SELECT count(*) FROM things"))
        return {"status": "ok", "checks": {"database": "ok"}}

    return app

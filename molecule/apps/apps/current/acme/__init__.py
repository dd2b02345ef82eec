"""Its commands need FLASK_APP, as no file here is called app.py, and ``flask db current`` ends with 1."""

import os

from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy

database = SQLAlchemy()


def create_app():
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://")
    database.init_app(app)
    Migrate(app, database)

    @app.get("/health")
    def health():
        return {"things": database.session.execute(database.text("SELECT count(*) FROM things")).scalar()}

    return app

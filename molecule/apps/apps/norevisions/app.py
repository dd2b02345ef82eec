"""It has migrations without a revision, and commits files that want to turn debug mode on."""

import json
import os
from pathlib import Path

from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy

NAMES = ("FLASK_DEBUG", "WEB_CONCURRENCY", "PYTHONUNBUFFERED", "RELEASE_ID", "SENTRY_RELEASE", "PEM")
app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://")
Migrate(app, SQLAlchemy(app))


def environment():
    return {"debug": app.debug, **{name: os.environ.get(name) for name in NAMES}}


@app.get("/health")
def health():
    return {"here": environment(), "in_release_command": json.loads(Path("built.json").read_text())}


@app.cli.command()
def build():
    Path("built.json").write_text(json.dumps(environment()))


@app.cli.command()
def show():
    print(json.dumps(environment()))

"""It migrates with Alembic alone, takes addresses that begin with postgresql:// only, and FLASK_APP breaks it."""

import os

import sqlalchemy
from flask import Flask

if "FLASK_APP" in os.environ:
    raise RuntimeError("FLASK_APP is set")
if not os.environ["DATABASE_URL"].startswith("postgresql://"):
    raise RuntimeError("DATABASE_URL must begin with postgresql://")

engine = sqlalchemy.create_engine(os.environ["DATABASE_URL"])
application = Flask(__name__)


@application.get("/up/")  # and /up is redirected to it, with 308
def up():
    with engine.connect() as connection:
        return {"things": connection.execute(sqlalchemy.text("SELECT count(*) FROM things")).scalar()}

"""It is in src, and its schema is brought up to date by a command of its own, without Alembic: manage.py."""

import os

import psycopg
from flask import Flask, redirect

app = Flask(__name__)


@app.get("/")
def index():
    return redirect("/elsewhere")


@app.get("/healthcheck")
def healthcheck():
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        connection.execute("SELECT count(*) FROM things")
    return "OK", {"Content-Type": "text/plain"}

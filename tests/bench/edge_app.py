"""The shop of examples, with the pages that bin/bench --edge asks for."""

from __future__ import annotations

from shop import create_app
from shop.extensions import db
from sqlalchemy import text

app = create_app()


@app.get("/hello")
def hello() -> str:
    return "Hello, world!\n"


@app.get("/query")
def query() -> str:
    db.session.execute(text("SELECT pg_sleep(0.02)"))
    return "Twenty milliseconds later.\n"

from __future__ import annotations

import click
from flask import current_app
from flask.cli import with_appcontext
from redis import Redis
from rq import Worker
from sqlalchemy import select

from . import jobs
from .extensions import cache, db
from .models import Product

PRODUCTS = {
    "ring-stand": ("Ring stand", 2490),
    "round-bottom-flask": ("Round-bottom flask, 250 ml", 1180),
    "stirring-rod": ("Stirring rod", 240),
}


@click.command()
@with_appcontext
def seed() -> None:
    """Add the first products; those that exist are left as they are."""
    known = set(db.session.scalars(select(Product.slug)))
    missing = {slug: product for slug, product in PRODUCTS.items() if slug not in known}
    for slug, (name, price_cents) in missing.items():
        db.session.add(Product(slug=slug, name=name, price_cents=price_cents))
    db.session.commit()
    if missing:
        cache.clear()
    click.echo(f"{len(missing)} of {len(PRODUCTS)} products added")


@click.command()
@click.option("--burst", is_flag=True, help="Stop when the queue is empty.")
@with_appcontext
def worker(burst: bool) -> None:
    """Work on queued jobs until told to stop (SIGTERM finishes the job first)."""
    # A connection of its own: the worker waits for jobs longer than a request may wait for Redis.
    connection = Redis.from_url(current_app.config["REDIS_URL"])
    finished = Worker([jobs.queue(connection)], connection=connection).work(burst=burst)
    current_app.logger.info("worker stopped", extra={"worked": finished})

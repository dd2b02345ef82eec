from __future__ import annotations

from typing import Any

from flask import Blueprint, abort, render_template, request, session
from sqlalchemy import select, update

from . import jobs
from .extensions import cache, db, redis
from .models import Order, Product, Visits

blueprint = Blueprint("shop", __name__)


@cache.memoize(timeout=60)
def catalogue() -> list[dict[str, Any]]:
    """Plain data, not models: what is cached outlives the database session. Without the cache it is read anew."""
    products = db.session.scalars(select(Product).order_by(Product.name))
    return [{"slug": p.slug, "name": p.name, "price": f"{p.price_cents / 100:.2f}"} for p in products]


@blueprint.get("/")
def index() -> str:
    products = catalogue()
    visits_redis = redis().incr("shop:visits")
    session["visits"] = session.get("visits", 0) + 1
    visits_database = db.session.scalar(
        update(Visits).where(Visits.page == "index").values(count=Visits.count + 1).returning(Visits.count)
    )
    db.session.commit()  # last, so that the row is locked for as short as possible
    return render_template(
        "index.html",
        products=products,
        visits_database=visits_database,
        visits_redis=visits_redis,
        visits_session=session["visits"],
    )


@blueprint.post("/orders")
def create_order() -> tuple[dict[str, Any], int]:
    """JSON only: another site's form cannot send that without asking first, so no CSRF token is needed."""
    body = request.get_json()
    slug = body.get("product") if isinstance(body, dict) else None
    if not isinstance(slug, str):
        abort(400, "product is missing")
    product = db.session.scalar(select(Product).where(Product.slug == slug))
    if product is None:
        abort(404, "no such product")
    order = Order(product=product)
    db.session.add(order)
    db.session.commit()  # before the job is queued: the worker may be faster than this request
    jobs.queue(redis()).enqueue(jobs.confirm_order, order.id)
    return {"id": order.id, "state": order.state}, 201


@blueprint.get("/orders/<int:order_id>")
def show_order(order_id: int) -> dict[str, Any]:
    order = db.session.get(Order, order_id)
    if order is None:
        abort(404, "no such order")
    return {"id": order.id, "product": order.product.slug, "state": order.state}

"""What the worker does. Jobs take ids, not objects, and may run twice."""

from __future__ import annotations

import logging

from redis import Redis
from rq import Queue
from sqlalchemy import update

from .extensions import db
from .models import Order

log = logging.getLogger(__name__)


def queue(connection: Redis) -> Queue:
    return Queue("default", connection=connection)


def confirm_order(order_id: int) -> None:
    db.session.execute(update(Order).where(Order.id == order_id, Order.state == "new").values(state="confirmed"))
    db.session.commit()
    log.info("order confirmed", extra={"order_id": order_id})

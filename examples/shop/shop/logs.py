"""One line of JSON an event, on stdout, each with the id that nginx gave the request."""

from __future__ import annotations

import json
import logging
import re
import sys
import time
import uuid
from contextvars import ContextVar
from datetime import datetime, timezone

from flask import Flask, Response, g, request

REQUEST_ID = re.compile(r"[A-Za-z0-9-]{8,64}")  # anything else could forge log lines
current_request_id: ContextVar[str] = ContextVar("current_request_id", default="")
PLAIN_ATTRIBUTES = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if current_request_id.get():
            line["request_id"] = current_request_id.get()
        line |= {key: value for key, value in vars(record).items() if key not in PLAIN_ATTRIBUTES}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure(app: Flask) -> None:
    """Everything goes through one handler: gunicorn's, where gunicorn runs us, else our own."""
    gunicorn = logging.getLogger("gunicorn.error")
    handler = gunicorn.handlers[0] if gunicorn.handlers else logging.StreamHandler()
    if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
        handler.setStream(sys.stdout)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(app.config["LOG_LEVEL"])
    app.before_request(start_request)
    app.after_request(finish_request)
    app.teardown_request(forget_request)


def start_request() -> None:
    given = request.headers.get("X-Request-ID", "")
    current_request_id.set(given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex)
    g.started = time.monotonic()


def finish_request(response: Response) -> Response:
    response.headers["X-Request-ID"] = current_request_id.get()
    logging.getLogger("shop.request").info(
        "request",
        extra={
            "method": request.method,
            "path": request.path,
            "status": response.status_code,
            "milliseconds": round((time.monotonic() - g.started) * 1000, 1),
        },
    )
    return response


def forget_request(_error: BaseException | None) -> None:
    current_request_id.set("")

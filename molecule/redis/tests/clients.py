"""What real clients do with an instance, run on the host as `clients.py CLIENT URL`; it fails when one is refused."""

from __future__ import annotations

import os
import sys
import uuid

import redis


def job(number: int) -> int:
    return number * 2


def fail() -> None:
    raise RuntimeError("as it should")


def rq(url: str) -> None:
    from rq import Queue, SimpleWorker, Worker

    connection = redis.Redis.from_url(url)
    queue = Queue(f"test-{uuid.uuid4()}", connection=connection)
    done, failing = queue.enqueue(job, 21), queue.enqueue(fail)
    SimpleWorker([queue], connection=connection).work(burst=True, with_scheduler=False)
    assert (done.result if done.result is not None else done.return_value()) == 42
    assert failing.get_status(refresh=True) == "failed"
    failing.requeue()
    assert len(queue) == 1
    Worker.all(connection=connection)
    queue.delete(delete_jobs=True)


def celery(url: str) -> None:
    from celery import Celery
    from celery.contrib.testing.worker import start_worker

    app = Celery("test", broker=url, backend=url)
    task = app.task(name="double")(job)
    with start_worker(app, perform_ping_check=False, pool="threads"):
        assert task.delay(21).get(timeout=30) == 42
        # The one worker there is: without a limit, both wait for others until their time is over.
        assert app.control.ping(timeout=5, limit=1)
        assert app.control.inspect(timeout=5, limit=1).stats()
    app.control.purge()


def caching(url: str) -> None:
    from flask import Flask
    from flask_caching import Cache

    for prefix in ("flask_cache_", ""):
        app = Flask("test")
        cache = Cache(app, config={"CACHE_TYPE": "RedisCache", "CACHE_REDIS_URL": url, "CACHE_KEY_PREFIX": prefix})
        with app.app_context():
            cache.set("a", {"b": 1}, timeout=60)
            cache.set_many({"c": 1, "d": 2})
            assert cache.get("a") == {"b": 1}
            assert cache.get_many("c", "d") == [1, 2]
            cache.delete_many("c", "d")
            assert cache.has("a")
            assert cache.clear()
            assert cache.get("a") is None


def session(url: str) -> None:
    from flask import Flask, session
    from flask_session import Session

    app = Flask("test")
    app.config.update(SESSION_TYPE="redis", SESSION_REDIS=redis.Redis.from_url(url), SECRET_KEY=uuid.uuid4().hex)
    Session(app)

    @app.route("/")
    def count() -> str:
        session["visits"] = session.get("visits", 0) + 1
        return str(session["visits"])

    client = app.test_client()
    assert [client.get("/").text for _ in range(3)] == ["1", "2", "3"]


def limiter(url: str) -> None:
    from limits import parse
    from limits.storage import storage_from_string
    from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter

    storage = storage_from_string(url)
    assert storage.check()
    for strategy in (FixedWindowRateLimiter(storage), MovingWindowRateLimiter(storage)):
        limit, name = parse("2/minute"), uuid.uuid4().hex
        assert [strategy.hit(limit, name) for _ in range(3)] == [True, True, False]
        strategy.get_window_stats(limit, name)
    storage.reset()


def flask_limiter(url: str) -> None:
    from flask import Flask
    from flask_limiter import Limiter

    app, visitor = Flask("test"), uuid.uuid4().hex
    limiter = Limiter(lambda: visitor, app=app, storage_uri=url, strategy="moving-window")
    app.route("/")(limiter.limit("2 per minute")(lambda: "hello"))
    assert [app.test_client().get("/").status_code for _ in range(3)] == [200, 200, 429]
    limiter.reset()


def plain(url: str) -> None:
    connection = redis.Redis.from_url(url)
    with connection.pipeline() as pipeline:
        pipeline.watch("counter")
        pipeline.multi()
        pipeline.incr("counter")
        pipeline.expire("counter", 60)
        pipeline.execute()
    with connection.lock("lock", timeout=5):
        connection.set("a", "b", ex=60, nx=True)
    listener = connection.pubsub()
    listener.subscribe("channel")
    connection.publish("channel", "hello")
    connection.xadd("stream", {"a": "b"}, maxlen=10)
    connection.sort("list")
    list(connection.scan_iter("*"))
    connection.info()
    connection.time()
    connection.delete("stream", "a", "counter")


if __name__ == "__main__":
    os.chdir(os.path.dirname(os.path.abspath(__file__)))
    sys.path.insert(0, os.getcwd())
    sys.modules["clients"] = sys.modules["__main__"]
    job.__module__ = fail.__module__ = "clients"
    {"rq": rq, "celery": celery, "caching": caching, "session": session, "limiter": limiter, "plain": plain,
     "flask_limiter": flask_limiter}[sys.argv[1]](sys.argv[2])

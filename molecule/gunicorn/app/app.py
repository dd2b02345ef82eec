"""An app that behaves as the file ``behaviour`` beside it says."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

from flask import Flask, request

behaviour = Path(__file__).with_name("behaviour").read_text().strip()
if behaviour == "does not import":
    raise RuntimeError("this release is broken: password=hunter2secret")


def die_in(seconds):
    timer = threading.Timer(seconds, os._exit, [3])  # of which gunicorn's master dies too
    timer.daemon = True
    timer.start()


def create_app():
    app = Flask(__name__)

    if behaviour == "dies soon":
        die_in(0.7)

    @app.get("/health")
    def health():
        if behaviour == "hangs":
            time.sleep(60)
        if behaviour == "is killed":
            os.kill(os.getpid(), signal.SIGKILL)  # as by the kernel, when memory is short
        return ({"status": "ok"}, 500 if behaviour == "unhealthy" else 200)

    @app.route("/echo", methods=["GET", "POST"])
    def echo():
        if behaviour == "dies serving":
            die_in(0.3)
        return {"release": os.environ["RELEASE_ID"], "got": len(request.get_data())}

    @app.get("/environment/<name>")
    def environment(name):
        return os.environ.get(name, "")

    @app.get("/slow/<int:seconds>")
    def slow(seconds):
        time.sleep(seconds)
        return {"release": os.environ["RELEASE_ID"]}

    @app.get("/wait/<int:milliseconds>")
    def wait(milliseconds):
        time.sleep(milliseconds / 1000)
        return {"release": os.environ["RELEASE_ID"]}

    @app.get("/exit")
    def leave():
        sys.exit("a library thinks that it may")

    @app.post("/refuse")
    def refuse():
        return "not even read", 413

    @app.get("/socket", websocket=True)
    def socket():
        """As much of a WebSocket as a switch can disturb: an upgraded connection that answers line by line."""
        stream = request.environ["gunicorn.socket"]
        stream.setblocking(True)
        stream.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        while stream.recv(100):
            stream.sendall(os.environ["RELEASE_ID"].encode() + b"\n")
        return ""

    return app

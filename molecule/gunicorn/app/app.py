"""An app that behaves as the file ``behaviour`` beside it says."""

import os
import threading
import time
from pathlib import Path

from flask import Flask, request

behaviour = Path(__file__).with_name("behaviour").read_text().strip()
if behaviour == "does not import":
    raise RuntimeError("this release is broken: password=hunter2secret")


def create_app():
    app = Flask(__name__)

    if behaviour == "dies soon":
        timer = threading.Timer(0.7, os._exit, [3])
        timer.daemon = True
        timer.start()

    @app.get("/health")
    def health():
        if behaviour == "hangs":
            time.sleep(60)
        return ({"status": "ok"}, 500 if behaviour == "unhealthy" else 200)

    @app.route("/echo", methods=["GET", "POST"])
    def echo():
        return {"release": os.environ["RELEASE_ID"], "got": len(request.get_data())}

    @app.get("/environment/<name>")
    def environment(name):
        return os.environ.get(name, "")

    @app.get("/slow/<int:seconds>")
    def slow(seconds):
        time.sleep(seconds)
        return {"release": os.environ["RELEASE_ID"]}

    return app

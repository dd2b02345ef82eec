"""It answers under its own name only, has no page for health, and leaves its server to others."""

import os

from flask import Flask, abort, request

SERVER_NAME = os.environ["SERVER_NAME"]
app = Flask(__name__)


@app.before_request
def only_here():
    if request.host != SERVER_NAME:
        abort(404)


@app.get("/login")
def login():
    return "<!doctype html><title>Sign in</title><form method=post></form>"

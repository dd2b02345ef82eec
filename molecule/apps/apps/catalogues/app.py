"""It keeps a log in its working directory, and its catalogues are compiled into the source by a command."""

import logging
from pathlib import Path

from flask import Flask

Path("logs").mkdir(exist_ok=True)
logging.basicConfig(filename="logs/app.log", level=logging.INFO)
logging.info("started")
app = Flask(__name__)
COMPILED = Path(__file__).parent / "translations" / "messages.mo"


@app.get("/healthcheck")
def healthcheck():
    return ("OK" if COMPILED.exists() else "not compiled"), {"Content-Type": "text/plain"}


@app.cli.group()
def translate():
    """Catalogues."""


@translate.command("compile")
def compile_catalogues():
    COMPILED.write_bytes(COMPILED.with_suffix(".po").read_bytes())

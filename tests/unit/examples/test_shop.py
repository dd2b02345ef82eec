"""The example app keeps its promises, with exactly the dependencies that its lock names."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SHOP = ROOT / "examples" / "shop"
LOCK = SHOP / "requirements.txt"


def locked() -> dict[str, str]:
    """Name → the text of its entry, hashes included."""
    entries = re.split(r"\n(?=[a-z0-9])", re.sub(r"^\s*#.*\n", "", LOCK.read_text(), flags=re.MULTILINE))
    return {re.split(r"[=\[ ]", entry)[0]: entry for entry in entries if entry}


@pytest.fixture(scope="session")
def app_python() -> Path:
    """The interpreter of a virtual environment with the app's lock in it; kept until the lock changes."""
    key = hashlib.sha256(LOCK.read_bytes() + sys.version.encode()).hexdigest()[:12]
    venv = ROOT / ".cache" / "examples" / f"shop-{key}"
    python, complete = venv / "bin" / "python", venv / "complete"
    if not complete.exists():
        shutil.rmtree(venv, ignore_errors=True)
        uv = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
        pip = [uv, "pip", "install", "-p", str(python)] if uv else [str(python), "-m", "pip", "install"]
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([*pip, "-q", "--require-hashes", "--no-deps", "-r", str(LOCK)], check=True)
        complete.touch()
    return python


def test_the_apps_own_tests_pass_with_its_lock(app_python: Path) -> None:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    run = subprocess.run([app_python, "-m", "unittest"], cwd=SHOP, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_the_lock_pins_and_hashes_everything_that_is_asked_for() -> None:
    asked = re.findall(r"^([A-Za-z][\w-]*)", (SHOP / "requirements.in").read_text(), re.MULTILINE)
    entries = locked()
    assert {name.lower() for name in asked} <= entries.keys()
    unhashed = [name for name, entry in entries.items() if "==" not in entry or "--hash=sha256:" not in entry]
    assert unhashed == []


def test_the_lock_names_no_index() -> None:
    assert re.search(r"https?://|--(extra-)?index-url|--find-links", LOCK.read_text()) is None


def test_the_processes_are_the_ones_that_the_app_has(app_python: Path) -> None:
    processes = dict(line.split(": ", 1) for line in (SHOP / "Procfile").read_text().splitlines())
    assert processes == {"web": 'gunicorn "shop:create_app()"', "worker": "flask --app shop worker"}
    environment = {
        "PYTHONDONTWRITEBYTECODE": "1",
        "SECRET_KEY": "not-a-secret-only-a-test",
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "REDIS_URL": "redis://127.0.0.1:1/0",
    }
    flask = [str(app_python), "-m", "flask", "--app", "shop"]
    run = subprocess.run([*flask, "worker", "--help"], cwd=SHOP, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr

"""What the operator is told of a source, and what an app's first words of failure mean."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils.app_hints import notices, remedy
from ansible_collections.ringstand.flask.plugins.module_utils.layout import AppSettings

SETTINGS = AppSettings("shop", "shop:app", {}, database_url_scheme="postgresql")


def venv_with(tmp_path: Path, *modules: str) -> str:
    for name in modules:
        (tmp_path / "venv/lib/python3.13/site-packages" / name).mkdir(parents=True)
    return str(tmp_path / "venv")


@pytest.mark.parametrize(
    ("scheme", "modules", "words"),
    [
        ("postgresql", ["psycopg"], ""),
        ("postgresql", ["psycopg2"], ""),
        ("postgresql", [], 'No driver for postgresql:// .* "psycopg.binary."'),
        ("postgresql+psycopg2", ["psycopg"], "No driver for postgresql.psycopg2:// .* psycopg2-binary"),
        ("sqlite", [], ""),
        ("", [], ""),
    ],
)
def test_a_missing_driver_is_noticed(tmp_path: Path, scheme: str, modules: list[str], words: str) -> None:
    settings = replace(SETTINGS, database_url_scheme=scheme)
    found = list(notices(settings, str(tmp_path), venv_with(tmp_path, *modules)))
    assert bool(found) == bool(words)
    if words:
        assert re.search(words, found[0])


@pytest.mark.parametrize(("name", "words"), [("gunicorn.conf.py", "is not read"), (".env", "never goes before")])
def test_a_file_without_the_effect_it_suggests_is_noticed(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / name).touch()
    (notice,) = notices(replace(SETTINGS, database_url_scheme=""), str(tmp_path), str(tmp_path))
    assert notice.startswith(name)
    assert words in notice


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("OSError: [Errno 30] Read-only file system: 'logs'", "set writable_dirs: [logs]"),
        ("OSError: [Errno 30] Read-only file system: 'instance/cache'", "set writable_dirs: [instance]"),
        ("PermissionError: [Errno 13] Permission denied: '{source}/app/logs/x.log'", "set writable_dirs: [app/logs]"),
        ("PermissionError: [Errno 13] Permission denied: '/var/log/x'", ""),
        ("ModuleNotFoundError: No module named 'psycopg2'", "set database_url_scheme: postgresql+psycopg."),
        ("ModuleNotFoundError: No module named 'asyncpg'", "postgresql+psycopg"),
        ("  x = os.environ['MAIL']\n  raise KeyError(key)\nKeyError: 'MAIL'", "set it in environment (MAIL)"),
        ("KeyError: 'other'", ""),
        ("ModuleNotFoundError: No module named 'shop'", "set python_path: src."),
        ("ModuleNotFoundError: No module named 'flask'", ""),
        ("ImportError: cannot import name 'a'", ""),
    ],
)
def test_an_app_that_does_not_start_is_told_what_to_set(tmp_path: Path, output: str, words: str) -> None:
    (tmp_path / "app/logs").mkdir(parents=True)
    (tmp_path / "src/shop").mkdir(parents=True)
    said = remedy(output.replace("{source}", str(tmp_path)), SETTINGS, str(tmp_path), venv_with(tmp_path, "psycopg"))
    assert words in said
    assert bool(said) == bool(words)

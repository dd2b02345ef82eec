"""Procfiles as they are in the wild: what is served, what is run beside it, what is left to the app's keys."""

from __future__ import annotations

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import procfile
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.shell_commands import split_commands, with_exec


@pytest.mark.parametrize(
    ("line", "wsgi"),
    [
        ("gunicorn app:app", "app:app"),
        ("gunicorn shop.wsgi:application", "shop.wsgi:application"),
        ('gunicorn "shop:create_app()"', "shop:create_app()"),
        ("gunicorn 'shop:create_app(\"production\")' --log-file -", 'shop:create_app("production")'),
        ("gunicorn app", "app:application"),
        ("gunicorn shop.wsgi --log-file -", "shop.wsgi:application"),
        ("gunicorn --bind 0.0.0.0:$PORT -w 4 wsgi:app", "wsgi:app"),
        ("gunicorn -b :$PORT -w4 --preload --timeout=120 wsgi:app --access-logfile -", "wsgi:app"),
        ("gunicorn -k gevent --reload app:app", "app:app"),
        ("gunicorn -c gunicorn.conf.py app:server", "app:server"),
        ("gunicorn -D app:app", "app:app"),
        ("python -m gunicorn app:app", "app:app"),
        ("python3.12 -m gunicorn -w 2 app:app", "app:app"),
        ("/app/.venv/bin/gunicorn app:app", "app:app"),
        ("exec gunicorn app:app", "app:app"),
        ("PYTHONPATH=src gunicorn app:app", "app:app"),
        ("env A=1 B=2 gunicorn app:app", "app:app"),
        ("uv run gunicorn app:app", "app:app"),
        ("uv run --no-dev gunicorn app:app", "app:app"),
        ("poetry run gunicorn app:app", "app:app"),
        ("pipenv run python -m gunicorn app:app", "app:app"),
        ("newrelic-admin run-program gunicorn app:app", "app:app"),
        ("ddtrace-run gunicorn app:app", "app:app"),
        ("flask db upgrade; flask translate compile; gunicorn microblog:app", "microblog:app"),
        ("flask db upgrade && gunicorn app:app", "app:app"),
        ("cd src && gunicorn app:app", "app:app"),
        ("gunicorn app:app 2>&1 | tee app.log", "app:app"),
        ("sh -c 'flask db upgrade && exec gunicorn app:app'", "app:app"),
        ("waitress-serve --port=$PORT app:app", "app:app"),
        ("waitress-serve --listen=*:8080 --call shop:create_app", "shop:create_app()"),
        ("python -m waitress --port 8000 app:app", "app:app"),
    ],
)
def test_the_wsgi_target_is_read_from_web(line: str, wsgi: str) -> None:
    found = procfile.parse(f"web: {line}\n")
    assert (found.wsgi, found.wsgi_problem) == (wsgi, "")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("flask run --host=0.0.0.0 --port=$PORT", "development server"),
        ("flask --app shop run", "development server"),
        ("python app.py", "development server"),
        ("python3 run.py --port $PORT", "development server"),
        ("gunicorn", "no target"),
        ("gunicorn -c gunicorn.conf.py", "no target"),
        ("gunicorn $MODULE:app", "no module:attribute"),
        ("uvicorn app:app", "neither gunicorn nor waitress"),
        ("./start.sh", "neither gunicorn nor waitress"),
        ("gunicorn 'app:app", "neither gunicorn nor waitress"),
    ],
)
def test_what_names_no_target_is_refused_with_the_reason(line: str, words: str) -> None:
    found = procfile.parse(f"web: {line}\n")
    assert found.wsgi is None
    assert words in found.wsgi_problem


def test_all_forms_of_lines() -> None:
    text = (
        "# comment\r\n\r\nweb: gunicorn app:app\r\nrelease: flask translate compile\nworker:  rq worker high\n"
        "beat : celery -A shop beat\n9lives: x: y\nnonsense\n"
    )
    found = procfile.parse(text)
    assert found.wsgi == "app:app"
    assert found.release_commands == ["flask translate compile"]
    assert found.processes == {"worker": "rq worker high", "beat": "celery -A shop beat", "9lives": "x: y"}
    assert found.damaged_lines == [8]


def test_without_a_web_or_a_file(tmp_path) -> None:
    assert "no line web" in procfile.parse("worker: rq worker\n").wsgi_problem
    assert "no Procfile" in procfile.read(str(tmp_path)).wsgi_problem
    (tmp_path / "Procfile").symlink_to("/etc/hostname")
    with pytest.raises(RingstandError, match="leads out of the source"):
        procfile.read(str(tmp_path))
    (tmp_path / "Procfile").unlink()
    (tmp_path / "Procfile").write_bytes(b"\xef\xbb\xbfweb: gunicorn app:app\n")
    assert procfile.read(str(tmp_path)).wsgi == "app:app"


def test_other_commands_of_web_are_told_with_where_they_belong() -> None:
    found = procfile.parse("web: flask db upgrade; flask translate compile; gunicorn -w 4 --timeout 120 app:app\n")
    told = procfile.notices(found, [], migrates=True)
    assert len(told) == 2
    assert "'flask translate compile' did not run" in told[0]
    assert "release_command" in told[0]
    assert "-w 4 (workers), --timeout 120 (timeout_seconds)" in told[1]
    assert len(procfile.notices(found, ["flask translate compile"], migrates=True)) == 1
    assert "Set migrations" in procfile.notices(found, [], migrates=False)[0]


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("flask db upgrade", []),
        ("flask --app shop db upgrade", []),
        ("uv run flask db upgrade", []),
        ("flask db upgrade && flask seed", ["flask seed"]),
        ("alembic upgrade head", []),
        ("flask translate compile; FLASK_APP=x flask db upgrade; b", ["flask translate compile && b"]),
        ("flask db upgrade || true", ["flask db upgrade || true"]),
        ("flask db upgrade -d other", ["flask db upgrade -d other"]),
        ("make release", ["make release"]),
    ],
)
def test_a_release_line_leaves_migrations_to_the_migrations(line: str, left: list[str]) -> None:
    found = procfile.parse(f"release: {line}\n")
    assert procfile.release_commands([], found, migrates=True) == left
    assert procfile.release_commands([], found, migrates=False) == [line]
    assert procfile.release_commands(["own"], found, migrates=True) == ["own"]


def test_the_manifest_gives_back_the_processes() -> None:
    found = procfile.parse("web: gunicorn app:app\nworker: rq worker\n")
    assert procfile.processes_of({"procfile": procfile.as_manifest(found)}) == {"worker": "rq worker"}
    assert procfile.processes_of({}) == {}


@pytest.mark.parametrize(
    ("line", "executed"),
    [
        ("rq worker high default", "exec rq worker high default"),
        ("cd jobs && rq worker", "cd jobs && exec rq worker"),
        ("QUEUE=high rq worker", "exec env QUEUE=high rq worker"),
        ("exec rq worker", "exec rq worker"),
        ("echo 'a; b' && run \"c && d\"", "echo 'a; b' && exec run \"c && d\""),
        ("rq worker 2>&1 | tee log", "rq worker 2>&1 | tee log"),
        ("a || b", "a || b"),
        ("a & b & wait", "a & b & wait"),
        ("while true; do work; done", "while true; do work; done"),
        ("(cd x; work)", "(cd x; work)"),
        ("work &", "work &"),
        ("echo 'unclosed", "echo 'unclosed"),
    ],
)
def test_signals_reach_the_command_and_not_a_shell_before_it(line: str, executed: str) -> None:
    assert with_exec(line) == executed


def test_operators_in_quotes_and_redirections_part_nothing() -> None:
    assert [one.text for one in split_commands("a 'x;y' >log 2>&1 && b \\; c &>d; e")] == [
        "a 'x;y' >log 2>&1", "b \\; c &>d", "e",
    ]

# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Migrations of a real Flask-Migrate app on SQLite: states, the distinct errors, and what must never happen."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.migration_runner import POOLER_ROUNDS, Database
from ansible_collections.ringstand.flask.plugins.module_utils.migrations import MigrationError, MigrationRequest
from migrations_app import App, make_app  # type: ignore[import-not-found]

SECRET = "correct-horse-battery"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_app(tmp_path_factory.mktemp("template") / "app")


@pytest.fixture
def app(template: Path, tmp_path: Path) -> Iterator[App]:
    shutil.copytree(template, tmp_path / "app")
    yield App(tmp_path / "app", f"sqlite:///{tmp_path}/data.db")


def query(app: App, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(app.url[len("sqlite:///") :])) as connection:
        rows = connection.execute(statement).fetchall()
        connection.commit()
        return rows


def dump(app: App) -> bytes:
    return Path(app.url[len("sqlite:///") :]).read_bytes()


def downgrade_to(app: App, revision: str) -> None:
    query(app, f"UPDATE alembic_version SET version_num = '{revision}'")


def test_upgrade_from_nothing_then_nothing_to_do(app: App) -> None:
    first = app.migrate()
    assert (first.state, first.before, first.after, first.head) == ("upgraded", None, "c3", "c3")
    assert [entry["revision"] for entry in first.applied] == ["a1", "b2", "c3"]
    assert first.applied[1]["message"] == "add a note to a customer"
    assert first.pending == []
    assert first.changed
    assert query(app, "SELECT version_num FROM alembic_version") == [("c3",)]

    before = dump(app)
    second = app.migrate()
    assert (second.state, second.before, second.after, second.applied) == ("current", "c3", "c3", [])
    assert not second.changed
    assert dump(app) == before


def test_check_mode_lists_what_is_pending_and_writes_nothing(app: App) -> None:
    (app.versions / "c3_index_of_notes.py").rename(app.folder / "c3.py")
    app.migrate()
    (app.folder / "c3.py").rename(app.versions / "c3_index_of_notes.py")
    before = dump(app)
    result = app.migrate(check=True)
    assert result.state == "pending"
    assert result.changed
    assert result.pending == [{"revision": "c3", "message": "index the notes"}]
    assert (result.before, result.after, result.applied) == ("b2", "b2", [])
    assert dump(app) == before


def test_check_mode_makes_no_sqlite_file(app: App) -> None:
    assert [entry["revision"] for entry in app.migrate(check=True).pending] == ["a1", "b2", "c3"]
    assert not Path(app.url[len("sqlite:///") :]).exists()


def test_debug_of_a_committed_flaskenv_is_off(app: App) -> None:
    assert "debug is False" in app.migrate().output_tail


def several_heads(app: App) -> None:
    app.add_revision("d4", "b2", "pass")


def no_directory(app: App) -> None:
    shutil.rmtree(app.folder / "migrations")


def no_revisions(app: App) -> None:
    for path in app.versions.glob("*.py"):
        path.unlink()


def gap_in_the_revisions(app: App) -> None:
    (app.versions / "b2_note_of_a_customer.py").unlink()


def database_newer(app: App) -> None:
    app.migrate()
    downgrade_to(app, "f00")


def tables_without_version(app: App) -> None:
    query(app, "CREATE TABLE customers (id integer)")


def no_server(app: App) -> None:
    app.url = f"postgresql://shop:{SECRET}@127.0.0.1:1/shop"


def not_a_url(app: App) -> None:
    app.url = f"{SECRET} is not a URL"


def no_driver(app: App) -> None:
    app.url = "oracle://localhost/shop"


def no_url(app: App) -> None:
    app.url = ""


def relative_path(app: App) -> None:
    app.url = "sqlite:///shop.db"


def raises_half_way(app: App) -> None:
    app.add_revision("d4", "c3", "op.execute('CREATE TABLE half_way (id integer)'); raise ValueError('half way')")
    app.add_revision("e5", "d4", "pass")


def does_not_import(app: App) -> None:
    app.add_revision("d4", "c3", "(")


def app_does_not_import(app: App) -> None:
    (app.folder / "app.py").write_text("import a_package_that_nobody_has\n")


def migrates_something_else(app: App) -> None:
    (app.folder / "app.py").write_text(
        (app.folder / "app.py").read_text().replace('os.environ["DATABASE_URL"]', f'"{app.url}.other"')
    )


@pytest.mark.parametrize(
    ("prepare", "kind", "words"),
    [
        (several_heads, "several_heads", ["2 heads (c3, d4)", "flask db merge heads"]),
        (no_directory, "missing_migrations", ["migrations does not exist", "Commit"]),
        (no_revisions, "missing_migrations", ["has no revisions"]),
        (gap_in_the_revisions, "missing_migrations", ["b2 is built upon", "commit the missing file"]),
        (database_newer, "database_newer", ["revision f00", "Deploy code that has it"]),
        (tables_without_version, "unversioned_tables", ["(customers)", "alembic_version", "flask db stamp"]),
        (no_server, "unreachable", ["refused", "check DATABASE_URL"]),
        (not_a_url, "unreachable", ["check DATABASE_URL"]),
        (no_driver, "unreachable", ["no driver for oracle://", "add a driver"]),
        (no_url, "unreachable", ["DATABASE_URL is not set", "environment file"]),
        (relative_path, "unreachable", ["'shop.db' is relative", "sqlite:////"]),
        (
            raises_half_way,
            "failed",
            ["stopped at revision d4", "ValueError: half way", "the database is at c3, 2 pending"],
        ),
        (does_not_import, "failed", ["d4_test.py"]),
        (app_does_not_import, "failed", ["a_package_that_nobody_has", "the database is at no revision, 3 pending"]),
        (migrates_something_else, "failed", ["ended well, but not all revisions are applied"]),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_each_failure_has_its_kind_and_remedy(
    app: App, prepare: Callable[[App], None], kind: str, words: list[str]
) -> None:
    prepare(app)
    with pytest.raises(MigrationError) as caught:
        app.migrate()
    assert caught.value.kind == kind
    for word in words:
        assert word in caught.value.message
    assert caught.value.message.startswith("Failed to migrate shop: ")
    assert "Traceback" not in caught.value.message
    assert SECRET not in caught.value.message + json.dumps(caught.value.details)


def test_a_failure_tells_where_the_database_is(app: App) -> None:
    raises_half_way(app)
    with pytest.raises(MigrationError) as caught:
        app.migrate()
    details = caught.value.details
    assert (details["before"], details["after"], details["head"]) == (None, "c3", "e5")
    assert [entry["revision"] for entry in details["applied"]] == ["a1", "b2", "c3"]
    assert [entry["revision"] for entry in details["pending"]] == ["d4", "e5"]
    assert "ValueError: half way" in details["output_tail"]


def test_both_branches_with_a_command_of_its_own(app: App) -> None:
    app.add_revision("d4", "b2", "pass")
    result = app.migrate(upgrade_command=["flask", "db", "upgrade", "heads"])
    assert (result.after, result.head) == ("c3,d4", "c3,d4")


def test_plain_alembic(app: App) -> None:
    (app.folder / "migrations").rename(app.folder / "alembic")
    (app.folder / "alembic" / "env.py").write_text(
        "import os\nimport sqlalchemy\nfrom alembic import context\n"
        "with sqlalchemy.create_engine(os.environ['DB']).connect() as connection:\n"
        "    context.configure(connection=connection, version_table='shop_version')\n"
        "    with context.begin_transaction():\n        context.run_migrations()\n"
    )
    (app.folder / "alembic.ini").write_text("[alembic]\nscript_location = alembic\n")
    app.environment = {"DB": app.url}
    options = {
        "migrations_dir": "alembic",
        "upgrade_command": ["alembic", "upgrade", "head"],
        "database_url_variable": "DB",
        "version_table": "shop_version",
    }
    assert app.migrate(**options).after == "c3"
    assert app.migrate(**options).state == "current"


def test_tables_of_something_else_when_allowed(app: App) -> None:
    query(app, "CREATE TABLE celery_taskmeta (id integer)")
    assert app.migrate(allow_unversioned_tables=True).after == "c3"


@pytest.mark.parametrize("prepare", [no_directory, no_revisions])
def test_migrations_that_are_not_required_may_be_missing(app: App, prepare: Callable[[App], None]) -> None:
    prepare(app)
    result = app.migrate(required=False)
    assert (result.state, result.changed) == ("none", False)
    assert bool(app.sent) == (prepare is no_revisions)  # what is plain to see costs no process


def test_an_explicit_url_wins_and_is_no_argument(app: App) -> None:
    url, app.url = app.url, "sqlite:////nonexistent/other.db"
    assert app.migrate(database_url=url).after == "c3"
    assert not any(url in argument for argv in app.sent for argument in argv)


def test_secrets_of_the_environment_are_not_in_the_output(app: App) -> None:
    app.environment = {"SECRET_KEY": SECRET, "MAIL_PASSWORD": "a b%c$d"}
    body = "print(__import__('os').environ['SECRET_KEY'], 'a b%c$d', 'redis://shop:hidden@host/0', 'harmless')"
    app.add_revision("d4", "c3", body)
    tail = app.migrate().output_tail
    assert "harmless" in tail
    assert "redis://shop:********@host/0" in tail
    assert not any(secret in tail for secret in (SECRET, "a b%c$d", "hidden"))


def test_what_revision_files_print_does_not_disturb(app: App) -> None:
    path = app.versions / "a1_create_the_customers.py"
    path.write_text(path.read_text() + "\nprint('noise of a revision file')\n")
    assert app.migrate().state == "upgraded"


def test_an_upgrade_that_hangs_is_ended_in_time(app: App) -> None:
    app.add_revision("d4", "c3", "__import__('time').sleep(60)")
    with pytest.raises(MigrationError) as caught:
        app.migrate(timeout_seconds=8)  # a busy machine needs some to come as far as that
    assert "did not end within 8 s (timeout_seconds)" in caught.value.message
    assert "the database is at c3, 1 pending" in caught.value.message


def test_without_alembic_the_message_says_so(app: App, tmp_path: Path) -> None:
    (app.folder / "alembic.py").write_text("raise ImportError('no alembic here')\n")
    with pytest.raises(MigrationError, match="Alembic is not in the virtual environment"):
        app.migrate()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"app_dir": "srv"}, "app_dir 'srv'"),
        ({"venv_dir": "venv"}, "venv_dir 'venv'"),
        ({"database_url_variable": "A B"}, "database_url_variable 'A B'"),
        ({"timeout_seconds": 0}, "timeout_seconds 0"),
        ({"lock_retries": -1}, "lock_retries"),
    ],
)
def test_bad_requests(options: dict[str, object], word: str) -> None:
    with pytest.raises(RingstandError, match="Failed to migrate shop: .*" + word):
        MigrationRequest(**{"app": "shop", "app_dir": "/srv/shop", "venv_dir": "/srv/venv", **options})  # type: ignore[arg-type]


def test_a_venv_without_python(tmp_path: Path, app: App) -> None:
    with pytest.raises(MigrationError, match="bin/python does not exist: check venv_dir"):
        from ansible_collections.ringstand.flask.plugins.module_utils.migrations import migrate

        migrate(MigrationRequest("shop", str(app.folder), str(tmp_path)), app.run)


@pytest.mark.parametrize(("processes", "has_session"), [
    ("ababab", True),
    ("aaaaaa", False),  # a pooler that nobody else uses
    ("abcdcd", False),  # one with others on it
    ("abacab", False),
    ("ababba", False),
])
def test_a_connection_that_shares_its_server_process_is_a_poolers(processes: str, has_session: bool) -> None:
    class Server(Database):
        def __init__(self) -> None:
            self.answers = iter(processes)

        def connect(self) -> Any:
            return nullcontext("other")

        def _column(self, _connection: Any, _statement: str, **_values: object) -> list[str]:
            return [next(self.answers)]

    assert len(processes) == 2 * POOLER_ROUNDS
    assert Server().has_session("ours") is has_session

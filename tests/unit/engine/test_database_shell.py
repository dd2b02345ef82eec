"""How psql is told where to connect, and that no argument tells it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import database_shell
from ansible_collections.ringstand.flask.plugins.module_utils.database_shell import connection_environment
from ansible_collections.ringstand.flask.plugins.module_utils.layout import AppSettings
from ansible_collections.ringstand.flask.plugins.module_utils.program_database import shell_command

SHOP = AppSettings(name="shop", wsgi="shop:app", health={})
LOCAL = "postgresql+psycopg://shop@/shop?host=/run/postgresql"
REMOTE = "postgres://u%40x:p%2Fw%25@db.example.com:6432/shop%20x?sslmode=verify-full&sslrootcert=/etc/ca.pem#no"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (LOCAL, {"PGUSER": "shop", "PGDATABASE": "shop", "PGHOST": "/run/postgresql"}),
        (
            REMOTE,
            {"PGUSER": "u@x", "PGPASSWORD": "p/w%", "PGHOST": "db.example.com", "PGPORT": "6432",
             "PGDATABASE": "shop x", "PGSSLMODE": "verify-full", "PGSSLROOTCERT": "/etc/ca.pem"},
        ),
        ("postgresql://[2001:db8::1]:5433/db", {"PGHOST": "2001:db8::1", "PGPORT": "5433", "PGDATABASE": "db"}),
        ("postgresql://[2001:db8::1]/db", {"PGHOST": "2001:db8::1", "PGDATABASE": "db"}),
        ("postgresql://a:1,b:2/db", {"PGHOST": "a,b", "PGPORT": "1,2", "PGDATABASE": "db"}),
        ("postgresql://", {}),
    ],
)
def test_a_url_becomes_variables(url: str, expected: dict[str, str]) -> None:
    assert connection_environment(url) == expected


@pytest.mark.parametrize("url", ["", "mysql://u:secret@h/db", "sqlite:///x", "postgresql://u:secret@h/db?unknown=1"])
def test_what_is_not_postgresql_is_refused_without_its_secret(url: str) -> None:
    with pytest.raises(ValueError, match="URL|parameter") as caught:
        connection_environment(url)
    assert "secret" not in str(caught.value)


def test_it_becomes_psql_with_nothing_secret_in_its_arguments(tmp_path: Path) -> None:
    psql = tmp_path / "psql"
    psql.write_text('#!/bin/sh\necho "$*"; env | grep -E "^(PG|DATABASE)" | sort\n')
    psql.chmod(0o755)
    program = [sys.executable, "-I", "-c", Path(database_shell.__file__).read_text(), "-c", "SELECT 1"]
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "DATABASE_URL": "postgresql://u:secret@h/db"}
    done = subprocess.run(program, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["-c SELECT 1", "PGDATABASE=db", "PGHOST=h", "PGPASSWORD=secret", "PGUSER=u"]


@pytest.mark.parametrize(
    ("url", "rc", "said"), [("sqlite:///x", 2, "not PostgreSQL"), (LOCAL, 127, "postgresql-client")]
)
def test_failures_are_told(tmp_path: Path, url: str, rc: int, said: str) -> None:
    program = [sys.executable, "-I", "-c", Path(database_shell.__file__).read_text()]
    environment = {"PATH": str(tmp_path), "DATABASE_URL": url}
    done = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, said in done.stderr) == (rc, True)


@pytest.mark.parametrize(("terminal", "streams"), [(True, "--pty"), (False, "--pipe")])
def test_it_runs_with_the_apps_rights_and_environment(terminal: bool, streams: str) -> None:
    command = shell_command(SHOP, ["-At"], terminal)
    assert streams in command
    assert "--property=User=shop" in command
    assert "--property=EnvironmentFile=/etc/ringstand/environment/shop.env" in command
    assert command[-1] == "-At"
    assert not [item for item in command if "BindsTo" in item]

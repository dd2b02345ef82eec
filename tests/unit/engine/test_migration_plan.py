"""How a source brings its schema to a database."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.migration_plan import (
    MigrationPlan,
    migration_plan,
    script_location,
)

ALEMBIC = ["/venv/bin/alembic", "upgrade", "head"]
COMMAND = ["/bin/sh", "-ec", "shop-admin upgrade"]


@pytest.mark.parametrize(
    ("files", "options", "plan"),
    [
        (["migrations/alembic.ini"], {}, MigrationPlan("migrations")),
        ([], {}, MigrationPlan("migrations")),
        (["alembic.ini"], {}, MigrationPlan("db/alembic", ALEMBIC)),
        (["alembic.ini"], {"kind": "flask"}, MigrationPlan("migrations")),
        (["alembic.ini", "migrations/alembic.ini"], {}, MigrationPlan("migrations")),
        (["alembic.ini", "migrations/env.py"], {}, MigrationPlan("db/alembic", ALEMBIC)),
        (["alembic.ini", "migrations/alembic.ini"], {"kind": "alembic"}, MigrationPlan("db/alembic", ALEMBIC)),
        (["alembic.ini"], {"directory": "revisions"}, MigrationPlan("revisions", ALEMBIC)),
        (["shop/migrations/env.py"], {"directory": "shop/migrations"}, MigrationPlan("shop/migrations")),
        (["migrations/env.py"], {"command": COMMAND[-1]}, MigrationPlan("migrations", COMMAND)),
        (["schema.sql"], {"command": COMMAND[-1]}, MigrationPlan("", COMMAND)),
    ],
)
def test_what_the_source_and_the_keys_say(tmp_path: Path, files: list[str], options: dict, plan: MigrationPlan) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("[alembic]\nscript_location = %(here)s/db/alembic\n")
    assert migration_plan(str(tmp_path), "/venv", **{"kind": "auto", **options}) == plan


@pytest.mark.parametrize(
    ("value", "path"),
    [("alembic", "alembic"), ("./alembic/", "alembic"), ("shop.db:revisions", "shop/db/revisions"), ("a%%b", "a%%b")],
)
def test_where_alembic_ini_leads(tmp_path: Path, value: str, path: str) -> None:
    ini = tmp_path / "alembic.ini"
    ini.write_text(f"[alembic]\nscript_location = {value}\nsqlalchemy.url = driver://u:p%40@h/d\n")
    assert script_location(str(tmp_path)) == path


@pytest.mark.parametrize("text", ["", "[alembic]\n", "no section", "[alembic]\nscript_location = ../up\n"])
def test_an_alembic_ini_that_says_nothing_usable_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "alembic.ini").write_text(text)
    with pytest.raises(RingstandError, match=r"Failed to read alembic\.ini"):
        script_location(str(tmp_path))

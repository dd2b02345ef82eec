"""What the migrations of a release say is in the words of an app's keys."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import migrations
from ansible_collections.ringstand.flask.plugins.module_utils.apps import DEFAULTS
from ansible_collections.ringstand.flask.plugins.module_utils.layout import AppSettings, Layout
from ansible_collections.ringstand.flask.plugins.module_utils.schema_of_release import in_keys_of_an_app, way_back

REQUEST = migrations.MigrationRequest("shop", "/srv/shop/src", "/srv/shop/venv")
FOUND = {"heads": ["a", "b"], "tables": ["old"], "timed_out": True, "after": [], "pending": [], "failed_revision": None,
         "invalid_indexes": [], "advisory": False, "attempts": 3, "blockers": []}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("several_heads", "migration_command"),
        ("unversioned_tables", "migration_unversioned_tables_allowed"),
        ("pooler", "migration_database_url"),
        ("failed", "migration_timeout_seconds"),
        ("lock_timeout", "migration_lock_timeout_seconds"),
    ],
)
def test_a_remedy_names_a_key_that_an_app_has(kind: str, key: str) -> None:
    message = in_keys_of_an_app(migrations._REASONS[kind](REQUEST, FOUND))
    assert key in message
    assert key in DEFAULTS
    assert "upgrade_command" not in message
    assert " allow_unversioned" not in message


def test_the_ways_back_name_revision_and_restore_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = AppSettings("shop", "shop:app", {})
    layout = Layout("shop", str(tmp_path))
    monkeypatch.setattr(AppSettings, "layout", layout)
    Path(layout.state_dir).mkdir(parents=True)
    assert "restore" not in way_back(settings, "r1", "aaa")
    point = {"name": "release-r2", "at": "2026-11-21T03:00:00Z"}
    migration = {"before": "aaa", "after": "bbb", "restore_point": point}
    lines = [{"release": "r2", "migration": migration}, {"kind": "restart"}]
    Path(layout.ledger).write_text("".join(json.dumps(line) + "\n" for line in lines))
    said = way_back(settings, "r1", "aaa")
    assert "`ringstand run shop flask db downgrade aaa`, then `ringstand rollback shop r1`" in said
    assert "--before-release shop/r2" in said and "2026-11-21T03:00:00Z" in said
    assert "restore --confirm" not in way_back(settings, "r1", "another")

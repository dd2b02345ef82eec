"""What the migrations of a release say is in the words of an app's keys."""

from __future__ import annotations

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import migrations
from ansible_collections.ringstand.flask.plugins.module_utils.apps import DEFAULTS
from ansible_collections.ringstand.flask.plugins.module_utils.schema_of_release import in_keys_of_an_app

REQUEST = migrations.MigrationRequest("shop", "/srv/shop/src", "/srv/shop/venv")
FOUND = {"heads": ["a", "b"], "tables": ["old"], "timed_out": True, "after": [], "pending": [], "failed_revision": None,
         "invalid_indexes": [], "advisory": False, "attempts": 3, "blockers": []}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("several_heads", "migration_command"),
        ("unversioned_tables", "migration_unversioned_tables_allowed"),
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

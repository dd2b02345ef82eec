"""What the migrations of a release say is in the words of an app's keys."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import ledger, migrations, schema_of_release
from ansible_collections.ringstand.flask.plugins.module_utils.apps import DEFAULTS
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.layout import AppSettings, Layout
from ansible_collections.ringstand.flask.plugins.module_utils.schema_of_release import in_keys_of_an_app, way_back
from settings_below import Settings  # type: ignore[import-not-found]

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


def upgraded(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, point: Any, migrated: bool = True, **result: Any
) -> list[str]:
    """The notices of a deploy whose restore point comes to ``point``; the ledger has them afterwards."""
    applied = [{"revision": "bbb", "message": "more"}] if migrated else []
    found = migrations.MigrationResult("upgraded", "aaa", "bbb", applied=applied, **result)

    def restore_point(_release: str) -> Any:
        if isinstance(point, Exception):
            raise point
        return point

    monkeypatch.setattr(schema_of_release, "restore_point", restore_point)
    monkeypatch.setattr(schema_of_release, "_run", lambda *_arguments, **_options: found)
    progress = ledger.Progress(settings.layout, "deploy", "ann", len)
    schema_of_release.upgrade(settings, "r2", progress)
    ledger.append_line(settings.layout.ledger, {"kind": "deploy", "notices": progress.notices})
    return progress.notices


def test_why_there_is_no_restore_point_is_told_once(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    here = replace(settings, local_database=True)
    assert upgraded(here, monkeypatch, None, migrated=False) == []
    (notice,) = upgraded(here, monkeypatch, None)
    assert "No restore point" in notice and "archive_mode is off" in notice
    assert upgraded(here, monkeypatch, None) == []
    assert upgraded(here, monkeypatch, {"name": "release-r2", "at": "2026-11-21T03:00:00Z"}) == []
    (notice,) = upgraded(here, monkeypatch, RingstandError("permission denied"))
    assert notice == "No restore point was made before the migrations of r2: permission denied"


def test_of_a_database_elsewhere_nobody_expects_a_restore_point(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert upgraded(settings, monkeypatch, RingstandError("not asked")) == []


def test_invalid_indexes_are_a_notice_of_a_deploy_that_succeeds(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    (notice,) = upgraded(settings, monkeypatch, None, migrated=False, invalid_indexes=["public.a", "public.b"])
    assert "public.a, public.b" in notice

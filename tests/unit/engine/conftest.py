"""An app of a host that is below a folder of the test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils.layout import Layout
from settings_below import Settings  # type: ignore[import-not-found]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(Settings, "root", str(tmp_path))
    made = Settings("shop", {"probation_seconds": 0}, wsgi="shop:app")
    layout = made.layout
    folders = (layout.releases_dir, layout.venvs_dir, layout.slots_dir, layout.units_dir, layout.state_dir)
    for directory in (*folders, layout.run_dir):
        os.makedirs(directory)
    return made


@pytest.fixture
def layout(settings: Settings) -> Layout:
    return settings.layout

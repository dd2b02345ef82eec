"""The cache of packages is kept, unless the machine went down while a build wrote into it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import boot, build_cache
from ansible_collections.ringstand.flask.plugins.module_utils.layout import Layout


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    monkeypatch.setattr(shutil, "chown", lambda *_arguments: None)
    layout = Layout("shop", str(tmp_path))
    os.makedirs(layout.state_dir)
    return layout


def build(layout: Layout, fails: bool = False) -> list[str]:
    """Put another package into the cache; returns all that were there before."""
    with build_cache.trusted(layout):
        found = os.listdir(layout.cache_dir)
        Path(layout.cache_dir, f"package-{len(found)}").touch()
        if fails:
            raise InterruptedError
    return found


def test_it_is_kept_from_build_to_build(layout: Layout) -> None:
    build(layout)
    assert build(layout) == ["package-0"]
    assert os.listdir(layout.state_dir) == []


@pytest.mark.parametrize(("rebooted", "kept"), [(False, ["package-0"]), (True, [])])
def test_it_is_emptied_when_the_machine_went_down_in_a_build(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, rebooted: bool, kept: list[str]
) -> None:
    with pytest.raises(InterruptedError):
        build(layout, fails=True)
    if rebooted:
        monkeypatch.setattr(build_cache, "boot_id", lambda: "5" * 32)
    assert build(layout) == kept


def test_a_boot_has_an_id() -> None:
    assert len(bytes.fromhex(boot.boot_id())) == 16

"""Secrets are generated once and never again."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.modules import app_secrets


def test_a_secret_is_generated_once_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "shop.json"
    first, generated = app_secrets.complete(str(path), ["secret_key"], check_mode=False)
    assert generated == ["secret_key"]
    assert len(first["secret_key"]) == 43
    again, generated = app_secrets.complete(str(path), ["secret_key", "redis_password"], check_mode=False)
    assert generated == ["redis_password"]
    assert again["secret_key"] == first["secret_key"] != again["redis_password"]
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_check_mode_writes_nothing_and_keeps_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "shop.json"
    values, generated = app_secrets.complete(str(path), ["secret_key"], check_mode=True)
    assert (values["secret_key"], generated) == (app_secrets.PLACEHOLDER, ["secret_key"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", "{", "[1]"])
def test_a_damaged_file_is_never_written_over(tmp_path: Path, content: str) -> None:
    path = tmp_path / "shop.json"
    path.write_text(content)
    with pytest.raises(RingstandError, match="Restore it from a backup"):
        app_secrets.complete(str(path), ["secret_key"], check_mode=False)
    assert path.read_text() == content

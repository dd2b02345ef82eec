"""certbot in a virtual environment: when it is installed, which is played here."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import certbot_environment, uv


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was installed, the text of each requirements file."""
    found: list[str] = []

    def install(directory: str, requirements: str, _pip_config: str, _program: str) -> None:
        Path(directory).mkdir(exist_ok=True)
        found.append(Path(requirements).read_text())

    monkeypatch.setattr(certbot_environment, "DIRECTORY", str(tmp_path / "certbot"))
    monkeypatch.setattr(uv, "install", install)
    monkeypatch.setattr(uv, "installed_version", lambda *_given: "5.8.0" if found else "")
    return found


def test_it_is_installed_again_for_a_plugin_and_not_without_a_change(tmp_path: Path, installed: list[str]) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("certbot==5.8.0\n")
    assert certbot_environment.ensure(str(requirements), "", check=True)
    assert [certbot_environment.ensure(str(requirements), "", check=False) for _run in range(2)] == [True, False]
    requirements.write_text("certbot==5.8.0\ncertbot-dns-cloudflare==5.8.0\n")
    assert [certbot_environment.ensure(str(requirements), "", check=False) for _run in range(2)] == [True, False]
    assert len(installed) == 2 and "cloudflare" in installed[1]

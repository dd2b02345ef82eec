"""uv is installed by the distribution's pip, from the configured index and with its hash; a tiny wheel stands in."""

from __future__ import annotations

import hashlib
import os
import subprocess
import zipfile
from pathlib import Path

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import uv
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError

METADATA = "Metadata-Version: 2.1\nName: uv\nVersion: 1.0\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
FILES = {
    "uv-1.0.data/scripts/uv": "#!python\nprint('uv 1.0')\n",
    "uv-1.0.dist-info/METADATA": METADATA,
    "uv-1.0.dist-info/WHEEL": WHEEL,
}


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the wheel, which the configuration names instead of an index."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)  # this machine's; they would win over the configuration
    wheel = tmp_path / "uv-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in FILES.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o100755 << 16  # pip installs what is executable as such
            archive.writestr(entry, text)
        archive.writestr("uv-1.0.dist-info/RECORD", "".join(f"{name},,\n" for name in FILES))
    (tmp_path / "pip.conf").write_text(f"[global]\nno-index = true\nfind-links = {tmp_path}\n")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (tmp_path / "uv.txt").write_text(f"uv==1.0 --hash=sha256:{digest}\n")
    return tmp_path


def install(index: Path) -> str:
    uv.install(str(index / "uv"), str(index / "uv.txt"), str(index / "pip.conf"))
    return subprocess.run([index / "uv/bin/uv"], check=True, capture_output=True, text=True).stdout.strip()


def test_it_runs_and_a_second_time_mends_it(index: Path) -> None:
    assert install(index) == "uv 1.0"
    (index / "uv/bin/python").unlink()
    (index / "uv/bin/uv").write_text("broken")
    (index / "uv/lib").rename(index / "gone")
    assert install(index) == "uv 1.0"


def test_without_the_distributions_wheel_pip_is_unpacked(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uv, "pip_wheel", lambda: "")
    assert install(index) == "uv 1.0"
    assert (index / "uv/bin/pip").exists()


def test_another_hash_is_refused(index: Path) -> None:
    (index / "uv.txt").write_text(f"uv==1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(RingstandError, match="Failed to install uv: ") as caught:
        install(index)
    assert "HASHES" in caught.value.details["output"]
    assert not (index / "uv/bin/uv").exists()


def test_one_that_a_power_cut_has_emptied_is_made_anew(index: Path) -> None:
    install(index)
    (index / "uv/bin/uv").write_text("")
    (index / "uv/left").touch()
    assert install(index) == "uv 1.0"
    assert not (index / "uv/left").exists()


@pytest.mark.parametrize(
    ("text", "version"),
    [
        pytest.param("# uv\nuv==0.13.8 \\\n    --hash=sha256:00\n", "0.13.8", id="with hashes"),
        pytest.param("uv==0.13.8; python_version > '3'\n", "0.13.8", id="with a marker"),
        pytest.param("uvloop==1\n", "", id="another package"),
    ],
)
def test_the_pinned_version(tmp_path, text, version):
    path = tmp_path / "uv.txt"
    path.write_text(text)
    assert uv.pinned_version(str(path)) == version


@pytest.mark.parametrize("installed", [pytest.param("0.13.8", id="there"), pytest.param("0.1", id="old")])
def test_it_is_installed_only_when_it_differs(tmp_path, monkeypatch, installed):
    path = tmp_path / "uv.txt"
    path.write_text("uv==0.13.8\n")
    calls = []
    monkeypatch.setattr(uv, "REQUIREMENTS", str(path))
    monkeypatch.setattr(uv, "pinned_version", lambda: "0.13.8")
    monkeypatch.setattr(uv, "installed_version", lambda: installed)
    monkeypatch.setattr(uv, "install", lambda *arguments: calls.append(arguments))
    uv.ensure()
    assert len(calls) == (installed != "0.13.8")


def test_a_host_that_was_not_set_up(tmp_path, monkeypatch):
    monkeypatch.setattr(uv, "REQUIREMENTS", str(tmp_path / "none.txt"))
    with pytest.raises(RingstandError, match=r"Run site\.yml"):
        uv.ensure()

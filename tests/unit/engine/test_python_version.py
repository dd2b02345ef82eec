"""Which interpreter a source asks for, and which one of the host it gets."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.python_version import (
    choose_python,
    interpreter_version,
    wanted_version,
)


@pytest.fixture
def host(tmp_path: Path) -> tuple[str, ...]:
    places = (tmp_path / "usr", tmp_path / "local")
    for place, name in ((places[0], "python3.11"), (places[1], "python3.12"), (places[0], "python3.11-config")):
        place.mkdir(exist_ok=True)
        (place / name).touch(mode=0o755)
    return tuple(map(str, places))


@pytest.mark.parametrize(
    ("name", "text", "version"),
    [
        (".python-version", "3.12\n", "3.12"),
        (".python-version", "# ours\n\n3.12.4  # as on the laptop\n3.11\n", "3.12"),
        (".python-version", "\ufeffcpython-3.12.4\r\n", "3.12"),
        (".python-version", "3", None),
        (".python-version", "", None),
        ("runtime.txt", "python-3.11.9", "3.11"),
        ("runtime.txt", "python-3.11.x", "3.11"),
    ],
)
def test_what_the_files_say(tmp_path: Path, name: str, text: str, version: str | None) -> None:
    (tmp_path / name).write_text(text)
    assert wanted_version(str(tmp_path)) == ((version, name) if version else None)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({".python-version": "pypy3.10-7.3"}, "'pypy3.10-7.3', which is not a version of CPython 3. .* python"),
        ({"runtime.txt": "python-2.7.18"}, "runtime.txt asks for 'python-2.7.18'"),
        ({".python-version": "3.12", "runtime.txt": "python-3.11.2"}, "3.12 and runtime.txt asks for 3.11"),
    ],
)
def test_what_cannot_be_chosen_is_refused(tmp_path: Path, files: dict[str, str], words: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(RingstandError, match=words):
        wanted_version(str(tmp_path))


def test_the_wanted_one_is_taken_where_the_host_has_it(tmp_path: Path, host: tuple[str, ...]) -> None:
    assert choose_python("", str(tmp_path), host) == "/usr/bin/python3"
    (tmp_path / ".python-version").write_text("3.12.1")
    assert choose_python("", str(tmp_path), host) == f"{host[1]}/python3.12"


def test_one_that_the_host_lacks_is_refused_unless_the_user_chose(tmp_path: Path, host: tuple[str, ...]) -> None:
    (tmp_path / "runtime.txt").write_text("python-3.9.1")
    with pytest.raises(RingstandError, match="asks for 3.9, and this host has 3.11, 3.12. Install python3.9 .* python"):
        choose_python("", str(tmp_path), host)
    assert choose_python("/usr/bin/python3.13", str(tmp_path), host) == "/usr/bin/python3.13"


def test_an_interpreter_that_is_not_there_is_named() -> None:
    with pytest.raises(RingstandError, match="Failed to run /nonexistent/python: .* Correct the app's python"):
        interpreter_version("/nonexistent/python")

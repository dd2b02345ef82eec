"""Which file says what to install, all that it refers to, and what cannot be used of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils.dependencies import (
    DependencyError,
    dependency_file,
    read_dependencies,
)
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError


def write(folder: Path, files: dict[str, str | bytes]) -> str:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(folder)


@pytest.mark.parametrize(
    ("files", "chosen"),
    [
        (["requirements.txt"], "requirements.txt"),
        (["requirements.txt", "pyproject.toml"], "requirements.txt"),
        (["requirements.txt", "pyproject.toml", "uv.lock"], "uv.lock"),
        (["requirements.txt", "uv.lock"], "requirements.txt"),
        (["requirements.txt", "pylock.toml"], "pylock.toml"),
        (["requirements.txt", "poetry.lock", "Pipfile.lock"], "requirements.txt"),
    ],
)
def test_which_file_counts(tmp_path: Path, files: list[str], chosen: str) -> None:
    assert dependency_file(write(tmp_path, dict.fromkeys(files, ""))) == chosen


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([], "neither requirements.txt nor pyproject.toml with uv.lock. Add one, or .* requirements_path"),
        (["pyproject.toml"], "only pyproject.toml. Lock it: uv lock"),
        (["pyproject.toml", "poetry.lock"], "only poetry.lock. Export it: poetry export"),
        (["Pipfile", "Pipfile.lock"], "only Pipfile.lock. Export it: pipenv requirements"),
        (["setup.py"], "only setup.py. Lock it: uv pip compile"),
    ],
)
def test_without_a_usable_file_the_way_to_one_is_named(tmp_path: Path, files: list[str], words: str) -> None:
    with pytest.raises(DependencyError, match=words):
        dependency_file(write(tmp_path, dict.fromkeys(files, "")))


def test_a_file_of_ones_choice_goes_before_all_others(tmp_path: Path) -> None:
    source = write(tmp_path, {"requirements.txt": "a", "requirements/production.txt": "-r base.txt\n"})
    write(tmp_path, {"requirements/base.txt": "flask==3.1.3"})
    found = read_dependencies(source, "requirements/production.txt")
    assert [name for name, _content in found.parts] == ["requirements/production.txt", "requirements/base.txt"]
    with pytest.raises(DependencyError, match="no file requirements/staging.txt. Correct requirements_path"):
        read_dependencies(source, "requirements/staging.txt")


@pytest.mark.parametrize(
    "line", ["-r other.txt", "-rother.txt", "--requirement=other.txt", "-c other.txt", "--constraint ./other.txt # why"]
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_what_is_included_decides_too(tmp_path: Path, line: str, encoding: str) -> None:
    source = write(tmp_path, {"requirements.txt": f"flask\r\n{line}\r\n".encode(encoding), "other.txt": "a==1"})
    first = read_dependencies(source).digest()
    write(tmp_path, {"other.txt": "a==2"})
    assert read_dependencies(source).digest() != first


def test_a_package_of_the_source_itself_decides_with_its_content(tmp_path: Path) -> None:
    files = {"requirements.txt": "flask==3.1.3\n./lib[extra] ; python_version > '3'\n", "lib/setup.py": "one"}
    found = read_dependencies(write(tmp_path, files))
    assert found.local
    write(tmp_path, {"lib/setup.py": "two"})
    assert read_dependencies(str(tmp_path)).digest() != found.digest()
    write(tmp_path, {"app.py": "not part of it"})
    changed = read_dependencies(str(tmp_path)).digest()
    write(tmp_path, {"app.py": "nor this"})
    assert read_dependencies(str(tmp_path)).digest() == changed


def test_a_package_in_uv_lock_that_is_a_folder_decides_with_its_content(tmp_path: Path) -> None:
    lock = 'source = { virtual = "." }\nsource = { editable = "." }\nsource = { directory = "lib" }\n'
    source = write(tmp_path, {"uv.lock": lock, "pyproject.toml": "", "lib/a.py": "one"})
    first = read_dependencies(source)
    assert first.local
    assert first.is_uv_lock
    write(tmp_path, {"lib/a.py": "two"})
    assert read_dependencies(source).digest() != first.digest()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("flask\n-e .\n", "line 2 of requirements.txt is an editable install .-e .., and a release is frozen"),
        ("--editable=./lib", "line 1 of requirements.txt is an editable install"),
        ("# one\n\nflask \\\n  --hash=sha256:ab\n-e git+https://x.y/z", "line 5 of requirements.txt is an editable"),
        ("-r missing.txt", "line 1 of requirements.txt includes missing.txt, which the source lacks"),
        ("-r ../other.txt", "outside the source"),
        ("-c https://x.y/c.txt?token=1", "includes https://x.y/c.txt, whose content may change unseen"),
        ("-r requirements.txt", "include each other"),
        ("./nowhere", "names ./nowhere|names nowhere"),
        ("../lib", "outside the source"),
        ("lib @ file:///opt/lib", "names /opt/lib, which is outside the source"),
        (b"caf\xe9", "is not UTF-8"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_line(tmp_path: Path, text: str | bytes, words: str) -> None:
    with pytest.raises(DependencyError, match=words):
        read_dependencies(write(tmp_path, {"requirements.txt": text}))


@pytest.mark.parametrize("name", ["requirements.txt", "uv.lock", "pylock.toml"])
def test_a_link_that_leads_out_is_not_followed(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("-e hunter2")
    source = tmp_path / "source"
    write(source, {"pyproject.toml": ""})
    (source / name).symlink_to(tmp_path / "secret")
    with pytest.raises(RingstandError, match="link that leads out of the source") as caught:
        read_dependencies(str(source))
    assert "hunter2" not in caught.value.message


@pytest.mark.parametrize(
    "line", ["flask[async]==3.1.3", "flask @ https://x.y/flask.whl", "--index-url https://x.y/simple", "-i https://x.y"]
)
def test_ordinary_lines_are_no_files(tmp_path: Path, line: str) -> None:
    found = read_dependencies(write(tmp_path, {"requirements.txt": line}))
    assert len(found.parts) == 1
    assert not found.local

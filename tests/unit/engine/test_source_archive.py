"""Sources on the controller, with real repositories of git."""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.plugin_utils.source_archive import pack, resolve


def git(path: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"]
    return subprocess.run(["git", *identity, *arguments], cwd=path, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    path = tmp_path / "shop"
    path.mkdir()
    git(path, "init", "--quiet")
    (path / "app.py").write_text("one")
    git(path, "add", ".")
    git(path, "commit", "--quiet", "-m", "one")
    git(path, "tag", "-a", "v1", "-m", "v1")
    (path / "app.py").write_text("two")
    git(path, "commit", "--quiet", "-am", "two")
    return path


def names(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as stream:
        return {
            member.name.removeprefix("./"): (stream.extractfile(member) or open(os.devnull, "rb")).read()
            for member in stream
            if not member.isdir()
        }


@pytest.mark.parametrize(("version", "content"), [("v1", b"one"), ("main", b"two")])
def test_a_tag_or_branch_becomes_a_commit_and_exactly_that_is_packed(
    repository: Path, tmp_path: Path, version: str, content: bytes
) -> None:
    source = {"git": f"file://{repository}", "version": version}
    resolved = resolve(source)
    assert resolved.sha == git(repository, "rev-parse", f"{version}^{{commit}}").strip()
    git(repository, "commit", "--quiet", "--allow-empty", "-m", "moved on meanwhile")
    pack(source, resolved, str(tmp_path / "out.tar"))
    assert names(tmp_path / "out.tar") == {"app.py": content}


def test_a_full_commit_id_needs_no_lookup(repository: Path, tmp_path: Path) -> None:
    sha = git(repository, "rev-parse", "v1^{commit}").strip()
    source = {"git": f"file://{repository}", "version": sha}
    pack(source, resolve(source), str(tmp_path / "out.tar"))
    assert names(tmp_path / "out.tar")["app.py"] == b"one"


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        ("v9", "there is no branch or tag of that name"),
        ("0badc0d", "a short id cannot be looked up"),
        ("both", "it is a branch .* and a tag"),
    ],
)
def test_what_does_not_name_one_commit_is_refused(repository: Path, version: str, reason: str) -> None:
    git(repository, "branch", "both", "v1^{commit}")
    git(repository, "tag", "both", "main")
    with pytest.raises(RingstandError, match=reason):
        resolve({"git": f"file://{repository}", "version": version})


def test_a_repository_that_is_not_there_is_named_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(RingstandError) as caught:
        resolve({"git": f"file://me:hunter2secret@{tmp_path}/none", "version": "main"})
    assert "none" in caught.value.message
    assert "hunter2secret" not in caught.value.message


def test_a_folder_in_a_work_tree_gives_what_git_would_commit(repository: Path, tmp_path: Path) -> None:
    (repository / ".gitignore").write_text("*.secret\n")
    (repository / "new.py").write_text("new")
    (repository / "local.secret").write_text("no")
    source = {"path": str(repository)}
    pack(source, resolve(source), str(tmp_path / "out.tar"))
    assert sorted(names(tmp_path / "out.tar")) == [".gitignore", "app.py", "new.py"]


def test_a_folder_without_git_leaves_out_caches_and_environments(tmp_path: Path) -> None:
    tree = tmp_path / "plain"
    for name in ("app.py", "pkg/mod.py", "pkg/__pycache__/mod.pyc", ".venv/bin/python", ".git/config"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(name)
    pack({"path": str(tree)}, resolve({"path": str(tree)}), str(tmp_path / "out.tar"))
    assert sorted(names(tmp_path / "out.tar")) == ["app.py", "pkg/mod.py"]


def test_a_folders_name_follows_its_content_and_modes_only(tmp_path: Path) -> None:
    tree = tmp_path / "plain"
    tree.mkdir()
    (tree / "run").write_text("x")
    first = resolve({"path": str(tree)})
    os.utime(tree / "run", (0, 0))
    assert resolve({"path": str(tree)}) == first
    (tree / "run").chmod(0o755)
    assert resolve({"path": str(tree)}).sha != first.sha


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ({"path": "/nonexistent/shop"}, "not a folder on the controller"),
        ({"archive": "/nonexistent/shop.tar.gz"}, "No such file"),
        ({"archive": "/nonexistent/shop.zip"}, "Pack it as tar"),
    ],
)
def test_a_source_that_cannot_be_used_is_named(source: dict[str, str], reason: str) -> None:
    with pytest.raises(RingstandError, match=reason):
        resolve(source)

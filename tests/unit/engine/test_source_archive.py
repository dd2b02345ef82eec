"""Sources on the controller, with real repositories of git."""

from __future__ import annotations

import os
import subprocess
import tarfile
import zipfile
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
        ({"archive": "/nonexistent/shop.rar"}, "is not one of .*zip"),
    ],
)
def test_a_source_that_cannot_be_used_is_named(source: dict[str, str], reason: str) -> None:
    with pytest.raises(RingstandError, match=reason):
        resolve(source)


# --- git: keys, submodules, large files, one app of several ---------------------------------------------------------


def add_submodule(repository: Path, tmp_path: Path) -> None:
    library = tmp_path / "library"
    library.mkdir()
    git(library, "init", "--quiet")
    (library / "lib.py").write_text("lib")
    git(library, "add", ".")
    git(library, "commit", "--quiet", "-m", "lib")
    git(repository, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "../library", "vendor/lib")
    git(repository, "commit", "--quiet", "-m", "with a submodule")


@pytest.fixture
def local_submodules_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As git itself has it for its tests: it clones no submodule from this machine otherwise."""
    for name, value in (("COUNT", "1"), ("KEY_0", "protocol.file.allow"), ("VALUE_0", "always")):
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)


@pytest.mark.usefixtures("local_submodules_allowed")
@pytest.mark.parametrize(("wanted", "names_packed"), [(True, [".gitmodules", "app.py", "vendor/lib/lib.py"])])
def test_submodules_are_packed_where_they_are_wanted(
    repository: Path, tmp_path: Path, wanted: bool, names_packed: list[str]
) -> None:
    add_submodule(repository, tmp_path)
    source = {"git": str(repository), "version": "main", "submodules": wanted}
    pack(source, resolve(source), str(tmp_path / "out.tar"))
    assert sorted(names(tmp_path / "out.tar")) == names_packed


def test_submodules_need_a_decision(repository: Path, tmp_path: Path) -> None:
    add_submodule(repository, tmp_path)
    source = {"git": str(repository), "version": "main"}
    with pytest.raises(RingstandError, match=r"it has submodules \(vendor/lib\). Set source.submodules"):
        pack(source, resolve(source), str(tmp_path / "out.tar"))
    source["submodules"] = False
    pack(source, resolve(source), str(tmp_path / "out.tar"))
    assert sorted(names(tmp_path / "out.tar")) == [".gitmodules", "app.py"]


def test_a_work_tree_is_packed_with_its_submodules(repository: Path, tmp_path: Path) -> None:
    add_submodule(repository, tmp_path)
    pack({"path": str(repository)}, resolve({"path": str(repository)}), str(tmp_path / "out.tar"))
    assert "vendor/lib/lib.py" in names(tmp_path / "out.tar")


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12345\n"


@pytest.mark.parametrize("kind", ["git", "path", "archive"])
def test_files_that_git_lfs_keeps_are_refused(repository: Path, tmp_path: Path, kind: str) -> None:
    (repository / "logo.png").write_text(POINTER)
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "logo")
    git(repository, "archive", f"--output={tmp_path / 'in.tar.gz'}", "HEAD")
    source = {"git": {"git": str(repository), "version": "main"}, "path": {"path": str(repository)},
              "archive": {"archive": str(tmp_path / "in.tar.gz")}}[kind]  # fmt: skip
    with pytest.raises(RingstandError, match="logo.png is kept by Git LFS, and only its pointer is here"):
        pack(source, resolve(source), str(tmp_path / "out.tar"))


@pytest.mark.parametrize("version", ["refs/heads/both", "refs/tags/both", "refs/tags/v1"])
def test_a_full_name_says_which_of_two_is_meant(repository: Path, version: str) -> None:
    git(repository, "branch", "both", "v1^{commit}")
    git(repository, "tag", "-a", "both", "-m", "both", "main")
    resolved = resolve({"git": str(repository), "version": version})
    assert resolved.sha == git(repository, "rev-parse", f"{version}^{{commit}}").strip()


def monorepo(repository: Path) -> None:
    for name in ("apps/shop/app.py", "apps/shop/requirements.txt", "apps/blog/app.py"):
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text(name)
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "several apps")


@pytest.mark.parametrize("kind", ["git", "path", "archive"])
def test_of_several_apps_only_the_one_in_root_directory_is_packed(repository: Path, tmp_path: Path, kind: str) -> None:
    monorepo(repository)
    git(repository, "archive", "--prefix=all-1.0/", f"--output={tmp_path / 'in.zip'}", "HEAD")
    source = {"git": {"git": str(repository), "version": "main"}, "path": {"path": str(repository)},
              "archive": {"archive": str(tmp_path / "in.zip")}}[kind]  # fmt: skip
    source["root_directory"] = "apps/shop"
    pack(source, resolve(source), str(tmp_path / "out.tar"))
    packed = {name: f"apps/shop/{name}".encode() for name in ("app.py", "requirements.txt")}
    assert names(tmp_path / "out.tar") == packed
    source["root_directory"] = "apps/none"
    with pytest.raises(RingstandError, match="no folder|not a folder"):
        pack(source, resolve({**source, "root_directory": "apps/shop"}), str(tmp_path / "out.tar"))


def test_ssh_gets_the_deploy_key_and_checks_hosts_as_ever(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A stand-in for ssh writes down how it is called."""
    called = tmp_path / "called"
    ssh = tmp_path / "ssh"
    ssh.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {called}\necho "Host key verification failed." >&2\nexit 255\n')
    ssh.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(ssh))
    source = {"git": "git@git.example.com:acme/shop.git", "version": "v1", "deploy_key_path": "/keys/shop key"}
    with pytest.raises(RingstandError, match="not among the known hosts .* add it to known_hosts"):
        resolve(source)
    words = called.read_text().splitlines()
    assert words[words.index("-i") + 1] == "/keys/shop key"
    assert "IdentitiesOnly=yes" in words
    assert "BatchMode=yes" in words
    assert "-A" not in words
    assert "StrictHostKeyChecking" not in called.read_text()
    del source["deploy_key_path"]
    with pytest.raises(RingstandError):
        resolve(source)
    assert "-i" not in called.read_text().splitlines()


# --- archives that must not be trusted ------------------------------------------------------------------------------


def tar_with(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for member in members:
            archive.addfile(member)
    return path


def tar_member(name: str, **changes: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for key, value in changes.items():
        setattr(info, key, value)
    return info


@pytest.mark.parametrize(
    ("member", "words"),
    [
        (tar_member("../evil"), "leads out"),
        (tar_member("/etc/evil"), "leads out"),
        (tar_member("a/../../evil"), "leads out"),
        (tar_member("..", type=tarfile.DIRTYPE), "leads out"),
        (tar_member("a/link", type=tarfile.SYMTYPE, linkname="../../etc"), "leads out"),
        (tar_member("link", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "leads out"),
        (tar_member("hard", type=tarfile.LNKTYPE, linkname="../evil"), "leads out"),
        (tar_member("device", type=tarfile.CHRTYPE), "neither a file nor a link"),
        (tar_member("pipe", type=tarfile.FIFOTYPE), "neither a file nor a link"),
    ],
)
def test_a_tar_archive_that_leads_out_is_refused(tmp_path: Path, member: tarfile.TarInfo, words: str) -> None:
    source = {"archive": str(tar_with(tmp_path / "in.tar.gz", tar_member("app.py"), member))}
    with pytest.raises(RingstandError, match=f"Failed to read source.archive .*in.tar.gz.*{words}"):
        pack(source, resolve(source), str(tmp_path / "out.tar"))


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "..\\evil"])
def test_a_zip_archive_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), "x")
    source = {"archive": str(tmp_path / "in.zip")}
    with pytest.raises(RingstandError, match="leads out of the archive"):
        pack(source, resolve(source), str(tmp_path / "out.tar"))


def test_a_zip_archive_keeps_links_and_modes_and_loses_its_top(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for name, mode, content in (
            ("shop-1.0/app.py", 0o100644, "app"),
            ("shop-1.0/run", 0o100755, "run"),
            ("shop-1.0/link", 0o120777, "app.py"),
            ("__MACOSX/shop-1.0/._app.py", 0o100644, "junk"),
        ):
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, content)
    source = {"archive": str(tmp_path / "in.zip")}
    pack(source, resolve(source), str(tmp_path / "out.tar"))
    with tarfile.open(tmp_path / "out.tar") as packed:
        found = {member.name: (oct(member.mode), member.linkname) for member in packed}
    assert found == {"./app.py": ("0o644", ""), "./run": ("0o755", ""), "./link": ("0o755", "app.py")}


@pytest.mark.parametrize(
    ("member", "modified"),
    [
        (tar_member("app.py", mtime=1795262400), 1795262400),
        (tar_member("app.py", mtime=1795262400.75), 1795262400),
        (tar_member("app.py", mtime=-1), 0),
        (tar_member("app.py", mtime=2**40), 0),
        (zipfile.ZipInfo("app.py", (2026, 11, 21, 12, 0, 0)), 1795262400),
        (zipfile.ZipInfo("app.py", (1980, 0, 0, 0, 0, 0)), 0),
    ],
    ids=["tar", "with a fraction", "before 1970", "far away", "zip", "no date at all"],
)
def test_a_file_keeps_its_time(tmp_path: Path, member: tarfile.TarInfo | zipfile.ZipInfo, modified: int) -> None:
    if isinstance(member, tarfile.TarInfo):
        path = tar_with(tmp_path / "in.tar.gz", member)
    else:
        path = tmp_path / "in.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(member, "x")
    pack({"archive": str(path)}, resolve({"archive": str(path)}), str(tmp_path / "out.tar"))
    with tarfile.open(tmp_path / "out.tar") as packed:
        assert [entry.mtime for entry in packed] == [modified]


@pytest.mark.parametrize("name", ["in.zip", "in.tar.gz", "in.tar.zst"])
def test_a_damaged_archive_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"damaged")
    source = {"archive": str(tmp_path / name)}
    with pytest.raises(RingstandError, match=f"Failed to read source.archive '.*{name}'"):
        pack(source, resolve(source), str(tmp_path / "out.tar"))

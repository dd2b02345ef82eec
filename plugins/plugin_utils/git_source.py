# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A revision of a repository of git, found and packed on the controller with the controller's own rights.

The user's SSH configuration, agent and known_hosts count; a deploy key is used beside them and stays here.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.systemd import redact
from ansible_collections.ringstand.flask.plugins.plugin_utils.source_tar import LFS_POINTER, pack_files, refuse_pointers

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_TIMEOUT_SECONDS = 600
_GITLINK_MODE = "160000"
_REMEDIES = (
    (
        "Host key verification failed",
        "The server's key is not among the known hosts of the user who runs Ansible: compare it with what the server's "
        "operator publishes and add it to known_hosts.",
    ),
    ("UNPROTECTED PRIVATE KEY FILE", "Only its owner may read the key: chmod 600."),
    (
        "Permission denied (publickey",
        "Set source.deploy_key_path to a key that may read the repository, or load one into the SSH agent of the user "
        "who runs Ansible.",
    ),
    (
        "terminal prompts disabled",
        "Use an SSH address with source.deploy_key_path, or a credential helper of git.",
    ),
    ("Authentication failed", "Use an SSH address with source.deploy_key_path, or a credential helper of git."),
)


@dataclass(frozen=True)
class Repository:
    """Where a revision comes from: address, branch, tag or commit, and what of it belongs to a release.

    ``submodules`` None refuses a revision that has some. ``root_directory`` is the app's folder in it.
    """

    url: str
    version: str
    deploy_key_path: str = ""
    submodules: bool | None = None
    root_directory: str = ""

    def git(self, *arguments: str, cwd: str | None = None) -> str:
        """Run git with this repository's key; raises RingstandError with its words and the remedy."""
        done = run_git(arguments, cwd, ssh_environment(self.deploy_key_path))
        if done.returncode != 0:
            said = redact(done.stderr.strip())
            remedy = next((text for words, text in _REMEDIES if words in said), "")
            raise RingstandError(f"git {arguments[0]} says: {said} {remedy}".rstrip(), rc=done.returncode)
        return done.stdout


def run_git(
    arguments: Iterable[str], cwd: str | None = None, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run git without a terminal: a prompt would hang an unattended run."""
    return subprocess.run(
        ["git", *arguments],
        cwd=cwd,
        env={**os.environ, "GIT_TERMINAL_PROMPT": "0", **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_SECONDS,
        check=False,
    )


def ssh_environment(deploy_key_path: str) -> dict[str, str]:
    """How git calls ssh: as the user has it, never asking, and with the deploy key alone when there is one.

    Host keys are checked as ssh and its configuration have it, and no agent is forwarded.
    """
    configured = os.environ.get("GIT_SSH_COMMAND") or run_git(["config", "--get", "core.sshCommand"]).stdout.strip()
    command = f"{configured or 'ssh'} -a -o BatchMode=yes"
    if deploy_key_path:
        command += f" -o IdentitiesOnly=yes -i {shlex.quote(deploy_key_path)}"
    return {"GIT_SSH_COMMAND": command}


def resolve_revision(repository: Repository) -> str:
    """Return the commit that a branch, a tag, a full name of a reference or a full commit id means."""
    version, shown = repository.version, redact(repository.url)
    if _COMMIT.fullmatch(version):
        return version
    wanted = [version, f"{version}^{{}}"] if version.startswith("refs/") else []
    wanted = wanted or [f"refs/heads/{version}", f"refs/tags/{version}*"]
    try:
        listing = repository.git("ls-remote", "--", repository.url, *wanted)
    except RingstandError as error:
        raise RingstandError(f"Failed to resolve {version!r} in {shown}: {error.message}", **error.details) from error
    refs = {ref: sha for sha, ref in (line.split("\t") for line in listing.splitlines())}
    branch = refs.get(f"refs/heads/{version}")
    tag = refs.get(version if version.startswith("refs/") else f"refs/tags/{version}")
    # An annotated tag is an object of its own, and what it is put on is listed beside it.
    peeled = refs.get(f"{version}^{{}}") or refs.get(f"refs/tags/{version}^{{}}", tag)
    if branch and peeled and branch != peeled:
        raise RingstandError(
            f"Failed to resolve {version!r} in {shown}: it is a branch ({branch[:12]}) and a tag ({peeled[:12]}). "
            f"Write refs/heads/{version} or refs/tags/{version}, or name the commit."
        )
    if not branch and not peeled:
        raise RingstandError(
            f"Failed to resolve {version!r} in {shown}: there is no branch or tag of that name. "
            "Name one, or the full id of a commit (a short id cannot be looked up from outside)."
        )
    return str(peeled or branch)


def pack_revision(repository: Repository, sha: str, target: str) -> None:
    """Write a commit to a tar archive, with its submodules when they are wanted."""
    with tempfile.TemporaryDirectory(prefix="ringstand-") as work:
        try:
            _fetch(repository, sha, work)
            root = _root(repository, sha, work)
            _refuse_pointers(repository, root, work)
            if _has_submodules(repository, sha, work):
                _pack_with_submodules(repository, sha, work, target)
            else:
                repository.git("archive", "--format=tar.gz", f"--output={os.path.abspath(target)}", root, cwd=work)
        except RingstandError as error:
            where = f"{repository.version!r} ({sha[:12]}) from {redact(repository.url)}"
            raise RingstandError(f"Failed to fetch {where}: {error.message}", **error.details) from error


def _fetch(repository: Repository, sha: str, work: str) -> None:
    repository.git("init", "--quiet", work)
    repository.git("remote", "add", "origin", repository.url, cwd=work)  # what relative submodules are relative to
    try:
        repository.git("fetch", "--quiet", "--depth=1", "origin", sha, cwd=work)
    except RingstandError:  # some servers hand out branches and tags only
        repository.git("fetch", "--quiet", "--tags", "origin", cwd=work)


def _root(repository: Repository, sha: str, work: str) -> str:
    """What git calls the app's folder of a commit."""
    if not repository.root_directory:
        return sha
    root = f"{sha}:{os.path.normpath(repository.root_directory)}"
    if run_git(["cat-file", "-t", root], work).stdout.strip() != "tree":
        raise RingstandError(
            f"it has no folder {repository.root_directory!r}. Correct source.root_directory, which is relative to the "
            "root of the repository."
        )
    return root


def _refuse_pointers(repository: Repository, root: str, work: str) -> None:
    found = run_git(["grep", "--name-only", "-I", "--fixed-strings", LFS_POINTER.decode(), root], work)
    refuse_pointers(line.removeprefix(f"{root}:").removeprefix(f"{root}/") for line in found.stdout.splitlines()[:1])


def _has_submodules(repository: Repository, sha: str, work: str) -> bool:
    folder = ["--", repository.root_directory] if repository.root_directory else []
    listing = repository.git("ls-tree", "-r", sha, *folder, cwd=work)
    found = [line.partition("\t")[2] for line in listing.splitlines() if line.startswith(_GITLINK_MODE)]
    if found and repository.submodules is None:
        raise RingstandError(
            f"it has submodules ({', '.join(found)}). Set source.submodules: true to deploy them too, or false to "
            "leave them out."
        )
    return bool(found and repository.submodules)


def _pack_with_submodules(repository: Repository, sha: str, work: str, target: str) -> None:
    repository.git("checkout", "--quiet", "--detach", sha, cwd=work)
    update = ["submodule", "--quiet", "update", "--init", "--recursive"]
    try:
        repository.git(*update, "--depth=1", cwd=work)
    except RingstandError:  # the commit that is wanted is not the newest one of its branch
        repository.git(*update, cwd=work)
    root = os.path.join(work, repository.root_directory)
    listing = repository.git("ls-files", "-z", "--recurse-submodules", cwd=root)
    pack_files(root, sorted(name for name in listing.split("\0") if name), target)

"""A source that only a deploy key may read, by real SSH: the test host serves it, too."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import CHECKOUT, Run, variables, write_inventory
from team import Team

SERVE = """set -e
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends git >/dev/null
useradd --create-home --shell /usr/bin/git-shell git
runuser -u git -- git init --quiet --bare --initial-branch=main /home/git/shop.git
install -d -m 0700 -o git -g git /home/git/.ssh
cat > /home/git/.ssh/authorized_keys
chown git:git /home/git/.ssh/authorized_keys
"""
# What git runs here as ssh: it writes down how it was called, in which environment and by whom, and knows one host.
RECORDER = """#!/bin/sh
{{ printf '%s\\n' "$@"; env; tr '\\0' '\\n' < /proc/$PPID/cmdline; }} >> {called}
exec ssh -o GlobalKnownHostsFile=/dev/null -o UserKnownHostsFile={known_hosts} -o StrictHostKeyChecking=yes "$@"
"""
IDENTITY = ("-c", "user.name=t", "-c", "user.email=t@example.com")


class Private:
    """The shop in a repository on the host that the key ``good`` may read; ``other_hosts`` takes it for another one."""

    def __init__(self, team: Team, folder: Path) -> None:
        self.team, self.folder = team, folder
        self.called, self.temporary = folder / "called", folder / "temporary"
        self.url = f"ssh://git@{team.site.address}/home/git/shop.git"
        for name in ("good", "bad", "another_host"):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name))
        team.site.root(SERVE, (folder / "good.pub").read_text())
        host_key = team.site.root("cat /etc/ssh/ssh_host_ed25519_key.pub")
        for name, key in (("known_hosts", host_key), ("other_hosts", (folder / "another_host.pub").read_text())):
            (folder / name).write_text(f"{team.site.address} {key}")
        self.sha = self.push()

    def push(self) -> str:
        source = self.folder / "shop"
        shutil.copytree(CHECKOUT / "examples" / "shop", source)
        (source / "shop" / "static" / "release.txt").write_text("from a private repository")
        run("git", "init", "--quiet", "--initial-branch=main", cwd=source)
        run("git", "add", ".", cwd=source)
        run("git", *IDENTITY, "commit", "--quiet", "-m", "first", cwd=source)
        command = f"{self.recorder('known_hosts')} -o IdentitiesOnly=yes -i {self.folder}/good"
        run("git", "-c", f"core.sshCommand={command}", "push", "--quiet", self.url, "main", cwd=source)
        return run("git", "rev-parse", "HEAD", cwd=source)

    def recorder(self, known_hosts: str) -> str:
        path = self.folder / f"ssh-with-{known_hosts}"
        path.write_text(RECORDER.format(called=self.called, known_hosts=self.folder / known_hosts))
        path.chmod(0o755)
        return str(path)

    def deploy(self, key: Path, known_hosts: str, *arguments: str) -> Run:
        """As a team does whose inventory names the repository; with a folder of its own for what is temporary."""
        values = variables(self.team.site.planted)
        source = {"git": self.url, "version": "main", "deploy_key_path": str(key)}
        values["flask_apps"]["shop"]["source"] = source
        write_inventory(self.folder / "hosts.yml", values)
        self.called.unlink(missing_ok=True)
        self.temporary.mkdir(exist_ok=True)
        environment = {"GIT_SSH_COMMAND": self.recorder(known_hosts), "TMPDIR": str(self.temporary),
                       "ANSIBLE_LOCAL_TEMP": str(self.temporary)}
        return self.team.site.play("-i", str(self.folder / "hosts.yml"), "-e", "app=shop", *arguments,
                                   playbook=str(CHECKOUT / "playbooks" / "deploy.yml"), environment=environment)

    def ledger(self) -> list[dict]:
        return json.loads(self.team.site.root("ringstand --json releases shop"))["ledger"]


def run(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def private(site, tmp_path_factory):
    return Private(Team(site), tmp_path_factory.mktemp("private"))


@pytest.mark.parametrize(
    ("key", "known_hosts", "words"),
    [
        pytest.param("bad", "known_hosts", "Set source.deploy_key_path to a key that may read the repository",
                     id="a key that may not"),
        pytest.param("good", "other_hosts", "The server's key is not among the known hosts", id="another host's key"),
    ],
)
def test_what_may_not_be_read_is_refused_before_any_change(private, key, known_hosts, words):
    before, ledger = private.team.status()["release"], private.ledger()
    refused = private.deploy(private.folder / key, known_hosts)
    assert refused.code != 0
    assert f"Failed to resolve 'main' in {private.url}" in refused.output
    assert words in refused.output
    assert (private.team.status()["release"], private.ledger()) == (before, ledger)


def test_a_vaulted_key_reads_it_and_is_left_nowhere(private):
    vaulted, password = private.folder / "vaulted", private.folder / "vault-password"
    password.write_text("of the test")
    shutil.copy(private.folder / "good", vaulted)
    run("ansible-vault", "encrypt", "--vault-password-file", str(password), str(vaulted))
    deployed = private.deploy(vaulted, "known_hosts", "--vault-password-file", str(password), "-vvv")
    assert deployed.code == 0, deployed.output[-3000:]
    assert private.team.status()["sha"] == private.sha
    assert private.team.site.ask("/static/release.txt").body == b"from a private repository"
    body = (private.folder / "good").read_text().splitlines()[1:-1]
    seen = private.called.read_text()
    assert "IdentitiesOnly=yes" in seen
    assert str(private.temporary) in seen  # where the copy was
    for line in body:
        assert line not in deployed.output + seen
    assert [path for path in private.temporary.rglob("*") if path.is_file()] == []
    places = "/tmp /var/tmp /root /home/admin /srv /var/lib/ringstand /var/cache/ringstand /var/log /run"
    assert private.team.site.root(f"grep -rlF -f - {places}", body[0]).strip() == ""

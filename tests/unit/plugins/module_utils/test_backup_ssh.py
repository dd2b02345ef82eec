"""Another host by SSH: the mount, why it is not there, and a place that is new to a host."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import (
    backup_offsite,
    backup_offsite_look,
    backup_settings,
    backup_ssh,
    commands,
    pgbackrest,
    restic,
)
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError

SSH: dict[str, Any] = {
    "type": "ssh", "host": "backup.example.com", "user": "vm", "path": "/backups", "private_key": "K3Y",
    "known_hosts": ["backup.example.com ssh-ed25519 AAAA"],
}
CHANGED = """@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
Host key for backup.example.com has changed and you have requested strict checking.
Host key verification failed.
Connection closed
"""


@pytest.mark.parametrize(("rc", "stderr", "expected"), [
    (0, "", ""),
    (255, CHANGED, "Host key for backup.example.com has changed and you have requested strict checking. "
                   "Host key verification failed"),
    (255, "ssh: connect to host b port 22: Connection refused\nConnection closed\n",
     "ssh: connect to host b port 22: Connection refused"),
    (1, "realpath /backups: No such file\n", "realpath /backups: No such file"),
    (255, "Connection closed\n", "sftp ended with 255"),
    (127, "sh: 1: sftp: not found\n", "sh: 1: sftp: not found"),
])
def test_why_it_cannot_be_reached(rc: int, stderr: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_ssh, "run", lambda *_args, **_options: commands.Result(rc, "", stderr))
    assert backup_ssh.problem("/backups") == expected


def test_pgbackrest_is_not_asked_of_what_is_not_mounted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_ssh, "is_mounted", lambda: False)
    monkeypatch.setattr(backup_ssh, "problem", lambda path: f"no {path}")
    monkeypatch.setattr(pgbackrest, "run", lambda *_args, **_options: pytest.fail("it was asked"))
    place = backup_offsite.parse(backup_offsite.describe(SSH, "vm1", 2, 30))
    assert place
    with pytest.raises(RingstandError, match="Failed to read the backups of 'main': ERROR: no /backups"):
        pgbackrest.information(place.stanza("main"))


def test_the_mount_is_for_one_user_and_checks_the_host() -> None:
    unit = backup_ssh.unit_text("/backups", "postgres")
    assert "default_permissions,uid=$$(id -u postgres)" in unit and "ringstand-offsite:/backups /run/" in unit
    assert "StrictHostKeyChecking yes" in backup_ssh.config_text(SSH)
    assert "IdentityFile /run/x/root.key" in backup_ssh.config_text({**SSH, "port": 2222}, "/run/x")


def settings(where: str = "vm1") -> backup_settings.BackupSettings:
    return backup_settings.BackupSettings(
        offsite=backup_offsite.parse(backup_offsite.describe(SSH, where, 2, 30)), directory="/nowhere"
    )


class Look:
    """A look at a new place, with what it was asked for."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.parent, self.reason = tmp_path, ""
        self.known: backup_settings.BackupSettings | None = None
        self.seen: dict[str, int] = {}
        monkeypatch.setattr(backup_offsite_look, "_PARENT", str(tmp_path))
        monkeypatch.setattr(backup_settings, "load", self._load)
        monkeypatch.setattr(backup_ssh, "problem", self._problem)
        monkeypatch.setattr(restic, "snapshots", self._snapshots)

    def _load(self) -> backup_settings.BackupSettings:
        if self.known is None:
            raise RingstandError("there are none")
        return self.known

    def _problem(self, path: str, directory: str) -> str:
        assert path == "/backups"
        self.seen = {name: os.stat(f"{directory}/{name}").st_mode & 0o777 for name in os.listdir(directory)}
        return self.reason

    def _snapshots(self, repository: restic.Repository) -> None:
        assert repository.password_file.startswith(str(self.parent)) and "--no-cache" in repository.options

    def look(self) -> None:
        backup_offsite_look.look(SSH, backup_offsite.describe(SSH, "vm1", 2, 30) or {}, "k" * 20, False)
        assert not os.listdir(self.parent), "keys were left"


@pytest.fixture
def looking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Look:
    return Look(tmp_path, monkeypatch)


def test_a_new_place_is_looked_at_and_nothing_is_left(looking: Look) -> None:
    looking.look()
    assert looking.seen == {"key": 0o600, "known_hosts": 0o600, "root.key": 0o600, "ssh_config": 0o600}


def test_a_new_place_that_cannot_be_reached_is_refused(looking: Look) -> None:
    looking.reason = "Host key verification failed"
    with pytest.raises(RingstandError, match=r"cannot be used: Host key verification failed\. Nothing was changed"):
        looking.look()
    assert not os.listdir(looking.parent)
    looking.known = settings()  # it was there before: each backup says so
    looking.look()
